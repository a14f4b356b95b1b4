import { type AnalysisOptions, checkAnalysis, checkNames, partOf } from './analytics.ts';
import { MarqueError, show } from './error.ts';
import { statuses } from './predicate-check.ts';
import { quoteName } from './quote.ts';
import { findRuns, type RunName } from './run-names.ts';
import { runsBetween } from './extent.ts';
import type { Composition } from './sql-query.ts';
import { checkCount, type Chosen, type Column, findParams, findTags } from './wide-columns.ts';
import type { SqlValue, Statement, Status } from './store.ts';

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

/**
 * A table with one row a scope. DuckDB's PIVOT wants to know its columns: those are asked for first, from the same snapshot, with the types
 * that the data have. Throws at the call what is wrong with the options.
 */
export function wide(options: WideOptions): Composition {
  const { flow, step, runs } = checkAnalysis(options, ['tags', 'params', 'status']);
  const [tags, params] = [checkColumns('tags', options.tags), checkColumns('params', options.params)];
  const status = checkStatus(options.status);
  return async (snapshot) => {
    const chosen = scopesOf({ flow, step, status, runs: await findRuns(snapshot, runs, flow) });
    const [paramColumns, tagColumns] = [await findParams(snapshot, chosen, params), await findTags(snapshot, chosen, tags)];
    return tableOf(chosen, paramColumns, tagColumns);
  };
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
  const nearValues = [...values];
  const columns = [...fixed, 'params'].map((name) => `s.${name}`).join(', ');
  const isAsked = `s.status IN (SELECT unnest(${bind([...status])}::VARCHAR[]))`;
  const text = `SELECT ${columns} FROM scopes AS s WHERE ${near('s')} AND ${isAsked}`;
  return { text, values, near, nearValues, within: partOf(flow, step, runs) };
}

/** Texts of parameters that occur often are taken apart once; of the tags only the last number of each series is looked at further. */
function tableOf(chosen: Chosen, params: readonly Column[], tags: readonly Column[]): Statement {
  const values = [...chosen.values];
  const bind = (value: SqlValue): string => `$${values.push(value)}`;
  const names = distinctNames([...params.map(({ source }) => `param_${source}`), ...tags.map(({ source }) => `tag_${source}`)]);
  const [paramNames, tagNames] = [names.slice(0, params.length), names.slice(params.length)];
  const ctes = [`chosen AS MATERIALIZED (${chosen.text})`];
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
        FROM raw.tags AS t
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
  return { text, values, within: chosen.within };
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

function checkStatus(status: Status | readonly Status[] = statuses.filter((one) => one !== 'retried')): readonly Status[] {
  const list = Array.isArray(status) ? (status as readonly unknown[]) : [status];
  const unknown = list.find((one) => !statuses.includes(one as Status));
  if (unknown === undefined && list.length > 0) return list as readonly Status[];
  throw new MarqueError('OPTION_INVALID', `status is ${show(status)}: give one or more of ${statuses.join(', ')}`);
}
