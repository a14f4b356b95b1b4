-- In which parameters do runs differ? For each parameter of which they do not all have the same values one row a run.
--
-- $runs  slugs of the runs, as a list of texts, at least two: in this order
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any, and the parameters of the runs themselves as well
--
-- In a parameter of the run itself, one that was put into the context of the flow, step is null. levels is a JSON array of the values, in
-- the order of numbers, then of texts, at most 20 of n_levels; it is empty where the run does not have the parameter. n_scopes counts the
-- scopes that have it. Attempts that were retried are left out. It does not matter how often a value occurs.
WITH
  asked AS (
    SELECT unnest(g.runs) AS run, unnest(range(1, len(g.runs) + 1)) AS position
    FROM (SELECT $runs::VARCHAR[] AS runs) AS g
  ),
  sources AS (
    SELECT s.run, s.step, s.params, count(*) AS n
    FROM scopes AS s
    SEMI JOIN asked AS a ON a.run = s.run
    WHERE
      s.status <> 'retried'
      AND s.params IS NOT NULL
      AND ($flow::VARCHAR IS NULL OR s.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR s.step = $step::VARCHAR)
    GROUP BY s.run, s.step, s.params
    UNION ALL
    SELECT r.slug, NULL, CAST(json_extract(r.start_details, '$.params') AS VARCHAR), 0
    FROM runs AS r
    SEMI JOIN asked AS a ON a.run = r.slug
    WHERE
      $step::VARCHAR IS NULL
      AND json_type(r.start_details, '$.params') = 'OBJECT'
      AND ($flow::VARCHAR IS NULL OR r.flow = $flow::VARCHAR)
  ),
  named AS (
    SELECT p.run, p.step, p.param, p.n, CAST(json_extract(p.params, '/' || replace(replace(p.param, '~', '~0'), '/', '~1')) AS VARCHAR) AS level
    FROM (SELECT s.run, s.step, s.params, s.n, unnest(json_keys(s.params)) AS param FROM sources AS s) AS p
  ),
  by_run AS (
    SELECT n.run, n.step, n.param, list(DISTINCT n.level) AS levels, CAST(sum(n.n) AS BIGINT) AS n_scopes
    FROM named AS n
    GROUP BY n.run, n.step, n.param
  ),
  rows_of_runs AS (
    SELECT p.step, p.param, a.run, a.position, b.levels, b.n_scopes
    FROM (SELECT DISTINCT b.step, b.param FROM by_run AS b) AS p
    CROSS JOIN asked AS a
    LEFT JOIN by_run AS b ON b.run = a.run AND b.param = p.param AND b.step IS NOT DISTINCT FROM p.step
  ),
  differing AS (
    SELECT r.step, r.param
    FROM rows_of_runs AS r
    GROUP BY r.step, r.param
    HAVING count(DISTINCT coalesce(list_sort(r.levels), CAST([] AS VARCHAR[]))) > 1
  )
SELECT
  r.step,
  r.param,
  r.run,
  coalesce(
    (
      SELECT '[' || string_agg(o.level, ',' ORDER BY o.place) || ']'
      FROM (
        SELECT l.level, row_number() OVER (ORDER BY try_cast(l.level AS DOUBLE) NULLS LAST, l.level) AS place
        FROM (SELECT unnest(r.levels) AS level) AS l
      ) AS o
      WHERE o.place <= 20
    ),
    '[]'
  ) AS levels,
  CAST(coalesce(len(r.levels), 0) AS BIGINT) AS n_levels,
  coalesce(r.n_scopes, 0) AS n_scopes
FROM rows_of_runs AS r
SEMI JOIN differing AS d ON d.param = r.param AND d.step IS NOT DISTINCT FROM r.step
ORDER BY r.step NULLS FIRST, r.param, r.position;
