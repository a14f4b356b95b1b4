import { MarqueError } from './error.ts';
import { globPredicates, idPredicates, segmentPredicates } from './glob-sql.ts';
import { conjuncts, idGlobs } from './predicate-parts.ts';
import { predicateSql } from './predicate-sql.ts';
import type { RunSelection, Search } from './search.ts';
import { lastOrdinal, sidOf } from './sid.ts';
import type { Statement } from './store.ts';
import type { Tag } from './tag.ts';
import { Values } from './values.ts';

/** The tags that a JavaScript predicate accepts: all those with one of these contents, and these. */
export interface Accepted {
  readonly contents: readonly string[];
  readonly tags: readonly Tag[];
}

/** A part of what a search finds. */
export interface Page {
  /** Only what comes after this sid in the search's order. */
  readonly after?: number | null;
  /** Whether there is a second column, `id`: `flow.step.run.path`. */
  readonly withIds?: boolean;
}

/** `flow.step.run.path` of a row of `raw.scopes`. */
export const idText = `concat_ws('.', flow, step, run, path)`;

/**
 * A search as one SELECT over `raw.scopes` and `raw.tags`: column `sid`, in the search's order, its limit applied. Every value is
 * bound. `evaluate.ts` gives the same answer over rows in memory.
 *
 * SQL cannot call `search.where`: `accepted` are the tags that pass it; `compile-tags.ts` asks for those it has to judge. Runs with a lower
 * number than `oldest` are not looked at.
 *
 * @throws MarqueError WHERE_INVALID if the search has a `where` and `accepted` is missing.
 */
export function compileSearch(search: Search, accepted?: Accepted, oldest = 0, page: Page = {}): Statement {
  const values = new Values();
  const order = `\nORDER BY sid ${search.order === 'newest' ? 'DESC' : 'ASC'}`;
  return { text: found(search, accepted, oldest, page, order, values), values: values.bound };
}

/** How many scopes a search finds. Nothing is put in order: DuckDB would sort what it counts. */
export function compileCount(search: Search, accepted?: Accepted, oldest = 0): Statement {
  const values = new Values();
  const text = `SELECT count(*) FROM (${found(search, accepted, oldest, {}, '', values)})`;
  return { text, values: values.bound };
}

function found(
  search: Search,
  accepted: Accepted | undefined,
  oldest: number,
  { after = null, withIds = false }: Page,
  order: string,
  values: Values,
): string {
  const matches = scopePredicates(search, oldest, values);
  if (after !== null) matches.push(`sid ${search.order === 'newest' ? '<' : '>'} ${values.bind(BigInt(after))}`);
  if (search.where !== null) {
    if (accepted === undefined)
      throw new MarqueError('WHERE_INVALID', 'a JavaScript predicate has no SQL text of its own: give the tags that it accepts');
    matches.push(acceptedPredicate(search, accepted, oldest, values));
  }
  const matching = `SELECT sid${withIds ? `, ${idText} AS id` : ''} FROM raw.scopes${where(matches)}`;
  const limit = search.limit === null ? '' : `\nLIMIT ${values.bind(BigInt(search.limit))}`;
  const { runs } = search;
  if (runs.kind !== 'recent') return `${matching}${order}${limit}`;
  return `WITH matching AS MATERIALIZED (${matching})
SELECT ${withIds ? 'sid, id' : 'sid'} FROM matching
WHERE sid // 4294967296 = (
  SELECT DISTINCT sid // 4294967296 AS run_number FROM matching ORDER BY run_number DESC LIMIT 1 OFFSET ${values.bind(BigInt(runs.back))}
)${order}${limit}`;
}

/** Predicates as a WHERE that all of them must pass. */
export function where(predicates: readonly string[]): string {
  return predicates.length === 0 ? '' : `\nWHERE ${predicates.join('\n  AND ')}`;
}

/** Everything a scope has to satisfy by itself. */
export function scopePredicates(search: Search, oldest: number, values: Values): string[] {
  const place = placePredicates(search, oldest, values);
  const { predicate, status } = search;
  const conditions = conjuncts(predicate).filter((one) => one.kind !== 'id'); // those are among the globs
  const predicates = [
    ...place,
    ...idGlobs(search).flatMap((glob) => idPredicates(glob, values)),
    status.length === 0 ? 'false' : `status IN (${status.map((one) => values.bind(one)).join(', ')})`,
    ...conditions.map((one) => predicateSql(one, place, values)),
  ];
  return [...new Set(predicates)];
}

/** What the search says about columns that every table has. On both sides of a semi-join it prunes both sides' row groups. */
export function placePredicates(search: Search, oldest: number, values: Values): string[] {
  const { flow, step, runs } = search;
  const equal = (column: string, value: string | null | undefined) =>
    value == null ? [] : [`${column} = ${values.bind(value)}`];
  const predicates = [
    ...equal('flow', flow),
    ...equal('step', step),
    ...idGlobs(search).flatMap((glob) => segmentPredicates(glob, values)),
    ...runPredicates(runs, values),
    ...(oldest === 0 ? [] : [`sid >= ${values.bind(BigInt(sidOf(oldest, 0)))}`]),
  ];
  return [...new Set(predicates)];
}

function runPredicates(runs: RunSelection, values: Values): string[] {
  switch (runs.kind) {
    case 'number':
      return [
        `sid BETWEEN ${values.bind(BigInt(sidOf(runs.number, 0)))} AND ${values.bind(BigInt(sidOf(runs.number, lastOrdinal)))}`,
      ];
    case 'slug':
      return globPredicates('run', runs.glob, values);
    case 'recent':
      return runs.before === null ? [] : [`sid < ${values.bind(BigInt(sidOf(runs.before, 0)))}`];
    case 'all':
      return [];
  }
}

/** DuckDB's IS NOT DISTINCT FROM takes null for null and NaN for NaN, as the distinct tags do. */
function acceptedPredicate(search: Search, { contents, tags }: Accepted, oldest: number, values: Values): string {
  const place = placePredicates(search, oldest, values);
  const either: string[] = [];
  if (contents.length > 0) {
    either.push(`SELECT sid FROM raw.tags${where([...place, contentPredicate(contents, values)])}`);
  }
  if (tags.length > 0) {
    const names = values.bind(tags.map((tag) => tag.content));
    const numbers = values.bind(tags.map((tag) => tag.value));
    either.push(`SELECT tag.sid
    FROM (SELECT sid, content, value FROM raw.tags${where(place)}) AS tag
    SEMI JOIN (SELECT unnest(${names}::VARCHAR[]) AS content, unnest(${numbers}::DOUBLE[]) AS value) AS accepted
      ON tag.content = accepted.content AND tag.value IS NOT DISTINCT FROM accepted.value`);
  }
  return either.length === 0
    ? 'false'
    : `sid IN (
    ${either.join('\n    UNION ALL ')})`;
}

/** Whether a tag's content is one of these. DuckDB takes a short list to the statistics of row groups, a long one it joins. */
export function contentPredicate(contents: readonly string[], values: Values): string {
  if (contents.length > 20) return `content IN (SELECT unnest(${values.bind(contents)}::VARCHAR[]))`;
  return contents.length === 0 ? 'false' : `content IN (${contents.map((content) => values.bind(content)).join(', ')})`;
}
