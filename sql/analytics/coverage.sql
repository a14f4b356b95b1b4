-- Which points of a grid of parameters were computed? One row a point, in the order of the grid.
--
-- $grid  a JSON object: the name of each parameter with the list of its values, or with null for all that were observed, such as
--        {"lr": [0.1, 0.01], "seed": null}
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any
-- $runs  slugs of the runs, as a list of texts; null: all
--
-- A scope belongs to a point if its parameters have exactly these JSON values; what else it has does not matter, and one that lacks a
-- parameter belongs to none. status is 'present' where at least one ended well, else 'failed' where one did not, else 'missing'.
-- Attempts that were retried and scopes that were skipped are left out. Observed values are in the order of numbers, then of texts.
WITH RECURSIVE
  axes AS (
    SELECT
      k.name,
      k.position,
      '/' || replace(replace(k.name, '~', '~0'), '/', '~1') AS pointer,
      json_extract(k.grid, '/' || replace(replace(k.name, '~', '~0'), '/', '~1')) AS given
    FROM (
      SELECT g.grid, unnest(json_keys(g.grid)) AS name, unnest(range(1, len(json_keys(g.grid)) + 1)) AS position
      FROM (SELECT $grid::VARCHAR AS grid) AS g
    ) AS k
  ),
  chosen AS (
    SELECT s.params, s.status
    FROM scopes AS s
    WHERE
      s.status IN ('ok', 'error')
      AND s.params IS NOT NULL
      AND ($flow::VARCHAR IS NULL OR s.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR s.step = $step::VARCHAR)
      AND ($runs::VARCHAR[] IS NULL OR s.run IN (SELECT unnest($runs::VARCHAR[])))
  ),
  counted AS (
    SELECT c.params, count(*) FILTER (c.status = 'ok') AS n_ok, count(*) FILTER (c.status = 'error') AS n_failed
    FROM chosen AS c
    GROUP BY c.params
  ),
  taken_apart AS (
    SELECT c.params, a.name, a.position, CAST(json_extract(c.params, a.pointer) AS VARCHAR) AS level
    FROM counted AS c
    CROSS JOIN axes AS a
  ),
  levels(position, level, place) AS (
    SELECT g.position, CAST(g.level AS VARCHAR), g.place
    FROM (
      SELECT
        a.position,
        unnest(json_extract(a.given, '$[*]')) AS level,
        unnest(range(1, CAST(json_array_length(a.given) AS BIGINT) + 1)) AS place
      FROM axes AS a
      WHERE json_type(a.given) = 'ARRAY'
    ) AS g
    UNION ALL
    SELECT
      o.position,
      o.level,
      row_number() OVER (PARTITION BY o.position ORDER BY try_cast(o.level AS DOUBLE) NULLS LAST, o.level)
    FROM (
      SELECT DISTINCT t.position, t.level
      FROM taken_apart AS t
      JOIN axes AS a ON a.position = t.position
      WHERE json_type(a.given) = 'NULL' AND t.level IS NOT NULL
    ) AS o
  ),
  points AS (
    SELECT 0 AS size, CAST([] AS VARCHAR[]) AS point, CAST([] AS BIGINT[]) AS places
    UNION ALL
    SELECT p.size + 1, list_append(p.point, l.level), list_append(p.places, l.place)
    FROM points AS p
    JOIN levels AS l ON l.position = p.size + 1
  ),
  found AS (
    SELECT o.point, CAST(sum(o.n_ok) AS BIGINT) AS n_ok, CAST(sum(o.n_failed) AS BIGINT) AS n_failed
    FROM (
      SELECT c.n_ok, c.n_failed, list(t.level ORDER BY t.position) AS point
      FROM counted AS c
      JOIN taken_apart AS t ON t.params = c.params
      GROUP BY c.params, c.n_ok, c.n_failed
      HAVING count(*) = count(t.level)
    ) AS o
    GROUP BY o.point
  ),
  names AS (
    SELECT list(a.name ORDER BY a.position) AS names FROM axes AS a
  )
SELECT
  CAST(to_json(map(n.names, CAST(p.point AS JSON[]))) AS VARCHAR) AS params,
  CASE WHEN f.n_ok > 0 THEN 'present' WHEN f.n_failed > 0 THEN 'failed' ELSE 'missing' END AS status,
  coalesce(f.n_ok, 0) AS n_ok,
  coalesce(f.n_failed, 0) AS n_failed
FROM points AS p
CROSS JOIN names AS n
LEFT JOIN found AS f ON f.point = p.point
WHERE p.size = len(n.names)
ORDER BY p.places;
