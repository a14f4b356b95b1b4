import { MarqueError } from './error.ts';
import { globPredicates } from './glob-sql.ts';
import type { RunSelection, Search } from './search.ts';
import { lastOrdinal, sidOf } from './sid.ts';
import type { Statement } from './store.ts';
import type { Tag } from './tag.ts';
import { Values } from './values.ts';

/** A name as it stands in an id. A pattern of nothing else matches only itself. */
const plainName = /^[\p{L}\p{N}\p{M}_-]+$/u;

/**
 * A search as one SELECT over `raw.scopes` and `raw.tags`: column `sid`, in the search's order, its limit applied. Every value is
 * bound. `evaluate.ts` gives the same answer over rows in memory.
 *
 * SQL cannot call `search.where`: `accepted` are the tags among those of {@link compileTagCandidates} that pass it. Runs with a lower
 * number than `oldest` are not looked at.
 *
 * @throws MarqueError WHERE_INVALID if the search has a `where` and `accepted` is missing.
 */
export function compileSearch(search: Search, accepted?: readonly Tag[], oldest = 0): Statement {
  const values = new Values();
  const matches = scopePredicates(search, oldest, values);
  if (search.where !== null) {
    if (accepted === undefined)
      throw new MarqueError('WHERE_INVALID', 'a JavaScript predicate has no SQL text of its own: give the tags that it accepts');
    matches.push(acceptedPredicate(search, accepted, oldest, values));
  }
  const matching = `SELECT sid FROM raw.scopes${where(matches)}`;
  const direction = search.order === 'newest' ? 'DESC' : 'ASC';
  const limit = search.limit === null ? '' : `\nLIMIT ${values.bind(BigInt(search.limit))}`;
  const { runs } = search;
  if (runs.kind !== 'recent') return { text: `${matching}\nORDER BY sid ${direction}${limit}`, values: values.bound };
  const text = `WITH matching AS MATERIALIZED (${matching})
SELECT sid FROM matching
WHERE sid // 4294967296 = (
  SELECT DISTINCT sid // 4294967296 AS run_number FROM matching ORDER BY run_number DESC LIMIT 1 OFFSET ${values.bind(BigInt(runs.back))}
)
ORDER BY sid ${direction}${limit}`;
  return { text, values: values.bound };
}

/**
 * The tags that `search.where` has to judge, as one SELECT: the distinct `content` and `value` of all scopes that match the
 * search's other predicates. The limit and the choice of a recent run come after `where` and are left out.
 */
export function compileTagCandidates(search: Search, oldest = 0): Statement {
  const values = new Values();
  const scopes = `SELECT sid FROM raw.scopes${where(scopePredicates(search, oldest, values))}`;
  const predicates = [...placePredicates(search, oldest, values), `sid IN (${scopes})`];
  return { text: `SELECT DISTINCT content, value FROM raw.tags${where(predicates)}`, values: values.bound };
}

function where(predicates: readonly string[]): string {
  return predicates.length === 0 ? '' : `\nWHERE ${predicates.join('\n  AND ')}`;
}

/** Everything a scope has to satisfy by itself. */
function scopePredicates(search: Search, oldest: number, values: Values): string[] {
  const predicates = placePredicates(search, oldest, values);
  const { glob, status } = search;
  if (glob !== null && !glob.segmentsDecide)
    predicates.push(...globPredicates(`flow || '.' || step || '.' || run || '.' || path`, glob, values));
  predicates.push(status.length === 0 ? 'false' : `status IN (${status.map((one) => values.bind(one)).join(', ')})`);
  return predicates;
}

/** What the search says about columns that every table has. On both sides of a semi-join it prunes both sides' row groups. */
function placePredicates(search: Search, oldest: number, values: Values): string[] {
  const { flow, step, glob, runs } = search;
  const equal = (column: string, value: string | null | undefined) =>
    value == null ? [] : [`${column} = ${values.bind(value)}`];
  const predicates = [
    ...equal('flow', flow),
    ...equal('flow', glob?.flow),
    ...equal('step', step),
    ...equal('step', glob?.step),
    ...equal('run', glob?.run),
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
      if (plainName.test(runs.glob.pattern)) return [`run = ${values.bind(runs.glob.pattern)}`];
      return globPredicates('run', runs.glob, values);
    case 'recent':
      return runs.before === null ? [] : [`sid < ${values.bind(BigInt(sidOf(runs.before, 0)))}`];
    case 'all':
      return [];
  }
}

/** DuckDB's IS NOT DISTINCT FROM takes null for null and NaN for NaN, as the distinct tags do. */
function acceptedPredicate(search: Search, accepted: readonly Tag[], oldest: number, values: Values): string {
  if (accepted.length === 0) return 'false';
  const contents = values.bind(accepted.map((tag) => tag.content));
  const numbers = values.bind(accepted.map((tag) => tag.value));
  return `sid IN (
    SELECT tag.sid
    FROM (SELECT sid, content, value FROM raw.tags${where(placePredicates(search, oldest, values))}) AS tag
    SEMI JOIN (SELECT unnest(${contents}::VARCHAR[]) AS content, unnest(${numbers}::DOUBLE[]) AS value) AS accepted
      ON tag.content = accepted.content AND tag.value IS NOT DISTINCT FROM accepted.value)`;
}
