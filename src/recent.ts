import { type Extent, extentOfSearch } from './extent.ts';
import { WhereFailure } from './judge.ts';
import type { Search } from './search.ts';
import { lastRunNumber } from './sid.ts';

/**
 * What a search for a recent run finds, which is mostly in one of the newest: so they are looked at first, then eight times as many, and
 * so on. The answer is that of looking at all of them at once, and at none that is older than it: a predicate that throws on a tag of
 * such a one is not heard of.
 *
 * @param newestRun where to begin within an extent: -1 where there is nothing for certain, null where nobody knows
 * @param find what the search finds in runs with at least the number `oldest`; null where that is nothing
 */
export async function findRecent<T extends {}>(
  search: Search,
  newestRun: (extent: Extent) => number | null,
  find: (search: Search, oldest: number) => Promise<T | null>,
): Promise<T | null> {
  if (search.runs.kind !== 'recent' || search.limit === 0) return await find(search, 0);
  const { back, before } = search.runs;
  let end = before;
  for (let count = back + 1; ; count *= 8) {
    const part = { ...search, runs: { kind: 'recent', back, before: end } } as const;
    const last = newestLooked(part, end, newestRun);
    if (last === -1) return null;
    const oldest = Math.max(0, last - count + 1);
    const found = await find(part, oldest).catch((error: unknown) => {
      if (!(error instanceof WhereFailure)) throw error;
      return findAfter(error, oldest, end ?? lastRunNumber + 1, (from) => find(part, from));
    });
    if (found !== null || oldest === 0) return found;
    if (back === 0) end = oldest; // of the run before the last, the last may have been among these
  }
}

/**
 * What is found in runs newer than the one at which a predicate throws. Where nothing is, the answer depends on that one: throws what it
 * has thrown.
 *
 * @param throwing in runs from this one on it throws
 * @param empty in runs from this one on there is nothing to find
 */
async function findAfter<T extends {}>(
  failure: WhereFailure,
  throwing: number,
  empty: number,
  find: (oldest: number) => Promise<T | null>,
): Promise<T | null> {
  if (empty - throwing <= 1) throw failure;
  const middle = Math.floor((throwing + empty) / 2);
  let found: T | null;
  try {
    found = await find(middle);
  } catch (error) {
    if (!(error instanceof WhereFailure)) throw error;
    return await findAfter(error, middle, empty, find);
  }
  return found ?? (await findAfter(failure, throwing, middle, find));
}

/** The number of the oldest run among those that a search looks at first; 0 where it looks at all. */
export function oldestAtFirst(search: Search, newestRun: (extent: Extent) => number | null): number {
  const { runs } = search;
  return runs.kind === 'recent' ? Math.max(0, newestLooked(search, runs.before, newestRun) - runs.back) : 0;
}

/** The highest number of a run that can have a match: 0 where nobody knows, -1 where none can. */
function newestLooked(search: Search, end: number | null, newestRun: (extent: Extent) => number | null): number {
  const newest = newestRun(extentOfSearch(search));
  return newest === -1 ? -1 : Math.min(newest ?? 0, end === null ? Number.POSITIVE_INFINITY : end - 1);
}
