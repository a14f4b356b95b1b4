import { MarqueError, show } from './error.ts';
import { extentOfSids, narrow } from './extent.ts';
import type { Snapshot, SqlValue, Statement } from './store.ts';

/** A tag or parameter as a column of a wide table. */
export interface Column {
  /** Of the tag or parameter. */
  readonly source: string;
  readonly type: 'DOUBLE' | 'BOOLEAN' | 'VARCHAR';
}

/** The scopes of a wide table as a part of a statement: its text, with values bound from `$1` on. */
export interface Chosen extends Required<Statement> {
  /** A condition that a child row of one of the scopes meets, cheaper to see than whose it is. */
  readonly near: (alias: string) => string;
  /** The first of the values, as far as that one binds them. */
  readonly nearValues: readonly SqlValue[];
}

/** Of each kind. A table of more is of no use to people, and readers of Parquet and Arrow slow down. */
const mostColumns = 256;

/** Which mostly show all tags that are asked for, and take no time. */
const rowsToLookAt = 4_096;

/** The last number of a tag is a DOUBLE; of a tag that never has one, a BOOLEAN says whether the scope has it. */
export async function findTags(snapshot: Snapshot, chosen: Chosen, asked: readonly string[] | null): Promise<readonly Column[]> {
  if (asked?.length === 0) return [];
  const found = await numericTags(snapshot, chosen, asked);
  checkCount('tags', 'tags with numbers', found);
  const numeric = new Set(found);
  return (asked ?? found).map((source) => ({ source, type: numeric.has(source) ? 'DOUBLE' : 'BOOLEAN' }));
}

/**
 * The tags, of those that are asked for or of all, that have a number in one of the scopes, by name: at most one more than columns are
 * possible. A look at all rows is a large part of what the table itself costs, and to join them with their scopes would double that: so
 * it is enough where the first rows show every tag that is asked for, and then where the first or last scope that has a tag is one of those.
 */
async function numericTags(snapshot: Snapshot, chosen: Chosen, asked: readonly string[] | null): Promise<readonly string[]> {
  const { within, near, nearValues } = chosen;
  const rowsOf = (values: readonly SqlValue[]) => {
    const among = asked === null ? '' : `AND t.content IN (SELECT unnest($${values.length + 1}::VARCHAR[]))`;
    const text = `SELECT t.content, t.sid FROM raw.tags AS t WHERE ${near('t')} AND t.value IS NOT NULL ${among}`;
    return { text, values: asked === null ? values : [...values, asked] };
  };
  const rows = rowsOf(nearValues);
  for (const limit of asked === null ? [null] : [rowsToLookAt, null]) {
    const { values } = await snapshot.select({
      text: `SELECT r.content, min(r.sid), max(r.sid)
        FROM (${rows.text} ${limit === null ? '' : `LIMIT ${limit}`}) AS r
        GROUP BY r.content
        ORDER BY r.content
        LIMIT ${mostColumns + 1}`,
      values: rows.values,
      within,
    });
    const [contents = [], first = [], last = []] = values as [string[]?, number[]?, number[]?];
    const there = await chosenOf(snapshot, chosen, [...first, ...last]);
    const sure = contents.filter((_, row) => there.has(first[row] as number) || there.has(last[row] as number));
    const wanted = limit === null ? contents.length : asked?.length;
    if (sure.length === wanted && contents.length <= mostColumns) return sure;
  }
  const all = rowsOf(chosen.values);
  const { values } = await snapshot.select({
    text: `WITH chosen AS (${chosen.text})
      SELECT DISTINCT r.content
      FROM (${all.text}) AS r
      SEMI JOIN chosen AS c ON c.sid = r.sid
      ORDER BY r.content
      LIMIT ${mostColumns + 1}`,
    values: all.values,
    within,
  });
  return (values[0] ?? []) as readonly string[];
}

/** Those of some keys that are of chosen scopes. */
async function chosenOf(
  snapshot: Snapshot,
  { text, values, within }: Chosen,
  sids: readonly number[],
): Promise<ReadonlySet<number>> {
  if (sids.length === 0) return new Set();
  const found = await snapshot.select({
    text: `SELECT c.sid FROM (${text}) AS c WHERE c.sid IN (SELECT unnest($${values.length + 1}::BIGINT[]))`,
    values: [...values, sids.map(BigInt)],
    within: narrow(within, extentOfSids(sids)),
  });
  return new Set(found.values[0] as number[]);
}

/** A parameter that is a number wherever it is there and not null is a DOUBLE, likewise BOOLEAN; else it is text. */
export async function findParams(
  snapshot: Snapshot,
  chosen: Chosen,
  asked: readonly string[] | null,
): Promise<readonly Column[]> {
  if (asked?.length === 0) return [];
  const { values } = await snapshot.select({
    text: `WITH
      chosen AS (${chosen.text}),
      names AS (
        SELECT d.params, unnest(json_keys(d.params)) AS name
        FROM (SELECT DISTINCT c.params FROM chosen AS c WHERE c.params IS NOT NULL) AS d
      ),
      members AS (
        SELECT n.name, json_extract(n.params, '/' || replace(replace(n.name, '~', '~0'), '/', '~1')) AS value
        FROM names AS n
        ${asked === null ? '' : `WHERE n.name IN (SELECT unnest($${chosen.values.length + 1}::VARCHAR[]))`}
      ),
      kinds AS (
        SELECT
          m.name,
          CASE
            WHEN json_type(m.value) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE') THEN 'number'
            WHEN CAST(m.value AS VARCHAR) IN ('"NaN"', '"Infinity"', '"-Infinity"') THEN 'no finite number'
            WHEN json_type(m.value) = 'BOOLEAN' THEN 'boolean'
            WHEN json_type(m.value) <> 'NULL' THEN 'other'
          END AS kind
        FROM members AS m
      )
      SELECT
        k.name,
        CASE
          WHEN bool_and(k.kind = 'boolean') THEN 'BOOLEAN'
          WHEN bool_or(k.kind = 'number') AND bool_and(k.kind IN ('number', 'no finite number')) THEN 'DOUBLE'
          ELSE 'VARCHAR'
        END
      FROM kinds AS k
      GROUP BY k.name
      ORDER BY k.name
      LIMIT ${mostColumns + 1}`,
    values: [...chosen.values, ...(asked === null ? [] : [asked])],
    within: chosen.within,
  });
  const [names = [], types = []] = values as [string[]?, Column['type'][]?];
  const found = new Map(names.map((name, row) => [name, types[row] as Column['type']]));
  checkCount('params', 'parameters', names);
  return (asked ?? names).map((source) => ({ source, type: found.get(source) ?? 'VARCHAR' }));
}

/** Throws OPTION_INVALID where there are more than a table may have. */
export function checkCount(option: string, what: string, found: readonly string[]): void {
  if (found.length <= mostColumns) return;
  throw new MarqueError(
    'OPTION_INVALID',
    `there are more than ${mostColumns} ${what}, such as ${show(found)}: choose some with ${option}: ['…'], or fewer scopes`,
  );
}
