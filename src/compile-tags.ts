import { contentPredicate, placePredicates, scopePredicates, where } from './compile.ts';
import type { SidRange } from './extent.ts';
import type { Search } from './search.ts';
import type { Statement } from './store.ts';
import { Values } from './values.ts';

/**
 * What a JavaScript predicate may have to judge first: each distinct content among the tags of the scopes that match the search otherwise,
 * with the value that one of these tags has, and about how many distinct values they have. The limit and the choice of a recent run come
 * after the predicate and are left out.
 */
export function compileContents(search: Search, oldest: number, limit: number): Statement {
  const values = new Values();
  const predicates = candidatePredicates(search, oldest, values);
  const columns = 'content, first(value), approx_count_distinct(value)';
  const text = `SELECT ${columns} FROM raw.tags${where(predicates)}\nGROUP BY content\nLIMIT ${values.bind(BigInt(limit))}`;
  return { text, values: values.bound };
}

/** The distinct `content` and `value` of the same tags, of those with these contents. */
export function compileDistinctTags(search: Search, oldest: number, contents: readonly string[], limit: number): Statement {
  const values = new Values();
  const predicates = [...candidatePredicates(search, oldest, values), contentPredicate(contents, values)];
  const text = `SELECT DISTINCT content, value FROM raw.tags${where(predicates)}\nLIMIT ${values.bind(BigInt(limit))}`;
  return { text, values: values.bound };
}

/**
 * The tags of a range of scopes as rows: `sid`, `content`, `value`. Also those of scopes in between that the search does not find, for
 * whoever asks knows which it does. Only with these contents; null for any. Of few contents their places in the list come, from 1, instead of
 * a text in each row.
 */
export function compileTagRows(
  search: Search,
  oldest: number,
  { first, last }: SidRange,
  contents: readonly string[] | null,
): Statement {
  const values = new Values();
  const predicates = placePredicates(search, oldest, values);
  predicates.push(`sid BETWEEN ${values.bind(BigInt(first))} AND ${values.bind(BigInt(last))}`);
  if (contents !== null) predicates.push(contentPredicate(contents, values));
  const isShort = contents !== null && contents.length <= 20;
  const content = isShort ? `list_position(${values.bind(contents)}::VARCHAR[], content)` : 'content';
  return { text: `SELECT sid, ${content}, value FROM raw.tags${where(predicates)}`, values: values.bound };
}

function candidatePredicates(search: Search, oldest: number, values: Values): string[] {
  const scopes = `SELECT sid FROM raw.scopes${where(scopePredicates(search, oldest, values))}`;
  return [...placePredicates(search, oldest, values), `sid IN (${scopes})`];
}
