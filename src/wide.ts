import { type AnalysisOptions, checkAnalysis, checkNames } from './analytics.ts';
import { MarqueError, show } from './error.ts';
import { quoteName } from './quote.ts';
import { findRuns, type RunName } from './run-names.ts';
import { runsBetween } from './extent.ts';
import type { Composition } from './sql-query.ts';
import type { Snapshot, SqlValue, Statement, Status } from './store.ts';

export interface WideOptions extends AnalysisOptions {
  /** Which tags become columns; by default every one that has a number somewhere among these scopes, at most 256. */
  readonly tags?: readonly string[] | undefined;
  /** Which parameters become columns; by default all that one of these scopes has, at most 256. */
  readonly params?: readonly string[] | undefined;
  /** Which statuses. By default all but `retried`. */
  readonly status?: Status | readonly Status[] | undefined;
}

/** A scope as one row, with the parameters and tags that were asked for or found. */
export type WideRow = {
  readonly id: string;
  readonly sid: number;
  readonly flow: string;
  readonly run: string;
  readonly step: string;
  readonly status: Status;
  readonly started_at: Date;
  readonly duration_ms: number;
} & { readonly [column in `param_${string}`]: number | boolean | string | null } & {
  readonly [column in `tag_${string}`]: number | boolean | null;
};

const fixed = ['id', 'sid', 'flow', 'run', 'step', 'status', 'started_at', 'duration_ms'];

/** Of each kind. A table of more is of no use to people, and readers of Parquet and Arrow slow down. */
const mostColumns = 256;

const statuses: readonly Status[] = ['ok', 'error', 'retried', 'skipped'];

interface Column {
  /** Of the tag or parameter. */
  readonly source: string;
  readonly type: 'DOUBLE' | 'BOOLEAN' | 'VARCHAR';
}

/**
 * A table with one row a scope. DuckDB's PIVOT wants to know its columns: those are asked for first, from the same snapshot, with the types
 * that the data have. Throws at the call what is wrong with the options.
 */
export function wide(options: WideOptions): Composition {
  const { flow, step, runs } = checkAnalysis(options);
  const [tags, params] = [checkColumns('tags', options.tags), checkColumns('params', options.params)];
  const status = checkStatus(options.status);
  return async (snapshot) => {
    const chosen = scopesOf({ flow, step, status, runs: await findRuns(snapshot, runs, flow) });
    const [paramColumns, tagColumns] = [await findParams(snapshot, chosen, params), await findTags(snapshot, chosen, tags)];
    return tableOf(chosen, paramColumns, tagColumns);
  };
}

/** A part of a statement: its text, with values bound from `$1` on. */
interface Chosen extends Statement {
  /** A condition that a child row of one of the scopes meets, cheaper to see than whose it is. */
  readonly near: (alias: string) => string;
}

interface Choice {
  readonly flow: string | null;
  readonly step: string | null;
  readonly status: readonly Status[];
  readonly runs: readonly RunName[] | null;
}

/** The scopes that are meant. The range of keys prunes files and row groups, also of the tags, which a join with the scopes does not. */
function scopesOf({ flow, step, status, runs }: Choice): Chosen {
  const values: SqlValue[] = [];
  const bind = (value: SqlValue): string => `$${values.push(value)}`;
  const conditions: ((alias: string) => string)[] = [];
  const equals = (column: string, text: string): void => {
    const bound = bind(text);
    conditions.push((alias) => `${alias}.${column} = ${bound}`);
  };
  if (flow !== null) equals('flow', flow);
  if (step !== null) equals('step', step);
  if (runs !== null) {
    const numbers = runs.map(({ number }) => number);
    const least = numbers.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
    const range =
      runs.length === 0
        ? { first: 0, last: -1 }
        : runsBetween(
            least,
            numbers.reduce((a, b) => Math.max(a, b)),
          );
    const [first, last] = [bind(BigInt(range.first)), bind(BigInt(range.last))];
    conditions.push((alias) => `${alias}.sid BETWEEN ${first} AND ${last}`);
    if (runs.length > 1) {
      const slugs = bind(runs.map(({ slug }) => slug));
      conditions.push((alias) => `${alias}.run IN (SELECT unnest(${slugs}::VARCHAR[]))`);
    }
  }
  const near = (alias: string): string => conditions.map((condition) => condition(alias)).join(' AND ') || 'true';
  const text = `SELECT s.* FROM scopes AS s WHERE ${near('s')} AND s.status IN (SELECT unnest(${bind([...status])}::VARCHAR[]))`;
  return { text, values, near };
}

/** The last number of a tag is a DOUBLE; of a tag that never has one, a BOOLEAN says whether the scope has it. */
async function findTags(snapshot: Snapshot, chosen: Chosen, asked: readonly string[] | null): Promise<readonly Column[]> {
  if (asked?.length === 0) return [];
  const among = asked === null ? 't.value IS NOT NULL' : `t.content IN (SELECT unnest($${chosen.values.length + 1}::VARCHAR[]))`;
  const { values } = await snapshot.select({
    text: `WITH chosen AS (${chosen.text})
      SELECT t.content, bool_or(t.value IS NOT NULL)
      FROM tags AS t
      SEMI JOIN chosen AS c ON c.sid = t.sid
      WHERE ${chosen.near('t')} AND ${among}
      GROUP BY t.content
      ORDER BY t.content
      LIMIT ${mostColumns + 1}`,
    values: [...chosen.values, ...(asked === null ? [] : [asked])],
  });
  const [contents = [], numeric = []] = values as [string[]?, boolean[]?];
  const found = new Map(contents.map((content, row) => [content, numeric[row] === true]));
  checkCount('tags', 'tags with numbers', contents);
  return (asked ?? contents).map((source) => ({ source, type: found.get(source) === true ? 'DOUBLE' : 'BOOLEAN' }));
}

