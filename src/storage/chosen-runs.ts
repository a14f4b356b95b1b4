import { MarqueError, show } from '../error.ts';
import { compileGlob, matchGlob } from '../glob.ts';
import type { Snapshot } from '../store.ts';

/** Which runs of a store. */
export interface RunChoice {
  /** `all` is the default; `latest` is the run with the highest number; else a slug or a glob over slugs. */
  readonly runs?: 'all' | 'latest' | (string & {}) | undefined;
  /** Only runs of this flow. */
  readonly flow?: string | undefined;
}

/** A run as the view `runs` has it. */
export interface RunEntry {
  readonly number: number;
  readonly uuid: string;
  readonly slug: string;
  readonly flow: string;
  readonly state: string;
}

/** Throws OPTION_INVALID, GLOB_INVALID. */
export function checkRunChoice({ runs = 'all', flow }: RunChoice): void {
  if (typeof runs !== 'string')
    throw new MarqueError('OPTION_INVALID', `runs is ${show(runs)}: give 'all', 'latest', a slug or a glob`);
  if (flow !== undefined && typeof flow !== 'string')
    throw new MarqueError('OPTION_INVALID', `flow is ${show(flow)}: give its name`);
  if (runs !== 'all' && runs !== 'latest') compileGlob(runs);
}

/** The runs that are meant, by number. Deleted ones are not among them. */
export async function chosenRuns(snapshot: Snapshot, { runs = 'all', flow }: RunChoice): Promise<readonly RunEntry[]> {
  const ofFlow = (await listRuns(snapshot)).filter((run) => run.state !== 'deleted' && (flow === undefined || run.flow === flow));
  if (runs === 'all') return ofFlow;
  if (runs === 'latest') return ofFlow.slice(-1);
  const glob = compileGlob(runs);
  return ofFlow.filter(({ slug }) => matchGlob(glob, slug));
}

/** Every run that the store knows, by number. */
export async function listRuns(snapshot: Snapshot): Promise<readonly RunEntry[]> {
  const { values, rowCount } = await snapshot.select({
    text: 'SELECT run_number, uuid, slug, flow, state FROM runs ORDER BY run_number',
    values: [],
  });
  const [numbers = [], uuids = [], slugs = [], flows = [], states = []] = values;
  return Array.from({ length: rowCount }, (_, row) => ({
    number: numbers[row] as number,
    uuid: uuids[row] as string,
    slug: slugs[row] as string,
    flow: flows[row] as string,
    state: states[row] as string,
  }));
}
