-- Opens a store in plain DuckDB, from version 1.1 on, also while it is being written: `.read open.sql` on its command line,
-- `con.execute(open('open.sql').read())` in Python. It needs no extension but parquet and json, which are built in.
--
-- The schema raw then holds the tables as they were at that moment, and main the views scopes, tags, artifacts, logs, edges
-- and runs. Run it again to see what has been written since. For a store that was moved, or is mounted elsewhere, say before
-- each run SET VARIABLE store = '/where/it/is/now';

SET VARIABLE store = coalesce(getvariable('store'), '/where/the/store/is');

-- DuckDB takes every path for a pattern: a character that would mean something in it is put into brackets.
CREATE OR REPLACE TEMP MACRO pattern_of(path) AS regexp_replace(path, '([*?[])', '[\1]', 'g');
CREATE OR REPLACE TEMP MACRO folder_of(table_name) AS pattern_of(getvariable('store')) || '/' || table_name || '/';

-- The last checkpoint of a table's transaction log (Delta Lake), and the versions of the log that come after it.
CREATE OR REPLACE TEMP MACRO checkpoint_of(table_name) AS (
  SELECT coalesce(max(file), error('there is no store in ' || getvariable('store')))
  FROM glob(folder_of(table_name) || '_delta_log/*.checkpoint.parquet')
);
-- An entry that is missing must not pass for a version that did nothing. A folder that is being written may leave one out.
CREATE OR REPLACE TEMP MACRO version_in(file) AS CAST(regexp_extract(file, '(\d{20})[^/\\]*$', 1) AS BIGINT);
CREATE OR REPLACE TEMP MACRO versions_of(table_name, checkpoint) AS (
  SELECT CASE
    WHEN count(*) = max(version_in(file)) - version_in(checkpoint) + 1 THEN list(pattern_of(file) ORDER BY file)
    ELSE error('an entry is missing from the log ' || folder_of(table_name) || '_delta_log: run this again, or ask verify()')
  END
  FROM glob(folder_of(table_name) || '_delta_log/*[0-9].json')
  WHERE file >= replace(checkpoint, '.checkpoint.parquet', '.json')
);

-- The segments of a table: those that its log has added and not removed since.
CREATE OR REPLACE TEMP MACRO segments_of(table_name, checkpoint, versions) AS (
  SELECT list(folder_of(table_name) || path ORDER BY added_in, path)
  FROM (
    SELECT path, max(file) AS added_in, arg_max(is_added, file) AS is_live
    FROM (
      SELECT '' AS file, "add".path AS path, true AS is_added
      FROM read_parquet(pattern_of(checkpoint), hive_partitioning = false) -- a folder on the way here may be called run=5
      WHERE "add" IS NOT NULL
      UNION ALL
      SELECT filename, coalesce("add".path, remove.path), "add" IS NOT NULL
      FROM read_json(
        versions,
        format = 'newline_delimited',
        columns = {'add': 'STRUCT(path VARCHAR)', 'remove': 'STRUCT(path VARCHAR)'},
        filename = true,
        hive_partitioning = false
      )
    )
    WHERE path IS NOT NULL
    GROUP BY path
  )
  WHERE is_live
);

-- Scopes first: what they refer to was written before them, so the other tables hold at least as much.
SET VARIABLE checkpoint = checkpoint_of('scopes');
SET VARIABLE versions = versions_of('scopes', getvariable('checkpoint'));
SET VARIABLE scopes_segments = segments_of('scopes', getvariable('checkpoint'), getvariable('versions'));
SET VARIABLE checkpoint = checkpoint_of('artifacts');
SET VARIABLE versions = versions_of('artifacts', getvariable('checkpoint'));
SET VARIABLE artifacts_segments = segments_of('artifacts', getvariable('checkpoint'), getvariable('versions'));
SET VARIABLE checkpoint = checkpoint_of('tags');
SET VARIABLE versions = versions_of('tags', getvariable('checkpoint'));
SET VARIABLE tags_segments = segments_of('tags', getvariable('checkpoint'), getvariable('versions'));
SET VARIABLE checkpoint = checkpoint_of('logs');
SET VARIABLE versions = versions_of('logs', getvariable('checkpoint'));
SET VARIABLE logs_segments = segments_of('logs', getvariable('checkpoint'), getvariable('versions'));
SET VARIABLE checkpoint = checkpoint_of('edges');
SET VARIABLE versions = versions_of('edges', getvariable('checkpoint'));
SET VARIABLE edges_segments = segments_of('edges', getvariable('checkpoint'), getvariable('versions'));
SET VARIABLE checkpoint = checkpoint_of('runs');
SET VARIABLE versions = versions_of('runs', getvariable('checkpoint'));
SET VARIABLE runs_segments = segments_of('runs', getvariable('checkpoint'), getvariable('versions'));
-- The runs whose process has not been heard of for a minute: it touches the claim of its run every ten seconds. SQL cannot look at the
-- process itself: one that lives here and has long held its event loop is unknown too, while the library says that it is running.
SET VARIABLE claims = (SELECT list(pattern_of(file)) FROM glob(folder_of('_runs') || '[0-9]*.json'));
SET VARIABLE lapsed_runs = (
  SELECT list(CAST(regexp_extract(filename, '(\d+)\.json$', 1) AS BIGINT))
  FROM read_text(coalesce(getvariable('claims'), []::VARCHAR[]))
  WHERE epoch_ms(last_modified) < epoch_ms(now()) - 60000
);

RESET VARIABLE store; -- or the open.sql of another store would open this one again

CREATE SCHEMA IF NOT EXISTS raw;
-- A run that is being deleted leaves the other tables before its scopes have left the list above.
SET VARIABLE deleted = (
  SELECT list(run_number) FROM read_parquet(getvariable('runs_segments'), hive_partitioning = false) WHERE event = 'deleted'
);
CREATE OR REPLACE VIEW raw.scopes AS
SELECT * FROM read_parquet(getvariable('scopes_segments'), hive_partitioning = false)
WHERE NOT coalesce(list_contains(getvariable('deleted'), sid // 4294967296), false);
CREATE OR REPLACE VIEW raw.artifacts AS SELECT * FROM read_parquet(getvariable('artifacts_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.tags AS SELECT * FROM read_parquet(getvariable('tags_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.logs AS SELECT * FROM read_parquet(getvariable('logs_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.edges AS SELECT * FROM read_parquet(getvariable('edges_segments'), hive_partitioning = false);
CREATE OR REPLACE VIEW raw.runs AS SELECT * FROM read_parquet(getvariable('runs_segments'), hive_partitioning = false);
