-- The views that people query, over the tables of sql/schema.sql. A child row (tag, artifact, log, edge) is shown once its scope
-- is there, or if it belongs to the run itself (ordinal 0), unless that was deleted: rows of a step that is still running may already
-- stand in the raw tables. What belongs to runs finds the -1 beside the keys of the scopes: so each table is read once, where a half for
-- scopes and one for runs read it twice, and a condition of who asks reaches it, as it would not with one WHERE … OR ….

-- Which scopes are there, by their id flow.step.run.path? Of several attempts at one step all have the same id.
CREATE OR REPLACE VIEW scopes AS
SELECT
  concat_ws('.', s.flow, s.step, s.run, s.path) AS id,
  s.sid,
  s.sid // 4294967296 AS run_number,
  s.sid % 4294967296 AS ordinal,
  s.flow, s.step, s.run, s.path, s.attempt, s.parent_sid, s.ref_sid, s.status, s.started_at, s.duration_ms, s.dispatch_ms,
  s.encode_ms, s.error_message, s.error_stack, s.params, s.pushes, s.seed, s.source_hash
FROM raw.scopes AS s;

-- Which runs were deleted? Their scopes leave the tables a moment after that is recorded, and what the run itself has with them.
CREATE OR REPLACE VIEW deleted_runs AS
SELECT DISTINCT e.run_number
FROM raw.runs AS e
WHERE e.event = 'deleted';

-- Which tags have scopes and runs? step is null in a tag of the run.
CREATE OR REPLACE VIEW tags AS
SELECT t.sid, t.flow, t.step, t.run, t.seq, t.content, t.value
FROM raw.tags AS t
SEMI JOIN (SELECT sid FROM raw.scopes UNION ALL SELECT -1) AS s ON s.sid = if(t.sid % 4294967296 = 0, -1, t.sid)
ANTI JOIN deleted_runs AS d ON d.run_number * 4294967296 = t.sid;

-- Which artifacts do scopes keep? Of a name that was kept again only the last value.
CREATE OR REPLACE VIEW artifacts AS
SELECT a.sid, a.flow, a.step, a.run, a.seq, a.name, a.codec, a.text, a.bytes
FROM raw.artifacts AS a
SEMI JOIN (SELECT sid FROM raw.scopes UNION ALL SELECT -1) AS s ON s.sid = if(a.sid % 4294967296 = 0, -1, a.sid)
ANTI JOIN deleted_runs AS d ON d.run_number * 4294967296 = a.sid
ANTI JOIN raw.artifacts AS later ON later.sid = a.sid AND later.name = a.name AND later.seq > a.seq;

-- What did scopes and runs log? step is null in a message of the run.
CREATE OR REPLACE VIEW logs AS
SELECT l.sid, l.flow, l.step, l.run, l.seq, l.level, l.message, l.logged_at
FROM raw.logs AS l
SEMI JOIN (SELECT sid FROM raw.scopes UNION ALL SELECT -1) AS s ON s.sid = if(l.sid % 4294967296 = 0, -1, l.sid)
ANTI JOIN deleted_runs AS d ON d.run_number * 4294967296 = l.sid;

-- Which scope had to do with which other?
CREATE OR REPLACE VIEW edges AS
SELECT e.sid, e.flow, e.run, e.kind, e.target_sid, e.name
FROM raw.edges AS e
SEMI JOIN (SELECT sid FROM raw.scopes UNION ALL SELECT -1) AS s ON s.sid = if(e.sid % 4294967296 = 0, -1, e.sid)
ANTI JOIN deleted_runs AS d ON d.run_number * 4294967296 = e.sid;

-- Which runs have begun, or gone on, and not ended since? started_at is the latest start, starts counts all of them. A run whose process
-- died is here until the next one that writes to the store has found that out.
CREATE OR REPLACE VIEW live_runs AS
SELECT
  e.run_number,
  min(e.uuid) AS uuid,
  min(e.slug) AS slug,
  min(e.flow) AS flow,
  max(e.happened_at) FILTER (e.event IN ('started', 'resumed')) AS started_at,
  count(*) FILTER (e.event IN ('started', 'resumed')) AS starts
FROM raw.runs AS e
GROUP BY e.run_number
HAVING
  arg_max(
    e.event,
    epoch_ms(e.happened_at) * 8 + coalesce(list_position(['started', 'ended', 'aborted', 'resumed'], e.event), 0)
  ) IN ('started', 'resumed')
  AND NOT bool_or(e.event = 'deleted');

