import { segmentBound, textBound } from './glob.ts';
import type { TextBound } from './glob-text.ts';
import { asksFor, conjuncts, idGlobs } from './predicate-parts.ts';
import type { TableName } from './schema.ts';
import type { Comparison, Search } from './search.ts';
import { lastOrdinal, lastRunNumber, runNumberOf, sidOf } from './sid.ts';

/**
 * The part of a store that an answer can depend on: rows of these tables that pass every predicate. Whoever answers may leave out
 * any other row, and need not. A predicate says nothing about a table without its column, and no null passes one.
 */
export interface Extent {
  readonly tables: ReadonlySet<TableName>;
  /** The views of `sql/views.sql` by which they are read; raw tables are read by themselves. */
  readonly views: ReadonlySet<string>;
  /** Keys of scopes, ascending and apart from each other; null stands for all. For the table `runs` those of whole runs count. */
  readonly sids: readonly SidRange[] | null;
  /** In the table `runs`, the column `run` is called `slug`. */
  readonly texts: readonly TextPredicate[];
  /** In epoch milliseconds, both ends included. */
  readonly times: readonly TimePredicate[];
}

/** Both included. */
export interface SidRange {
  readonly first: number;
  readonly last: number;
}

export interface TextPredicate {
  readonly column: 'flow' | 'run' | 'step' | 'status';
  /** Whether the column is one of the texts, or begins with one. */
  readonly kind: 'equals' | 'begins';
  readonly texts: readonly string[];
}

/** Rows that fail one of these predicates cannot change an answer, whatever table they are in. */
export type Within = Pick<Extent, 'sids' | 'texts'>;

interface TimePredicate {
  readonly column: 'started_at' | 'logged_at';
  readonly from: number;
  readonly to: number;
}

/** All of some tables, perhaps read by views. */
export function allOf(tables: Iterable<TableName>, views: Iterable<string> = []): Extent {
  return { tables: new Set(tables), views: new Set(views), sids: null, texts: [], times: [] };
}

/** The part that lies within another as well. */
export function narrow<T extends Within>(extent: T, { sids, texts }: Within): T {
  return { ...extent, sids: sids === null ? extent.sids : overlap(extent.sids, sids), texts: [...extent.texts, ...texts] };
}

/** What a search looks at, in runs with at least the number `oldest`. It finds nothing elsewhere. */
export function extentOfSearch(search: Search, oldest = 0): Extent {
  const { flow, step, runs, status, where, predicate } = search;
  const conditions = conjuncts(predicate);
  const equals = (column: TextPredicate['column'], text: string | null | undefined): TextPredicate[] =>
    text == null ? [] : [{ column, kind: 'equals', texts: [text] }];
  const texts: TextPredicate[] = [
    ...equals('flow', flow),
    ...equals('step', step),
    ...idGlobs(search).flatMap((glob) =>
      (['flow', 'step', 'run'] as const).flatMap((name) => within(name, segmentBound(glob, name))),
    ),
    ...(runs.kind === 'slug' ? within('run', textBound(runs.glob)) : []),
    { column: 'status', kind: 'equals', texts: status },
    ...conditions.flatMap((one): TextPredicate[] =>
      one.kind === 'status' ? [{ column: 'status', kind: 'equals', texts: one.status }] : [],
    ),
  ];
  const times = conditions.flatMap((one) => (one.kind === 'time' && one.of === 'started' ? [startedWithin(one.test)] : []));
  const tables: TableName[] = where === null && !asksFor(predicate, 'tag') ? ['scopes'] : ['scopes', 'tags'];
  return { ...allOf(tables), sids: sidsOf(runs, oldest), texts, times };
}

/** What a search looks at beyond a sid, in its order. */
export function extentAfter(search: Search, oldest: number, after: number | null): Extent {
  const extent = extentOfSearch(search, oldest);
  if (after === null) return extent;
  const rest = search.order === 'newest' ? { first: 0, last: after - 1 } : { first: after + 1, last: Number.MAX_SAFE_INTEGER };
  return { ...extent, sids: overlap(extent.sids, [rest]) };
}

/** The scopes with these keys, and everything that is read with them. */
export function extentOfSids(sids: readonly number[]): Extent {
  const ranges: { first: number; last: number }[] = [];
  for (const sid of Float64Array.from(sids).sort()) {
    const previous = ranges.at(-1);
    if (previous !== undefined && sid <= previous.last + 1) previous.last = sid;
    else ranges.push({ first: sid, last: sid });
  }
  return { ...allOf(['scopes', 'tags', 'logs', 'artifacts']), sids: ranges };
}

function sidsOf(runs: Search['runs'], oldest: number): readonly SidRange[] | null {
  const recent = oldest === 0 ? null : [runsBetween(oldest, lastRunNumber)];
  if (runs.kind === 'number') return overlap(recent, [runsBetween(runs.number, runs.number)]);
  return runs.kind === 'recent' && runs.before !== null ? overlap(recent, [runsBetween(0, runs.before - 1)]) : recent;
}

/** What lies in both, ascending. Null stands for everything. */
export function overlap(some: readonly SidRange[] | null, others: readonly SidRange[]): readonly SidRange[] {
  const all = some ?? [{ first: 0, last: Number.MAX_SAFE_INTEGER }];
  return all
    .flatMap((one) => others.map((other) => ({ first: Math.max(one.first, other.first), last: Math.min(one.last, other.last) })))
    .filter(({ first, last }) => first <= last)
    .toSorted((a, b) => a.first - b.first);
}

/** The keys of all scopes of some runs, both included. */
export function runsBetween(first: number, last: number): SidRange {
  return { first: sidOf(first, 0), last: sidOf(last, lastOrdinal) };
}

/** The same for a table that has one row for several sids, by the number of the run. */
export function runNumbersOf({ first, last }: SidRange): SidRange {
  return { first: runNumberOf(first), last: Math.min(runNumberOf(last), lastRunNumber) };
}

function startedWithin(test: Comparison): TimePredicate {
  const isLower = test.op === 'gt' || test.op === 'ge';
  const [from, to] =
    test.op === 'between'
      ? [test.from, test.to]
      : [isLower ? test.value : Number.NEGATIVE_INFINITY, isLower ? Number.POSITIVE_INFINITY : test.value];
  return { column: 'started_at', from, to };
}

function within(column: TextPredicate['column'], bound: TextBound | null): TextPredicate[] {
  return bound === null ? [] : [{ column, ...bound }];
}
