-- Which parameters matter for a tag? One row for each step and parameter, what seems to matter most first.
--
-- $tag   content of the tag, such as 'loss'
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any in which the tag occurs
-- $runs  slugs of the runs, as a list of texts; null: all
--
-- The value of a scope is the last number that it gave to the tag; scopes without one, or where it is NaN, infinite or beyond 1e150, are
-- left out, as are attempts that were retried. For each parameter those scopes count, n, that have it, and not as null. Each of its values
-- is a level. is_numeric says that every one is a number; only then are there correlations with the value of the tag: pearson's, which
-- is of straight lines, and spearman's, which is of ranks and so of anything that only rises or falls. variance_explained is eta
-- squared, the variance between the levels as a share of the whole; by chance alone it nears 1 as levels near n, for which
-- variance_explained_adjusted makes up (epsilon squared, below 0 where there is less than chance). importance, by which rows are
-- sorted, is the larger of the adjusted one and the square of spearman, at least 0. What cannot be told is null: where nothing varies.
-- Both correlations are without the scopes in which the parameter is NaN, infinite or beyond 1e150; n and levels count those as well.
WITH
  -- What is not joined with a scope below is of one that still runs, or of the run itself.
  last_values AS (
    SELECT t.sid, arg_max(t.value, t.seq) AS value
    FROM raw.tags AS t
    WHERE
      t.content = $tag::VARCHAR
      AND t.value IS NOT NULL
      AND ($flow::VARCHAR IS NULL OR t.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR t.step = $step::VARCHAR)
      AND ($runs::VARCHAR[] IS NULL OR t.run IN (SELECT unnest($runs::VARCHAR[])))
    GROUP BY t.sid
  ),
  measured AS MATERIALIZED (
    SELECT s.flow, s.step, s.params, v.value
    FROM scopes AS s
    JOIN last_values AS v ON v.sid = s.sid
    WHERE s.status <> 'retried' AND s.params IS NOT NULL AND abs(v.value) < 1e150
  ),
  -- Few texts of parameters stand for many scopes: each is taken apart once, and from here on stands for its scopes. within is the sum
  -- of the squares of what their values are away from their mean.
  by_text AS (
    SELECT
      m.flow,
      m.step,
      m.params,
      count(*) AS n,
      favg(m.value) AS mean,
      var_pop(m.value) * count(*) AS within,
      min(m.value) AS lowest,
      max(m.value) AS highest
    FROM measured AS m
    GROUP BY m.flow, m.step, m.params
  ),
  -- A JSON pointer reaches every name.
  named AS (
    SELECT p.params, p.param, json_extract(p.params, '/' || replace(replace(p.param, '~', '~0'), '/', '~1')) AS level
    FROM (SELECT d.params, unnest(json_keys(d.params)) AS param FROM (SELECT DISTINCT b.params FROM by_text AS b) AS d) AS p
  ),
  typed AS (
    SELECT
      n.params,
      n.param,
      CAST(n.level AS VARCHAR) AS level,
      -- NaN and infinities are recorded as these texts.
      CASE
        WHEN json_type(n.level) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE') THEN try_cast(CAST(n.level AS VARCHAR) AS DOUBLE)
        WHEN CAST(n.level AS VARCHAR) IN ('"NaN"', '"Infinity"', '"-Infinity"') THEN CAST('NaN' AS DOUBLE)
      END AS number
    FROM named AS n
    WHERE json_type(n.level) <> 'NULL'
  ),
  points AS MATERIALIZED (
    SELECT b.flow, b.step, t.param, t.level, t.number, b.params, b.n, b.mean, b.within, b.lowest, b.highest
    FROM by_text AS b
    JOIN typed AS t ON t.params = b.params
  ),
  centred AS (
    SELECT
      p.*,
      sum(p.n * p.mean) OVER of_level / sum(p.n) OVER of_level AS level_mean,
      sum(p.n * p.mean) OVER of_param / sum(p.n) OVER of_param AS grand_mean
    FROM points AS p
    WINDOW
      of_level AS (PARTITION BY p.flow, p.step, p.param, p.level),
      of_param AS (PARTITION BY p.flow, p.step, p.param)
  ),
  explained AS (
    SELECT
      c.flow,
      c.step,
      c.param,
      CAST(sum(c.n) AS BIGINT) AS n,
      count(DISTINCT c.level) AS levels,
      count(*) = count(c.number) AS is_numeric,
      min(c.lowest) < max(c.highest) AS varies,
      sum(c.within + c.n * (c.mean - c.level_mean) ** 2) AS within,
      sum(c.n * (c.level_mean - c.grand_mean) ** 2) AS between_levels
    FROM centred AS c
    GROUP BY c.flow, c.step, c.param
  ),
  numbers AS (
    SELECT p.flow, p.step, p.param, p.number, p.params, p.n, p.mean, p.within, p.lowest, p.highest
    FROM points AS p
    SEMI JOIN (SELECT e.flow, e.step, e.param FROM explained AS e WHERE e.is_numeric) AS e
      ON e.flow = p.flow AND e.step = p.step AND e.param = p.param
    WHERE abs(p.number) < 1e150
  ),
  -- Parameters of the same scopes, as nearly all of a step are, share the ranks of the values: those of the first by name.
  rankings AS (
    SELECT t.flow, t.step, t.param, min(t.param) OVER (PARTITION BY t.flow, t.step, t.texts) AS ranking
    FROM (
      SELECT n.flow, n.step, n.param, list(n.params ORDER BY n.params) AS texts
      FROM numbers AS n
      GROUP BY n.flow, n.step, n.param
    ) AS t
  ),
  -- Equal numbers share the mean of their ranks, which is that of the first and the last of them.
  value_ranks AS (
    SELECT
      m.flow,
      m.step,
      n.param AS ranking,
      m.params,
      (rank() OVER by_value + count(*) OVER by_value) / 2e0 AS place
    FROM measured AS m
    JOIN (
      SELECT n.flow, n.step, n.param, n.params
      FROM numbers AS n
      JOIN rankings AS r ON r.flow = n.flow AND r.step = n.step AND r.param = n.param AND r.ranking = n.param
    ) AS n ON n.flow = m.flow AND n.step = m.step AND n.params = m.params
    WINDOW by_value AS (PARTITION BY m.flow, m.step, n.param ORDER BY m.value)
  ),
  ranks_of_texts AS (
    SELECT v.flow, v.step, v.ranking, v.params, avg(v.place) AS mean, var_pop(v.place) * count(*) AS within
    FROM value_ranks AS v
    GROUP BY v.flow, v.step, v.ranking, v.params
  ),
  ranks_of_numbers AS (
    SELECT d.flow, d.step, d.param, d.number, sum(d.n) OVER by_number - (d.n - 1) / 2e0 AS place
    FROM (SELECT n.flow, n.step, n.param, n.number, sum(n.n) AS n FROM numbers AS n GROUP BY n.flow, n.step, n.param, n.number) AS d
    WINDOW by_number AS (PARTITION BY d.flow, d.step, d.param ORDER BY d.number)
  ),
  -- How far each text is from the means of its parameter: as numbers, and as ranks, of which the mean is half of how many there are and one.
  deviations AS (
    SELECT
      n.flow,
      n.step,
      n.param,
      n.n,
      n.number - sum(n.n * n.number) OVER of_param / sum(n.n) OVER of_param AS number,
      n.mean - sum(n.n * n.mean) OVER of_param / sum(n.n) OVER of_param AS value,
      n.within,
      x.place - (sum(n.n) OVER of_param + 1) / 2e0 AS number_rank,
      y.mean - (sum(n.n) OVER of_param + 1) / 2e0 AS value_rank,
      y.within AS within_ranks,
      min(n.number) OVER of_param < max(n.number) OVER of_param AND min(n.lowest) OVER of_param < max(n.highest) OVER of_param AS varies
    FROM numbers AS n
    JOIN rankings AS r ON r.flow = n.flow AND r.step = n.step AND r.param = n.param
    JOIN ranks_of_numbers AS x ON x.flow = n.flow AND x.step = n.step AND x.param = n.param AND x.number = n.number
    JOIN ranks_of_texts AS y ON y.flow = n.flow AND y.step = n.step AND y.ranking = r.ranking AND y.params = n.params
    WINDOW of_param AS (PARTITION BY n.flow, n.step, n.param)
  ),
  correlated AS (
    SELECT
      d.flow,
      d.step,
      d.param,
      -- As the slope times a share of variances, of which no square is too large for a DOUBLE.
      sum(d.n * d.number * d.value) / sum(d.n * d.number ** 2)
      * sqrt(sum(d.n * d.number ** 2) / sum(d.within + d.n * d.value ** 2)) AS pearson,
      sum(d.n * d.number_rank * d.value_rank) / sum(d.n * d.number_rank ** 2)
      * sqrt(sum(d.n * d.number_rank ** 2) / sum(d.within_ranks + d.n * d.value_rank ** 2)) AS spearman
    FROM deviations AS d
    WHERE d.varies -- else rounding may make it anything
    GROUP BY d.flow, d.step, d.param
  ),
  measures AS (
    SELECT
      e.flow,
      e.step,
      e.param,
      e.is_numeric,
      e.n,
      e.levels,
      CASE WHEN isfinite(c.pearson) THEN c.pearson END AS pearson,
      c.spearman,
      CASE WHEN e.varies AND e.within + e.between_levels > 0 THEN e.between_levels / (e.within + e.between_levels) END AS variance_explained,
      CASE
        WHEN e.varies AND e.within + e.between_levels > 0 AND e.n > e.levels
        THEN 1 - (e.within / (e.n - e.levels)) / ((e.within + e.between_levels) / (e.n - 1))
      END AS variance_explained_adjusted
    FROM explained AS e
    LEFT JOIN correlated AS c ON c.flow = e.flow AND c.step = e.step AND c.param = e.param
  )
SELECT
  m.*,
  -- greatest() leaves nulls out.
  CASE
    WHEN m.variance_explained_adjusted IS NOT NULL OR m.spearman IS NOT NULL
    THEN greatest(m.variance_explained_adjusted, m.spearman ** 2, 0e0)
  END AS importance
FROM measures AS m
ORDER BY importance DESC NULLS LAST, m.flow, m.step, m.param;