/** A parameter that is a number wherever it is there and not null is a DOUBLE, likewise BOOLEAN; else it is text. */
async function findParams(snapshot: Snapshot, chosen: Chosen, asked: readonly string[] | null): Promise<readonly Column[]> {
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
  });
  const [names = [], types = []] = values as [string[]?, Column['type'][]?];
  const found = new Map(names.map((name, row) => [name, types[row] as Column['type']]));
  checkCount('params', 'parameters', names);
  return (asked ?? names).map((source) => ({ source, type: found.get(source) ?? 'VARCHAR' }));
}

/** Texts of parameters that occur often are taken apart once; of the tags only the last number of each series is looked at further. */
function tableOf(chosen: Chosen, params: readonly Column[], tags: readonly Column[]): Statement {
  const values = [...chosen.values];
  const bind = (value: SqlValue): string => `$${values.push(value)}`;
  const names = distinctNames([...params.map(({ source }) => `param_${source}`), ...tags.map(({ source }) => `tag_${source}`)]);
  const [paramNames, tagNames] = [names.slice(0, params.length), names.slice(params.length)];
  const ctes = [`chosen AS (${chosen.text})`];
  const joins: string[] = [];
  if (params.length > 0) {
    const members = params.map(({ source, type }, index) => {
      const member = `json_extract_string(d.params, ${bind(pointerTo(source))})`;
      return `${type === 'VARCHAR' ? member : `CAST(${member} AS ${type})`} AS ${paramNames[index] as string}`;
    });
    ctes.push(
      `members AS (SELECT d.params, ${members.join(', ')}
        FROM (SELECT DISTINCT c.params FROM chosen AS c WHERE c.params IS NOT NULL) AS d)`,
    );
    joins.push('LEFT JOIN members AS m ON m.params = c.params');
  }
  if (tags.length > 0) {
    const all = bind(tags.map(({ source }) => source));
    const cells = tags.map(({ source, type }, index) => {
      const cell = type === 'DOUBLE' ? 'any_value(l.value)' : 'bool_or(true)';
      return `${cell} FILTER (l.content = ${bind(source)}) AS ${tagNames[index] as string}`;
    });
    ctes.push(
      `last_values AS (SELECT t.sid, t.content, arg_max(t.value, t.seq) FILTER (t.value IS NOT NULL) AS value
        FROM tags AS t
        WHERE ${chosen.near('t')} AND t.content IN (SELECT unnest(${all}::VARCHAR[]))
        GROUP BY t.sid, t.content)`,
      `cells AS (SELECT l.sid, ${cells.join(', ')} FROM last_values AS l GROUP BY l.sid)`,
    );
    joins.push('LEFT JOIN cells AS t ON t.sid = c.sid');
  }
  const columns = [
    ...fixed.map((name) => (name === 'started_at' ? 'CAST(c.started_at AS TIMESTAMP_MS) AS started_at' : `c.${name}`)),
    ...paramNames.map((name) => `m.${name}`),
    ...tags.map(({ type }, index) => {
      const name = tagNames[index] as string;
      return type === 'DOUBLE' ? `t.${name}` : `coalesce(t.${name}, false) AS ${name}`;
    }),
  ];
  const text = `WITH ${ctes.join(',\n')}\nSELECT ${columns.join(', ')}\nFROM chosen AS c\n${joins.join('\n')}\nORDER BY c.sid`;
  return { text, values };
}

/**
 * Names as SQL, in quotes: letters, digits and `_`, whatever else stands between them becomes `_`. Those that DuckDB would take for one,
 * for which case does not count, get a number: `tag_loss`, `tag_Loss_2`.
 */
function distinctNames(names: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const plain = name.replaceAll(/[^\p{L}\p{M}\p{N}_]+/gu, '_');
    let free = plain;
    for (let copy = 2; taken.has(free.toLowerCase()); copy++) free = `${plain}_${copy}`;
    taken.add(free.toLowerCase());
    return quoteName(free);
  });
}

/** A JSON pointer, RFC 6901, which reaches every name; JSONPath does not. */
function pointerTo(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function checkColumns(option: 'tags' | 'params', names: readonly string[] | undefined): readonly string[] | null {
  if (names === undefined) return null;
  checkCount(option, `names in ${option}`, checkNames(option, names));
  return names;
}

function checkCount(option: string, what: string, found: readonly string[]): void {
  if (found.length <= mostColumns) return;
  throw new MarqueError(
    'OPTION_INVALID',
    `there are more than ${mostColumns} ${what}, such as ${show(found)}: choose some with ${option}: ['…'], or fewer scopes`,
  );
}

function checkStatus(status: Status | readonly Status[] = statuses.filter((one) => one !== 'retried')): readonly Status[] {
  const list = Array.isArray(status) ? (status as readonly unknown[]) : [status];
  const unknown = list.find((one) => !statuses.includes(one as Status));
  if (unknown === undefined && list.length > 0) return list as readonly Status[];
  throw new MarqueError('OPTION_INVALID', `status is ${show(status)}: give one or more of ${statuses.join(', ')}`);
}
