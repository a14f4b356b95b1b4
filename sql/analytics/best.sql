-- Which parameters give the best values of a tag? A leaderboard: one row for each step and combination of parameters, the best mean first.
--
-- $tag     content of the tag, such as 'loss'
-- $best    'lowest' or 'highest': which mean is the best
-- $params  names of the parameters to tell apart, as a list of texts; null: all
-- $flow    name of the flow; null: any
-- $step    name of the step; null: any in which the tag occurs
-- $runs    slugs of the runs, as a list of texts; null: all
--
-- The value of a scope is the last number that it gave to the tag. A scope counts in n_missing, and in nothing else, where it has no
-- such number although its step has the tag, or where the number is NaN, infinite or beyond 1e150, whose squares no DOUBLE holds.
-- Attempts that were retried are left out. sd is that of a sample, and null with the interval where n is below 2, or where the
-- values differ by so little that it would be below 1e-150, whose square no DOUBLE holds. The interval is Student's, for the mean.
-- params is a JSON object, in which null stands for a parameter that the scopes do not have.
-- Equal means are in the order of flow, step and params; groups without any value come last.
WITH
  -- Of scopes that still run as well: those are not there to be joined with.
  last_values AS (
    SELECT t.sid, arg_max(t.value, t.seq) FILTER (t.value IS NOT NULL) AS value
    FROM raw.tags AS t
    WHERE
      t.content = $tag::VARCHAR
      AND ($flow::VARCHAR IS NULL OR t.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR t.step = $step::VARCHAR)
      AND ($runs::VARCHAR[] IS NULL OR t.run IN (SELECT unnest($runs::VARCHAR[])))
    GROUP BY t.sid
  ),
  chosen AS MATERIALIZED (
    SELECT
      s.flow,
      s.step,
      s.params,
      s.status,
      v.sid IS NOT NULL AS is_tagged,
      CASE WHEN abs(v.value) < 1e150 THEN v.value END AS value
    FROM scopes AS s
    LEFT JOIN last_values AS v ON v.sid = s.sid
    WHERE
      ($flow::VARCHAR IS NULL OR s.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR s.step = $step::VARCHAR)
      AND ($runs::VARCHAR[] IS NULL OR s.run IN (SELECT unnest($runs::VARCHAR[])))
  ),
  -- Few texts of parameters stand for many scopes: each is taken apart once. A JSON pointer reaches every name.
  asked AS (
    SELECT p.name, '/' || replace(replace(p.name, '~', '~0'), '/', '~1') AS pointer, p.position
    FROM (
      SELECT unnest(g.names) AS name, unnest(range(1, len(g.names) + 1)) AS position
      FROM (SELECT $params::VARCHAR[] AS names) AS g
    ) AS p
  ),
  groups AS (
    SELECT
      d.params AS whole,
      CASE
        WHEN $params::VARCHAR[] IS NULL THEN coalesce(d.params, '{}')
        WHEN count(a.name) = 0 THEN '{}'
        ELSE CAST(
          to_json(map(list(a.name ORDER BY a.position), list(json_extract(d.params, a.pointer) ORDER BY a.position))) AS VARCHAR
        )
      END AS params
    FROM (SELECT DISTINCT c.params FROM chosen AS c) AS d
    LEFT JOIN asked AS a ON true
    GROUP BY d.params
  ),
  summary AS (
    SELECT
      c.flow,
      c.step,
      g.params,
      count(c.value) FILTER (c.status <> 'retried') AS n,
      count(*) FILTER (c.status <> 'retried') - n AS n_missing,
      min(c.value) FILTER (c.status <> 'retried') AS lowest,
      max(c.value) FILTER (c.status <> 'retried') AS highest,
      greatest(lowest, least(highest, favg(c.value) FILTER (c.status <> 'retried'))) AS mean, -- rounding may take it out of there
      CASE
        WHEN lowest = highest THEN CASE WHEN n > 1 THEN 0e0 END
        WHEN stddev_samp(c.value) FILTER (c.status <> 'retried') >= 1e-150 THEN stddev_samp(c.value) FILTER (c.status <> 'retried')
      END AS sd,
      bool_or(c.is_tagged) AS is_tagged
    FROM chosen AS c
    JOIN groups AS g ON g.whole IS NOT DISTINCT FROM c.params
    GROUP BY c.flow, c.step, g.params
  ),
  -- The 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom, as in every table of it. Beyond those the expansion 26.7.5 of
  -- Abramowitz and Stegun, Handbook of Mathematical Functions (1964), which is right to 7 digits there.
  student AS (
    SELECT
      unnest([
        12.7062047362e0, 4.3026527297e0, 3.1824463053e0, 2.7764451052e0, 2.5705818356e0, 2.4469118511e0,
        2.3646242516e0, 2.3060041352e0, 2.2621571628e0, 2.2281388520e0, 2.2009851601e0, 2.1788128297e0,
        2.1603686565e0, 2.1447866879e0, 2.1314495456e0, 2.1199052992e0, 2.1098155778e0, 2.1009220402e0,
        2.0930240544e0, 2.0859634473e0, 2.0796138447e0, 2.0738730679e0, 2.0686576104e0, 2.0638985616e0,
        2.0595385528e0, 2.0555294386e0, 2.0518305165e0, 2.0484071418e0, 2.0452296421e0, 2.0422724563e0
      ]) AS quantile,
      unnest(range(1, 31)) AS freedom
  ),
  intervals AS (
    SELECT
      s.*,
      bool_or(s.is_tagged) OVER (PARTITION BY s.flow, s.step) AS is_step_tagged,
      s.sd / sqrt(s.n) * coalesce(
        q.quantile,
        1.959963984540054e0 + 2.3722712302986e0 / (s.n - 1) + 2.8224986157396e0 / (s.n - 1) ** 2
        + 2.5558496795077e0 / (s.n - 1) ** 3 + 1.5895340533938e0 / (s.n - 1) ** 4
      ) AS half
    FROM summary AS s
    LEFT JOIN student AS q ON q.freedom = s.n - 1
  )
SELECT
  i.flow,
  i.step,
  i.params,
  i.n,
  i.n_missing,
  i.mean,
  i.sd,
  i.mean - i.half AS ci_low,
  i.mean + i.half AS ci_high,
  i.lowest,
  i.highest
FROM intervals AS i
WHERE i.is_step_tagged AND i.n + i.n_missing > 0
ORDER BY CASE WHEN $best::VARCHAR = 'lowest' THEN i.mean ELSE -i.mean END NULLS LAST, i.flow, i.step, i.params;
