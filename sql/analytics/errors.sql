-- What goes wrong, and how often? One row for each kind of message, the most frequent first.
--
-- $flow  name of the flow; null: any
-- $step  name of the step; null: any
-- $runs  slugs of the runs, as a list of texts; null: all
--
-- Messages are of one kind where their first lines differ in nothing but what stands in quotes, paths, hexadecimal numbers (with 0x before
-- them, of 12 digits and more, or UUIDs) and numbers: in the column kind these are '…', <path>, <hex> and <n>. The first line is the first
-- that is not blank, without the space around it. Failed attempts that were retried count as well; n_retried says how many of n they
-- are. steps is names with commas between them. example_id and example_message are of the scope that failed last.
WITH
  failed AS (
    SELECT s.id, s.sid, s.step, s.run, s.status, s.started_at, coalesce(s.error_message, '') AS message
    FROM scopes AS s
    WHERE
      s.status IN ('error', 'retried')
      AND ($flow::VARCHAR IS NULL OR s.flow = $flow::VARCHAR)
      AND ($step::VARCHAR IS NULL OR s.step = $step::VARCHAR)
      AND ($runs::VARCHAR[] IS NULL OR s.run IN (SELECT unnest($runs::VARCHAR[])))
  ),
  unquoted AS (
    SELECT
      f.*,
      regexp_replace(regexp_extract(f.message, '\S(?:[^\r\n]*\S)?'), '"[^"]*"|`[^`]*`|\B''[^'']*''\B|“[^”]*”|«[^»]*»', '''…''', 'g')
        AS without_quotes
    FROM failed AS f
  ),
  -- A path has at least two parts, or begins with a dot or ~. A web address is one.
  unplaced AS (
    SELECT
      u.*,
      regexp_replace(u.without_quotes, '(?:\b[A-Za-z][A-Za-z0-9+.-]*:)?(?:[\\/]{1,2}[\w.@%+~=-]+){2,}[\\/]?|(?:\.{1,2}|~)[\\/][\w.@%+~=\\/-]+', '<path>', 'g')
        AS without_paths
    FROM unquoted AS u
  ),
  kinds AS (
    SELECT
      u.*,
      regexp_replace(
        regexp_replace(
          u.without_paths,
          '\b(?:0[xX][0-9a-fA-F]+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{12,})\b',
          '<hex>',
          'g'
        ),
        '[-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?',
        '<n>',
        'g'
      ) AS kind
    FROM unplaced AS u
  )
SELECT
  k.kind,
  count(*) AS n,
  count(*) FILTER (k.status = 'retried') AS n_retried,
  string_agg(DISTINCT k.step, ', ' ORDER BY k.step) AS steps,
  count(DISTINCT k.run) AS n_runs,
  CAST(min(k.started_at) AS TIMESTAMP_MS) AS first_seen,
  CAST(max(k.started_at) AS TIMESTAMP_MS) AS last_seen,
  arg_max(k.id, k.sid) AS example_id,
  arg_max(k.message, k.sid) AS example_message
FROM kinds AS k
GROUP BY k.kind
ORDER BY n DESC, k.kind;
