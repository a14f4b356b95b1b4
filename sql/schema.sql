-- The tables of a store, as Parquet segments or in a .duckdb file. No keys and no indexes: rows are appended in batches, each
-- key is unique by construction, and no table is ever updated in place.
--
-- sid     key of a scope: run number * 2^32 + ordinal, below 2^53. Ordinals are given in the order in which attempts start.
--         Ordinal 0 is the run itself: it has no row in scopes, but tags and logs of its own, in which step is null.
-- times   UTC, in milliseconds.
-- flow, run and step stand in every row, so that it can be filtered without a join; run is the run's slug.

CREATE SCHEMA IF NOT EXISTS raw;

-- Artifacts that scopes keep.
CREATE TABLE raw.artifacts (
  sid BIGINT, -- the scope that kept it; never null
  flow VARCHAR, -- name of the flow; never null
  run VARCHAR, -- slug of the run; never null
  step VARCHAR, -- name of the step; null where the run itself kept it
  seq INTEGER, -- position among the artifacts of the scope, from 0; of two with one name the later counts; never null
  name VARCHAR, -- name of the artifact; never null
  codec VARCHAR, -- how to read it back: 'json' and 'superjson' are in text, 'bytes' and 'arrow' in bytes; never null
  text VARCHAR, -- the value as JSON; null where the codec uses bytes
  bytes BLOB -- the value as bytes; null where the codec uses text
);

-- Tags of scopes and of runs. A tag that is repeated within a scope is a series, in the order of seq.
CREATE TABLE raw.tags (
  sid BIGINT, -- the scope, or with ordinal 0 the run, that was tagged; never null
  flow VARCHAR, -- name of the flow; never null
  run VARCHAR, -- slug of the run; never null
  step VARCHAR, -- name of the step; null for a tag of the run
  seq INTEGER, -- position among the tags of the scope, from 0; never null
  content VARCHAR, -- text of the tag; never null
  value DOUBLE -- number of the tag, NaN and infinities included; null where it has none
);

-- Log messages of scopes and of runs.
CREATE TABLE raw.logs (
  sid BIGINT, -- the scope, or with ordinal 0 the run, that logged; never null
  flow VARCHAR, -- name of the flow; never null
  run VARCHAR, -- slug of the run; never null
  step VARCHAR, -- name of the step; null for a message of the run
  seq INTEGER, -- position among the messages of the scope, from 0; never null
  level VARCHAR, -- 'trace', 'debug', 'info', 'success', 'warning', 'error' or 'critical'; never null
  message VARCHAR, -- text of the message; never null
  logged_at TIMESTAMP_MS -- when it was logged; never null
);

-- What steps searched and recalled through their own handles while they ran, each once.
CREATE TABLE raw.edges (
  sid BIGINT, -- the scope whose step did something with another; never null
  flow VARCHAR, -- name of the flow of sid; never null
  run VARCHAR, -- slug of the run of sid; never null
  kind VARCHAR, -- what it did: 'searched' (a search of its delivered the other) or 'recalled' (it recalled an artifact of it); never null
  target_sid BIGINT, -- the other scope, perhaps of an older run; never null
  name VARCHAR -- name of the artifact that was recalled; null where it was searched
);

-- One row for each attempt at a step that has ended. A scope is in the store when its row is here.
CREATE TABLE raw.scopes (
  sid BIGINT, -- key; never null
  flow VARCHAR, -- name of the flow; never null
  run VARCHAR, -- slug of the run; never null
  step VARCHAR, -- name of the step; never null
  path VARCHAR, -- place in the flow: group, index in it, then the index of each push on the way, '0-12-3'; never null
  attempt INTEGER, -- 1 for the first; a retried step has a row for each attempt; never null
  parent_sid BIGINT, -- the scope whose step pushed this one; null where it was pushed from outside
  ref_sid BIGINT, -- the scope that recall reads from instead of this one; null where there is none
  status VARCHAR, -- 'ok', 'error', 'retried' (a failed attempt that another followed) or 'skipped'; never null
  started_at TIMESTAMP_MS, -- when the attempt started; never null
  duration_ms DOUBLE, -- from start to end, in milliseconds, by a clock that never jumps; never null
  dispatch_ms DOUBLE, -- what the engine spent on starting it, in milliseconds; null where it was not measured
  encode_ms DOUBLE, -- of the duration, what the encoding of artifacts took, in milliseconds; null where it was not measured
  error_message VARCHAR, -- message of what was thrown; null where nothing was
  error_stack VARCHAR, -- its stack; null where nothing was thrown, or it had none
  params VARCHAR, -- the plain values pushed with the step, as a JSON object with sorted keys; null where there are none
  pushes VARCHAR, -- what the step pushed, as JSON, from which an interrupted run can go on; null where it was not recorded
  seed BIGINT, -- seed of the random generator in its context; null where it was not recorded
  source_hash VARCHAR -- hash of the source text of the step's function; null where it was not taken
);

-- What happened to runs, one row an event. The view runs folds it into one row a run.
CREATE TABLE raw.runs (
  run_number BIGINT, -- the run; never null
  uuid VARCHAR, -- UUIDv7 of the run; never null
  slug VARCHAR, -- its slug; never null
  flow VARCHAR, -- name of its flow; never null
  event VARCHAR, -- 'started', 'ended', 'aborted' (found dead by another process), 'resumed', 'deleted'; or 'merging', before all others of a run that comes from another store; never null
  happened_at TIMESTAMP_MS, -- when; never null
  details VARCHAR -- a JSON object; started: params, seed, git, host, argv, versions; ended: state, durationMs, error; else null
);
