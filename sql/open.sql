-- Opens a store in plain DuckDB, from version 1.1 on, also while it is being written: `.read open.sql` on its command line,
-- `con.execute(open('open.sql').read())` in Python. It needs no extension but parquet and json, which are built in.
--
-- The schema raw then holds the tables as they were at that moment, and main the views scopes, tags, artifacts, logs, edges
-- and runs. Run it again to see what has been written since. For a store that was moved, or is mounted elsewhere, say before
-- each run SET VARIABLE store = '/where/it/is/now';

SET VARIABLE store = coalesce(getvariable('store'), '/where/the/store/is');

-- DuckDB takes every path for a pattern: a character that would mean something in it is put into brackets.
CREATE OR REPLACE TEMP MACRO folder_of(table_name) AS
  regexp_replace(getvariable('store'), '([*?[])', '[\1]', 'g') || '/' || table_name || '/';

-- The segments of a table: those that its transaction log (Delta Lake) has added and not removed since.
CREATE OR REPLACE TEMP MACRO segments_of(table_name) AS (
  SELECT list(folder_of(table_name) || path ORDER BY added_in, path)
  FROM (
    SELECT coalesce("add".path, remove.path) AS path, max(filename) AS added_in, arg_max("add" IS NOT NULL, filename) AS live
    FROM read_json(
      folder_of(table_name) || '_delta_log/*[0-9].json',
      format = 'newline_delimited',
      columns = {'add': 'STRUCT(path VARCHAR)', 'remove': 'STRUCT(path VARCHAR)'},
      filename = true,
      hive_partitioning = false -- a folder on the way here may be called run=5
    )
    GROUP BY ALL
  )
  WHERE path IS NOT NULL AND live
);

-- Scopes first: what they refer to was written before them, so the other tables hold at least as much.
SET VARIABLE scopes_segments = segments_of('scopes');
SET VARIABLE artifacts_segments = segments_of('artifacts');
SET VARIABLE tags_segments = segments_of('tags');
SET VARIABLE logs_segments = segments_of('logs');
SET VARIABLE edges_segments = segments_of('edges');
SET VARIABLE runs_segments = segments_of('runs');
RESET VARIABLE store; -- or the open.sql of another store would open this one again

CREATE SCHEMA IF NOT EXISTS raw;
CREATE OR REPLACE VIEW raw.scopes AS SELECT * FROM read_parquet(getvariable('scopes_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.artifacts AS SELECT * FROM read_parquet(getvariable('artifacts_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.tags AS SELECT * FROM read_parquet(getvariable('tags_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.logs AS SELECT * FROM read_parquet(getvariable('logs_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.edges AS SELECT * FROM read_parquet(getvariable('edges_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.runs AS SELECT * FROM read_parquet(getvariable('runs_segments'), hive_partitioning = false);
