-- How does a tag go on? One row for each time that it was set, in the order of scopes, and within a scope in that of time.
--
-- $tag   content of the tag, such as 'loss'
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any, and the runs' own tags as well
-- $runs  slugs of the runs, as a list of texts; null: all
--
-- position counts from 0 within a scope. value is null where the tag was set without a number; NaN and infinities are as they were
-- recorded. In a tag of the run itself, what belongs to scopes is null. Attempts that were retried are left out.
SELECT
  t.sid,
  t.flow,
  t.run,
  t.step,
  s.id,
  s.status,
  CAST(row_number() OVER (PARTITION BY t.sid ORDER BY t.seq) - 1 AS INTEGER) AS position,
  t.value,
  CAST(s.started_at AS TIMESTAMP_MS) AS started_at, -- Parquet files give it back in microseconds
  s.params
FROM tags AS t
LEFT JOIN scopes AS s ON s.sid = t.sid
WHERE
  t.content = $tag::VARCHAR
  AND coalesce(s.status, '') <> 'retried'
  AND ($flow::VARCHAR IS NULL OR t.flow = $flow::VARCHAR)
  AND ($step::VARCHAR IS NULL OR t.step = $step::VARCHAR)
  AND ($runs::VARCHAR[] IS NULL OR t.run IN (SELECT unnest($runs::VARCHAR[])))
ORDER BY t.sid, t.seq;
