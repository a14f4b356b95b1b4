-- Where did the time go? One row for each step of each run, what took longest first.
--
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any
-- $runs  slugs of the runs, as a list of texts; null: all
--
-- Durations are in milliseconds, by the scopes that ended 'ok' or 'error'; attempts that were retried count in n_retried and retried_ms
-- alone. dispatch_ms is what the engine spent on starting those scopes, encode_ms what the encoding of artifacts took of their
-- durations: sums, null where nothing was measured. overhead is both together as a share of the time of those scopes of which one
-- of them was measured, dispatch included; null where that is no scope, or no time.
SELECT
  s.flow,
  s.step,
  s.run,
  count(*) FILTER (s.status <> 'retried') AS n,
  sum(s.duration_ms) FILTER (s.status <> 'retried') AS total_ms,
  avg(s.duration_ms) FILTER (s.status <> 'retried') AS mean_ms,
  median(s.duration_ms) FILTER (s.status <> 'retried') AS median_ms,
  quantile_cont(s.duration_ms, 0.95) FILTER (s.status <> 'retried') AS p95_ms,
  max(s.duration_ms) FILTER (s.status <> 'retried') AS max_ms,
  count(*) FILTER (s.status = 'retried') AS n_retried,
  coalesce(sum(s.duration_ms) FILTER (s.status = 'retried'), 0) AS retried_ms,
  sum(s.dispatch_ms) FILTER (s.status <> 'retried') AS dispatch_ms,
  sum(s.encode_ms) FILTER (s.status <> 'retried') AS encode_ms,
  sum(coalesce(s.dispatch_ms, 0) + coalesce(s.encode_ms, 0)) FILTER (s.status <> 'retried')
  / nullif(
    sum(s.duration_ms + coalesce(s.dispatch_ms, 0)) FILTER (s.status <> 'retried' AND coalesce(s.dispatch_ms, s.encode_ms) IS NOT NULL),
    0
  ) AS overhead
FROM scopes AS s
WHERE
  s.status <> 'skipped'
  AND ($flow::VARCHAR IS NULL OR s.flow = $flow::VARCHAR)
  AND ($step::VARCHAR IS NULL OR s.step = $step::VARCHAR)
  AND ($runs::VARCHAR[] IS NULL OR s.run IN (SELECT unnest($runs::VARCHAR[])))
GROUP BY s.flow, s.step, s.run
ORDER BY total_ms DESC NULLS LAST, s.flow, s.step, s.run;
