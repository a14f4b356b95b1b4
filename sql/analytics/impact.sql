-- What did a scope go into? The scopes that it pushed, that have it as their reference, that searched it and recalled from it,
-- what those went into, and so on: one row for each thing that a scope on the way had from another. The reverse of lineage.sql.
--
-- $sid    key of the scope
-- $depth  at most so many steps away; null: all the way. Each step is a pass over what there is between the scopes of the store
--
-- kind says what sid has to do with from_sid: 'pushed' (from_sid pushed it), 'referenced' (it was pushed with from_sid as its
-- reference), 'searched' (a search of its delivered from_sid), 'recalled' (it recalled the artifact called name of from_sid). depth
-- is how many steps sid is away from $sid by the shortest way; 0 is $sid itself, where a circle leads back to it. has_more says that
-- what sid went into is left out, since it would be more than $depth steps away: where it is true of no row, this is all there is.
WITH RECURSIVE
  links AS MATERIALIZED (
    SELECT s.sid, s.parent_sid AS source, 'pushed' AS kind, NULL::VARCHAR AS name
    FROM scopes AS s
    WHERE s.parent_sid IS NOT NULL
    UNION ALL
    SELECT s.sid, s.ref_sid, 'referenced', NULL
    FROM scopes AS s
    WHERE s.ref_sid IS NOT NULL
    UNION ALL
    SELECT e.sid, e.target_sid, e.kind, e.name
    FROM edges AS e
  ),
  hops AS MATERIALIZED (SELECT DISTINCT l.sid, l.source FROM links AS l),
  -- Level by level, so the first time that a scope is met is by a shortest way, and no circle is endless.
  reached(sid, depth) USING KEY (sid) AS (
    SELECT $sid::BIGINT, 0
    UNION
    SELECT h.sid, r.depth + 1
    FROM reached AS r
    JOIN hops AS h ON h.source = r.sid
    ANTI JOIN recurring.reached AS known ON known.sid = h.sid
    WHERE r.depth < coalesce($depth::DOUBLE, 'infinity'::DOUBLE)
  )
SELECT
  met.depth,
  l.kind,
  l.name,
  l.sid,
  s.id,
  l.source AS from_sid,
  f.id AS from_id,
  s.flow, s.step, s.run, s.status,
  met.depth >= coalesce($depth::DOUBLE, 'infinity'::DOUBLE) AND l.sid IN (SELECT h.source FROM hops AS h) AS has_more
FROM links AS l
JOIN reached AS r ON r.sid = l.source AND r.depth < coalesce($depth::DOUBLE, 'infinity'::DOUBLE)
JOIN reached AS met ON met.sid = l.sid
LEFT JOIN scopes AS s ON s.sid = l.sid
LEFT JOIN scopes AS f ON f.sid = l.source
ORDER BY met.depth, l.sid, l.source, l.kind, l.name;
