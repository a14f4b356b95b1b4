-- Which metrics moved between runs, by how much, and more than by chance? For each step and tag with numbers one row a run after
-- the first, which is compared with the first; what moved most surely first.
--
-- $runs  slugs of the runs, as a list of texts, at least two: the first is the baseline
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any, and the tags of the runs themselves as well
--
-- The value of a scope is the last number that it gave to the tag; NaN, infinities and numbers beyond 1e150 count nowhere. A tag that
-- only one of two runs has is there with n = 0 for the other. relative is the difference as a share of the baseline's mean, null
-- where that is 0. p_value is that of Welch's test, in which the variances of both runs may differ: how likely chance alone makes a
-- difference as large as this one or larger. is_noise says that it is 0.05 or more. Both are null where one of the runs has fewer
-- than two values, or has values that differ by so little that its sd, then null as well, would be below 1e-150, whose square no DOUBLE
-- holds; where neither of them varies, p_value is 1 for equal means and else 0. In a tag of the run itself, step is null.
-- Attempts that were retried are left out. No correction is made for comparing many metrics: of twenty that did not move, one moves.
WITH
  asked AS (
    SELECT unnest(g.runs) AS run, unnest(range(1, len(g.runs) + 1)) AS position
    FROM (SELECT $runs::VARCHAR[] AS runs) AS g
  ),
  last_values AS (
    SELECT t.sid, t.run, t.step, t.content, arg_max(t.value, t.seq) AS value
    FROM tags AS t
    SEMI JOIN asked AS a ON a.run = t.run
    ANTI JOIN (SELECT s.sid FROM scopes AS s WHERE s.status = 'retried') AS retried ON retried.sid = t.sid
    WHERE
      t.value IS NOT NULL
      AND ($flow::VARCHAR IS NULL OR t.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR t.step = $step::VARCHAR)
    GROUP BY t.sid, t.run, t.step, t.content
  ),
  summary AS (
    SELECT
      v.run,
      v.step,
      v.content,
      count(*) AS n,
      -- Else rounding, which depends on how many values there are, would tell runs apart that are the same.
      greatest(min(v.value), least(max(v.value), favg(v.value))) AS mean,
      CASE
        WHEN min(v.value) = max(v.value) THEN CASE WHEN count(*) > 1 THEN 0e0 END
        WHEN stddev_samp(v.value) >= 1e-150 THEN stddev_samp(v.value)
      END AS sd
    FROM last_values AS v
    WHERE abs(v.value) < 1e150
    GROUP BY v.run, v.step, v.content
  ),
  pairs AS (
    SELECT
      m.step,
      m.content AS tag,
      a.run,
      a.position,
      coalesce(s.n, 0) AS n,
      s.mean,
      s.sd,
      b.run AS baseline,
      coalesce(bs.n, 0) AS baseline_n,
      bs.mean AS baseline_mean,
      bs.sd AS baseline_sd,
      -- The variance of the difference of the means, and what each run has in it.
      s.sd ** 2 / s.n + bs.sd ** 2 / bs.n AS variance,
      s.sd ** 2 / s.n AS own_part,
      bs.sd ** 2 / bs.n AS baseline_part
    FROM (SELECT DISTINCT s.step, s.content FROM summary AS s) AS m
    CROSS JOIN asked AS a
    JOIN asked AS b ON b.position = 1 AND a.position > 1
    LEFT JOIN summary AS s ON s.run = a.run AND s.content = m.content AND s.step IS NOT DISTINCT FROM m.step
    LEFT JOIN summary AS bs ON bs.run = b.run AND bs.content = m.content AND bs.step IS NOT DISTINCT FROM m.step
    WHERE s.n > 0 OR bs.n > 0
  ),
  tested AS (
    SELECT
      p.*,
      p.mean - p.baseline_mean AS difference,
      CASE WHEN p.variance > 0 THEN abs(p.mean - p.baseline_mean) / sqrt(p.variance) END AS t,
      -- Of the degrees of freedom more than a million are as good as a million.
      CASE
        WHEN p.variance > 0
        THEN least(1e6, 1 / ((p.own_part / p.variance) ** 2 / (p.n - 1) + (p.baseline_part / p.variance) ** 2 / (p.baseline_n - 1)))
      END AS freedom
    FROM pairs AS p
  ),
  -- The two tails of Student's t are c * the integral of cos(u) ** (freedom - 1) from atan(t / sqrt(freedom)) to pi / 2; it ends here
  -- where the integrand has become 1e-17 of what it is at the beginning. The midpoint rule goes along u = start + width * w(x), x from 0
  -- to 1, where w(x) = 35 x⁴ - 84 x⁵ + 70 x⁶ - 20 x⁷ and so 140 x³ (1 - x)³ dx: at both ends nothing is left that could make it inexact.
  tails AS (
    SELECT
      t.*,
      atan(t.t / sqrt(t.freedom)) AS start,
      acos(cos(atan(t.t / sqrt(t.freedom))) * 1e-17 ** (1 / greatest(t.freedom - 1, 0.01e0))) - atan(t.t / sqrt(t.freedom)) AS width,
      2 / sqrt(pi()) * exp(lgamma((t.freedom + 1) / 2) - lgamma(t.freedom / 2)) AS c
    FROM tested AS t
  ),
  judged AS (
    SELECT
      t.*,
      CASE
        WHEN t.variance = 0 THEN CASE WHEN t.difference = 0 THEN 1e0 ELSE 0e0 END
        WHEN t.variance > 0 THEN (
          SELECT
            least(
              1e0,
              t.c * t.width * avg(
                cos(t.start + t.width * x.x ** 4 * (35 - 84 * x.x + 70 * x.x ** 2 - 20 * x.x ** 3)) ** (t.freedom - 1)
                * 140 * (x.x * (1 - x.x)) ** 3
              )
            )
          FROM (SELECT (unnest(range(400)) + 0.5e0) / 400 AS x) AS x
        )
      END AS p_value
    FROM tails AS t
  )
SELECT
  j.step,
  j.tag,
  j.run,
  j.n,
  j.mean,
  j.sd,
  j.baseline,
  j.baseline_n,
  j.baseline_mean,
  j.baseline_sd,
  j.difference,
  j.difference / nullif(abs(j.baseline_mean), 0) AS relative,
  j.p_value,
  j.p_value >= 0.05 AS is_noise
FROM judged AS j
ORDER BY j.p_value NULLS LAST, abs(relative) DESC NULLS LAST, j.step NULLS FIRST, j.tag, j.position;
