import { MarqueError, show } from './error.ts';
import { overlap, runsBetween, type SidRange, type Within } from './extent.ts';
import { compileGlob, matchGlob, textBound } from './glob.ts';
import { orNear } from './near.ts';
import { lastRunNumber } from './sid.ts';
import type { Snapshot } from './store.ts';

/** A run by its number and its slug. */
export interface RunName {
  readonly number: number;
  readonly slug: string;
}

/** `all`; `latest`, the run with the highest number; a slug, a glob over slugs, or a list of slugs. */
export type RunNames = 'all' | 'latest' | (string & {}) | readonly string[];

/** Throws OPTION_INVALID, GLOB_INVALID. */
export function checkRunNames(runs: RunNames): void {
  if (typeof runs === 'string') {
    compileGlob(runs);
    return;
  }
  if (!Array.isArray(runs) || runs.length === 0 || runs.some((slug) => typeof slug !== 'string' || slug === ''))
    throw new MarqueError('OPTION_INVALID', `runs is ${show(runs)}: give 'all', 'latest', a slug, a glob or a list of slugs`);
  if (new Set(runs).size < runs.length) throw new MarqueError('OPTION_INVALID', `runs is ${show(runs)}: name each run once`);
}

/**
 * The runs that are meant: of a list in its order, else by number; null for all. A glob may find none. Deleted runs are not found.
 *
 * @param flow of which `latest` is the latest run; null for any
 * @throws MarqueError `RUN_UNKNOWN` for a slug that no run has, with those that it may be a slip of.
 */
export async function findRuns(snapshot: Snapshot, runs: RunNames, flow: string | null): Promise<readonly RunName[] | null> {
  if (runs === 'all') return null;
  if (runs === 'latest') return await latestRun(snapshot, flow);
  if (typeof runs === 'string' && !/^[\p{L}\p{M}\p{N}_-]+$/u.test(runs)) {
    const glob = compileGlob(runs);
    const bound = textBound(glob);
    const all = await runsIn(snapshot, { sids: null, texts: bound === null ? [] : [{ column: 'run', ...bound }] });
    return all.filter(({ slug }) => matchGlob(glob, slug));
  }
  const slugs = typeof runs === 'string' ? [runs] : runs;
  const found = await runsIn(snapshot, { sids: null, texts: [{ column: 'run', kind: 'equals', texts: slugs }] });
  const bySlug = new Map(found.map((run) => [run.slug, run]));
  const unknown = slugs.find((slug) => !bySlug.has(slug));
  if (unknown === undefined) return slugs.map((slug) => bySlug.get(slug) as RunName);
  const all = await runsIn(snapshot, { sids: null, texts: [] });
  throw new MarqueError(
    'RUN_UNKNOWN',
    `there is no run ${show(unknown)}.${orNear(
      unknown,
      all.map(({ slug }) => slug),
    )}`,
  );
}

/** Where the scopes of these runs are, in ascending order; null where it is all of them. */
export function sidsOf(runs: readonly RunName[] | null): readonly SidRange[] | null {
  if (runs === null) return null;
  return overlap(
    null,
    runs.map(({ number }) => runsBetween(number, number)),
  );
}

/** It is not before the newest one with scopes, unless that was deleted, or is of another flow after all. */
async function latestRun(snapshot: Snapshot, flow: string | null): Promise<readonly RunName[]> {
  const within: Within = { sids: null, texts: flow === null ? [] : [{ column: 'flow', kind: 'equals', texts: [flow] }] };
  const newest = snapshot.newestRun(within);
  for (const sids of newest === null || newest === -1 ? [null] : [[runsBetween(newest, lastRunNumber)], null]) {
    const all = await runsIn(snapshot, { ...within, sids });
    const latest = all.findLast((run) => flow === null || run.flow === flow);
    if (latest !== undefined) return [latest];
  }
  return [];
}

/** The runs that are there, by number, without some of those that are not within. */
async function runsIn(snapshot: Snapshot, within: Within): Promise<readonly (RunName & { readonly flow: string })[]> {
  const { values, rowCount } = await snapshot.select({ text: runsText, values: [], within });
  const [numbers = [], slugs = [], flows = []] = values;
  return Array.from({ length: rowCount }, (_, row) => ({
    number: numbers[row] as number,
    slug: slugs[row] as string,
    flow: flows[row] as string,
  }));
}

/** Not from the view `runs`, which counts the scopes of each. */
const runsText = `
  SELECT e.run_number, min(e.slug), min(e.flow)
  FROM raw.runs AS e
  GROUP BY e.run_number
  HAVING NOT bool_or(e.event = 'deleted')
  ORDER BY e.run_number`;
