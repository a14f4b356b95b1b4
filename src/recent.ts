import { type Extent, extentOfSearch } from './extent.ts';
import type { Search } from './search.ts';
import type { Tag } from './tag.ts';

/**
 * What a search for a recent run finds, which is mostly in one of the newest: so they are looked at first, then eight times as many, and
 * so on. The answer is that of looking at all of them at once.
 *
 * @param newestRun where to begin within an extent: -1 where there is nothing for certain, null where nobody knows
 * @param find what the search finds in runs with at least the number `oldest`
 */
export async function findRecent(
  search: Search,
  newestRun: (extent: Extent) => number | null,
  find: (search: Search, oldest: number) => Promise<readonly number[]>,
): Promise<readonly number[]> {
  if (search.runs.kind !== 'recent' || search.limit === 0) return await find(search, 0);
  const { back, before } = search.runs;
  let end = before;
  for (let count = back + 1; ; count *= 8) {
    const part = { ...search, runs: { kind: 'recent', back, before: end } } as const;
    const newest = newestRun(extentOfSearch(part));
    if (newest === -1) return [];
    const last = Math.min(newest ?? 0, end === null ? Number.POSITIVE_INFINITY : end - 1);
    const oldest = Math.max(0, last - count + 1);
    const found = await find(part, oldest);
    if (found.length > 0 || oldest === 0) return found;
    if (back === 0) end = oldest; // of the run before the last, the last may have been among these
  }
}

/** A predicate that is called once for each distinct tag, however often it is asked. Like a Map it takes NaN for NaN and -0 for 0. */
export function judgedOnce(where: (tag: Tag) => boolean): (tag: Tag) => boolean {
  const verdicts = new Map<string, Map<number | null, boolean>>();
  return (tag) => {
    const known = verdicts.get(tag.content) ?? new Map<number | null, boolean>();
    verdicts.set(tag.content, known);
    if (!known.has(tag.value)) known.set(tag.value, where(tag));
    return known.get(tag.value) as boolean;
  };
}