-- Which tags have the scopes that are still running, in runs that are? They turn up here a flush after they were made, half a second by
-- default, and leave for the view tags with the flush that brings their scope.
CREATE OR REPLACE VIEW live_tags AS
SELECT t.sid, t.flow, t.step, t.run, t.seq, t.content, t.value
FROM raw.tags AS t
SEMI JOIN live_runs AS r ON r.slug = t.run
ANTI JOIN raw.scopes AS s ON s.sid = t.sid
WHERE t.sid % 4294967296 <> 0;

-- What have the scopes logged so far that are still running?
CREATE OR REPLACE VIEW live_logs AS
SELECT l.sid, l.flow, l.step, l.run, l.seq, l.level, l.message, l.logged_at
FROM raw.logs AS l
SEMI JOIN live_runs AS r ON r.slug = l.run
ANTI JOIN raw.scopes AS s ON s.sid = l.sid
WHERE l.sid % 4294967296 <> 0;

-- How did each run go? One row a run, whose latest event decides: started_at is its first start, the duration counts from the
-- latest start or resumption, and both end and duration are null while it runs.
CREATE OR REPLACE VIEW runs AS
WITH
  events AS (
    SELECT
      e.run_number, e.uuid, e.slug, e.flow, e.event, e.happened_at,
      CASE WHEN json_valid(e.details) THEN e.details END AS details,
      -- Events of one millisecond follow each other in the order of a run's life; deletion is the last of them, whatever clocks say.
      if(
        e.event = 'deleted',
        9223372036854775807,
        epoch_ms(e.happened_at) * 8 + coalesce(list_position(['started', 'ended', 'aborted', 'resumed'], e.event), 0)
      ) AS rank
    FROM raw.runs AS e
  ),
  folded AS (
    SELECT
      e.run_number,
      min(e.uuid) AS uuid,
      min(e.slug) AS slug,
      min(e.flow) AS flow,
      arg_max(e.event, e.rank) AS last_event,
      min(e.happened_at) FILTER (e.event = 'started') AS started_at,
      arg_max(e.happened_at, e.rank) FILTER (e.event IN ('started', 'resumed')) AS last_started_at,
      arg_max(e.event, e.rank) FILTER (e.event <> 'deleted') AS last_live_event,
      arg_max(e.happened_at, e.rank) FILTER (e.event IN ('ended', 'aborted')) AS last_ended_at,
      arg_min(e.details, e.rank) FILTER (e.event = 'started') AS start_details,
      arg_max(e.details, e.rank) FILTER (e.event = 'ended') AS last_end_details
    FROM events AS e
    GROUP BY e.run_number
  ),
  counted AS (
    SELECT s.sid // 4294967296 AS run_number, count(*) AS scopes, count(*) FILTER (s.status = 'error') AS errors
    FROM raw.scopes AS s
    GROUP BY s.sid // 4294967296
  ),
  tagged AS (
    SELECT t.sid // 4294967296 AS run_number, list({'content': t.content, 'value': t.value} ORDER BY t.seq) AS tags
    FROM raw.tags AS t
    ANTI JOIN deleted_runs AS d ON d.run_number = t.sid // 4294967296
    WHERE t.sid % 4294967296 = 0
    GROUP BY t.sid // 4294967296
  )
SELECT
  f.run_number,
  f.uuid,
  f.slug,
  f.flow,
  CASE
    -- 'merging' is a run that is being brought in from another store, or was when its process died: it may be there in part.
    WHEN f.last_event IN ('deleted', 'aborted', 'merging') THEN f.last_event
    WHEN f.last_event = 'ended' THEN coalesce(json_extract_string(f.last_end_details, '$.state'), 'finished')
    -- Nobody has heard of its process for a minute: whoever reads the store sets the variable; null means that none has lapsed.
    WHEN list_contains(getvariable('lapsed_runs'), f.run_number) THEN 'unknown'
    ELSE 'running'
  END AS state,
  f.started_at,
  CASE WHEN f.last_live_event IN ('ended', 'aborted') THEN f.last_ended_at END AS ended_at,
  CAST(
    CASE f.last_live_event
      WHEN 'ended' THEN coalesce(
        CAST(json_extract_string(f.last_end_details, '$.durationMs') AS DOUBLE),
        epoch_ms(f.last_ended_at) - epoch_ms(f.last_started_at)
      )
      WHEN 'aborted' THEN epoch_ms(f.last_ended_at) - epoch_ms(f.last_started_at)
    END AS DOUBLE
  ) AS duration_ms,
  coalesce(c.scopes, 0) AS scopes,
  coalesce(c.errors, 0) AS errors,
  coalesce(t.tags, []) AS tags,
  f.start_details,
  CASE WHEN f.last_live_event = 'ended' THEN f.last_end_details END AS end_details
FROM folded AS f
LEFT JOIN counted AS c ON c.run_number = f.run_number
LEFT JOIN tagged AS t ON t.run_number = f.run_number;
