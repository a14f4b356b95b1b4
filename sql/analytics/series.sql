-- How does a tag go on? One row for each time that it was set, in the order of scopes, and within a scope in that of time.
--
-- $tag   content of the tag, such as 'loss'
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any, and the runs' own tags as well
-- $runs  slugs of the runs, as a list of texts; null: all
--
-- position counts from 0 within a scope. value is null where the tag was set without a number; NaN and infinities are as they were
-- recorded. In a tag of the run itself, what belongs to scopes is null. Attempts that were retried are left out.
WITH
  -- Of scopes that still run as well: those are not there to be joined with.
  marks AS MATERIALIZED (
    SELECT t.sid, t.flow, t.run, t.step, t.seq, t.value
    FROM raw.tags AS t
    WHERE
      t.content = $tag::VARCHAR
      AND ($flow::VARCHAR IS NULL OR t.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR t.step = $step::VARCHAR)
      AND ($runs::VARCHAR[] IS NULL OR t.run IN (SELECT unnest($runs::VARCHAR[])))
  ),
  placed AS (
    SELECT m.*, s.id, s.status, s.started_at, s.params
    FROM marks AS m
    JOIN scopes AS s ON s.sid = m.sid
    WHERE s.status <> 'retried'
    UNION ALL
    SELECT m.*, NULL, NULL, NULL, NULL
    FROM marks AS m
    ANTI JOIN deleted_runs AS d ON d.run_number = m.sid // 4294967296
    WHERE m.sid % 4294967296 = 0
  )
SELECT
  p.sid,
  p.flow,
  p.run,
  p.step,
  p.id,
  p.status,
  CAST(row_number() OVER (PARTITION BY p.sid ORDER BY p.seq) - 1 AS INTEGER) AS position,
  p.value,
  CAST(p.started_at AS TIMESTAMP_MS) AS started_at, -- Parquet files give it back in microseconds
  p.params
FROM placed AS p
ORDER BY p.sid, p.seq;
