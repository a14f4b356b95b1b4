-- Which steps are flaky? One row for each step, by how often its attempts fail.
--
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any
-- $runs  slugs of the runs, as a list of texts; null: all
--
-- Attempts at one position of a run belong together: n counts positions, attempts the rows. A position was retried if there is more than
-- one attempt, and goes by its last one: failed, recovered (ok after it was retried), or unfinished (another attempt was to follow that
-- never ended). Skipped scopes are left out. attempt_failure_rate is failed attempts to attempts, failure_rate failed to n, retry_rate
-- retried to n, recovery_rate recovered to retried, null where none was.
WITH
  attempts AS (
    SELECT s.flow, s.step, s.run, s.path, s.attempt, s.sid, s.status
    FROM scopes AS s
    WHERE
      s.status <> 'skipped'
      AND ($flow::VARCHAR IS NULL OR s.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR s.step = $step::VARCHAR)
      AND ($runs::VARCHAR[] IS NULL OR s.run IN (SELECT unnest($runs::VARCHAR[])))
  ),
  positions AS (
    SELECT
      a.flow,
      a.step,
      count(*) AS attempts,
      count(*) FILTER (a.status <> 'ok') AS failed_attempts,
      count(*) > 1 AS is_retried,
      arg_max(a.status, a.sid) AS status
    FROM attempts AS a
    GROUP BY a.flow, a.step, a.run, a.path
  )
SELECT
  p.flow,
  p.step,
  count(*) AS n,
  CAST(sum(p.attempts) AS BIGINT) AS attempts,
  count(*) FILTER (p.is_retried) AS retried,
  count(*) FILTER (p.is_retried AND p.status = 'ok') AS recovered,
  count(*) FILTER (p.status = 'error') AS failed,
  count(*) FILTER (p.status = 'retried') AS unfinished,
  CAST(sum(p.failed_attempts) / sum(p.attempts) AS DOUBLE) AS attempt_failure_rate,
  count(*) FILTER (p.status = 'error') / count(*) AS failure_rate,
  count(*) FILTER (p.is_retried) / count(*) AS retry_rate,
  count(*) FILTER (p.is_retried AND p.status = 'ok') / nullif(count(*) FILTER (p.is_retried), 0) AS recovery_rate
FROM positions AS p
GROUP BY p.flow, p.step
ORDER BY attempt_failure_rate DESC, attempts DESC, p.flow, p.step;
