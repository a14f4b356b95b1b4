import { MarqueError, show } from './error.ts';
import { compileGlob, matchGlob } from './glob.ts';
import { orNear } from './near.ts';
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
  const { values, rowCount } = await snapshot.select({ text: runsText, values: [] });
  const [numbers = [], slugs = [], flows = []] = values;
  const all = Array.from({ length: rowCount }, (_, row) => ({
    number: numbers[row] as number,
    slug: slugs[row] as string,
    flow: flows[row] as string,
  }));
  if (runs === 'latest') return all.filter((run) => flow === null || run.flow === flow).slice(-1);
  if (typeof runs === 'string' && !/^[\p{L}\p{M}\p{N}_-]+$/u.test(runs)) {
    const glob = compileGlob(runs);
    return all.filter(({ slug }) => matchGlob(glob, slug));
  }
  const bySlug = new Map(all.map((run) => [run.slug, run]));
  return (typeof runs === 'string' ? [runs] : runs).map((slug) => {
    const run = bySlug.get(slug);
    if (run !== undefined) return run;
    throw new MarqueError('RUN_UNKNOWN', `there is no run ${show(slug)}.${orNear(slug, bySlug.keys())}`);
  });
}

/** Not from the view `runs`, which counts the scopes of each. */
const runsText = `
  SELECT e.run_number, min(e.slug), min(e.flow)
  FROM raw.runs AS e
  GROUP BY e.run_number
  HAVING NOT bool_or(e.event = 'deleted')
  ORDER BY e.run_number`;
