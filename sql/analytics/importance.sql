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
WITH
  last_values AS (
    SELECT t.sid, arg_max(t.value, t.seq) AS value
    FROM tags AS t
    WHERE
      t.content = $tag::VARCHAR
      AND t.value IS NOT NULL
      AND ($flow::VARCHAR IS NULL OR t.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR t.step = $step::VARCHAR)
      AND ($runs::VARCHAR[] IS NULL OR t.run IN (SELECT unnest($runs::VARCHAR[])))
    GROUP BY t.sid
  ),
  measured AS (
    SELECT s.flow, s.step, s.params, v.value
    FROM scopes AS s
    JOIN last_values AS v ON v.sid = s.sid
    WHERE s.status <> 'retried' AND s.params IS NOT NULL AND abs(v.value) < 1e150
  ),
  -- Few texts of parameters stand for many scopes: each is taken apart once. A JSON pointer reaches every name.
  named AS (
    SELECT p.params, p.param, json_extract(p.params, '/' || replace(replace(p.param, '~', '~0'), '/', '~1')) AS level
    FROM (SELECT d.params, unnest(json_keys(d.params)) AS param FROM (SELECT DISTINCT m.params FROM measured AS m) AS d) AS p
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
  points AS (
    SELECT m.flow, m.step, t.param, t.level, t.number, m.value
    FROM measured AS m
    JOIN typed AS t ON t.params = m.params
  ),
  by_level AS (
    SELECT p.flow, p.step, p.param, p.level, count(*) AS n, favg(p.value) AS mean, var_pop(p.value) * count(*) AS within
    FROM points AS p
    GROUP BY p.flow, p.step, p.param, p.level
  ),
  centred AS (
    SELECT l.*, sum(l.n * l.mean) OVER param_of_step / sum(l.n) OVER param_of_step AS grand_mean
    FROM by_level AS l
    WINDOW param_of_step AS (PARTITION BY l.flow, l.step, l.param)
  ),
  explained AS (
    SELECT
      c.flow,
      c.step,
      c.param,
      CAST(sum(c.n) AS BIGINT) AS n,
      count(*) AS levels,
      sum(c.within) AS within,
      sum(c.n * (c.mean - c.grand_mean) ** 2) AS between_levels
    FROM centred AS c
    GROUP BY c.flow, c.step, c.param
  ),
  numeric_params AS (
    SELECT p.flow, p.step, p.param
    FROM points AS p
    GROUP BY p.flow, p.step, p.param
    HAVING count(*) = count(p.number)
  ),
  -- Equal numbers share the mean of their ranks.
  ranked AS (
    SELECT
      p.flow,
      p.step,
      p.param,
      p.number,
      p.value,
      rank() OVER by_number + (count(*) OVER (PARTITION BY p.flow, p.step, p.param, p.number) - 1) / 2e0 AS number_rank,
      rank() OVER by_value + (count(*) OVER (PARTITION BY p.flow, p.step, p.param, p.value) - 1) / 2e0 AS value_rank
    FROM points AS p
    SEMI JOIN numeric_params AS np ON np.flow = p.flow AND np.step = p.step AND np.param = p.param
    WHERE abs(p.number) < 1e150
    WINDOW
      by_number AS (PARTITION BY p.flow, p.step, p.param ORDER BY p.number),
      by_value AS (PARTITION BY p.flow, p.step, p.param ORDER BY p.value)
  ),
  correlated AS (
    SELECT
      r.flow,
      r.step,
      r.param,
      -- What does not vary has no correlation: DuckDB says NaN, and rounding may make it anything.
      CASE WHEN min(r.number) < max(r.number) AND min(r.value) < max(r.value) THEN corr(r.number, r.value) END AS pearson,
      CASE WHEN min(r.number) < max(r.number) AND min(r.value) < max(r.value) THEN corr(r.number_rank, r.value_rank) END AS spearman
    FROM ranked AS r
    GROUP BY r.flow, r.step, r.param
  ),
  measures AS (
    SELECT
      e.flow,
      e.step,
      e.param,
      np.param IS NOT NULL AS is_numeric,
      e.n,
      e.levels,
      CASE WHEN isfinite(c.pearson) THEN c.pearson END AS pearson,
      c.spearman,
      CASE WHEN e.within + e.between_levels > 0 THEN e.between_levels / (e.within + e.between_levels) END AS variance_explained,
      CASE
        WHEN e.within + e.between_levels > 0 AND e.n > e.levels
        THEN 1 - (e.within / (e.n - e.levels)) / ((e.within + e.between_levels) / (e.n - 1))
      END AS variance_explained_adjusted
    FROM explained AS e
    LEFT JOIN numeric_params AS np ON np.flow = e.flow AND np.step = e.step AND np.param = e.param
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
