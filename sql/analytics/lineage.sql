-- What was a scope made from? Its pusher, its reference, what it searched and recalled, what those were made from, and so on: one
-- row for each thing that a scope on the way had from another.
--
-- $sid    key of the scope
-- $depth  at most so many steps away; null: all the way. Each step is a pass over what there is between the scopes of the store
--
-- kind says what from_sid has to do with sid: 'pushed' (sid pushed it), 'referenced' (it was pushed with sid as its reference),
-- 'searched' (a search of its delivered sid), 'recalled' (it recalled the artifact called name of sid). depth is how many steps sid
-- is away from $sid by the shortest way; 0 is $sid itself, where a circle leads back to it. Of a scope whose run was deleted the key
-- is all that is known: id, and what the scope has of its own, are null. has_more says that what sid was made from is left out,
-- since it would be more than $depth steps away: where it is true of no row, this is all there is.
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
    SELECT h.source, r.depth + 1
    FROM reached AS r
    JOIN hops AS h ON h.sid = r.sid
    ANTI JOIN recurring.reached AS known ON known.sid = h.source
    WHERE r.depth < coalesce($depth::DOUBLE, 'infinity'::DOUBLE)
  )
SELECT
  met.depth,
  l.kind,
  l.name,
  l.source AS sid,
  s.id,
  l.sid AS from_sid,
  f.id AS from_id,
  s.flow, s.step, s.run, s.status,
  met.depth >= coalesce($depth::DOUBLE, 'infinity'::DOUBLE) AND l.source IN (SELECT h.sid FROM hops AS h) AS has_more
FROM links AS l
JOIN reached AS r ON r.sid = l.sid AND r.depth < coalesce($depth::DOUBLE, 'infinity'::DOUBLE)
JOIN reached AS met ON met.sid = l.source
LEFT JOIN scopes AS s ON s.sid = l.source
LEFT JOIN scopes AS f ON f.sid = l.sid
ORDER BY met.depth, l.source, l.sid, l.kind, l.name;
