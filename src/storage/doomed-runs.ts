import { join } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { orNear } from '../near.ts';
import type { Result, Snapshot } from '../store.ts';
import { diedAt } from './claims.ts';

/** A run as the view `runs` has it. */
export interface RunRow {
  readonly run_number: number;
  readonly uuid: string;
  readonly slug: string;
  readonly flow: string;
  readonly state: string;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly duration_ms: number | null;
  readonly scopes: number;
  readonly errors: number;
  readonly tags: readonly { readonly content: string; readonly value: number | null }[];
  /** JSON. */
  readonly start_details: string | null;
  readonly end_details: string | null;
}

/** What deleting a run needs to know of it. */
export type DoomedRun = Pick<RunRow, 'run_number' | 'uuid' | 'slug' | 'flow'> & {
  readonly last_event: string;
  readonly last_event_at: Date;
  /** Null where damage keeps from counting them. */
  readonly scopes: number | null;
};

/** A slug, several, or what says of each run that is not deleted yet whether it is meant. */
export type RunsToDelete = string | readonly string[] | ((run: RunRow) => boolean);

/**
 * The runs that are meant, by number. For slugs only the table `runs` is read, and `scopes` as far as it can be: whatever else is damaged
 * does not keep runs from being deleted.
 *
 * @throws MarqueError RUN_UNKNOWN for a slug that no run has, OPTION_INVALID for a predicate that gives something else than a boolean,
 * STORE_DAMAGED.
 */
export async function chooseRuns(snapshot: Snapshot, which: RunsToDelete): Promise<readonly DoomedRun[]> {
  if (typeof which === 'function') {
    const meant = new Map((await runRows(snapshot)).filter((run) => isMeant(which, run)).map((run) => [run.run_number, run]));
    return (await eventsOfRuns(snapshot)).flatMap((run) => {
      const { scopes } = meant.get(run.run_number) ?? {};
      return scopes === undefined ? [] : [{ ...run, scopes }];
    });
  }
  const slugs = typeof which === 'string' ? [which] : which;
  if (!Array.isArray(slugs) || slugs.some((slug) => typeof slug !== 'string')) {
    throw new MarqueError('OPTION_INVALID', `${show(which)} says no runs: give a slug, a list of slugs or a function of a run`);
  }
  const bySlug = new Map((await eventsOfRuns(snapshot)).map((run) => [run.slug, run]));
  const chosen = slugs.map((slug) => {
    const run = bySlug.get(slug as string);
    if (run !== undefined) return run;
    throw new MarqueError('RUN_UNKNOWN', `there is no run ${show(slug)}.${orNear(slug as string, bySlug.keys())}`);
  });
  const doomed: DoomedRun[] = [];
  for (const run of new Set(chosen)) doomed.push({ ...run, scopes: await scopesOf(snapshot, run.run_number) });
  return doomed;
}

function isMeant(which: (run: RunRow) => boolean, run: RunRow): boolean {
  if (run.state === 'deleted') return false;
  const answer: unknown = which(run);
  if (typeof answer === 'boolean') return answer;
  throw new MarqueError('OPTION_INVALID', `the predicate gives ${show(answer)} for run ${run.slug}: let it give true or false`);
}

/** @throws MarqueError RUN_ACTIVE, naming them, where some of the runs may still be writing. */
export async function refuseActive(folder: string, runs: readonly DoomedRun[]): Promise<void> {
  const active: string[] = [];
  for (const { run_number: number, uuid, slug, last_event: event } of runs) {
    if (event !== 'started' && event !== 'resumed' && event !== 'merging') continue;
    if ((await diedAt(join(folder, '_runs'), number, uuid)) === null) active.push(slug);
  }
  if (active.length === 0) return;
  const those = active.length === 1 ? `run ${active[0]}` : `runs ${active.join(', ')}`;
  throw new MarqueError('RUN_ACTIVE', `${those} may still be writing: nothing was deleted. End them first, or leave them out`);
}

/** The runs as the table `runs` has them, by number. */
async function eventsOfRuns(snapshot: Snapshot): Promise<readonly Omit<DoomedRun, 'scopes'>[]> {
  const text = `SELECT run_number, min(uuid) AS uuid, min(slug) AS slug, min(flow) AS flow, max(happened_at) AS last_event_at,
      if(bool_or(event = 'deleted'), 'deleted',
        arg_max(event, epoch_ms(happened_at) * 8 + coalesce(list_position(['started', 'ended', 'aborted', 'resumed'], event), 0))
      ) AS last_event
    FROM raw.runs GROUP BY run_number ORDER BY run_number`;
  return rowsOf(await snapshot.select({ text, values: [] }));
}

async function scopesOf(snapshot: Snapshot, run: number): Promise<number | null> {
  try {
    const text = 'SELECT count(*) FROM scopes WHERE run_number = $1';
    return (await snapshot.select({ text, values: [run] })).values[0]?.[0] as number;
  } catch (error) {
    if (error instanceof MarqueError && error.code === 'STORE_DAMAGED') return null;
    throw error;
  }
}

async function runRows(snapshot: Snapshot): Promise<readonly RunRow[]> {
  const text = `SELECT run_number, uuid, slug, flow, state, started_at, ended_at, duration_ms, scopes, errors, tags, start_details, end_details
    FROM runs ORDER BY run_number`;
  try {
    return rowsOf(await snapshot.select({ text, values: [] }));
  } catch (error) {
    if (!(error instanceof MarqueError && error.code === 'STORE_DAMAGED')) throw error;
    const advice = 'A function cannot be asked about runs while that is so: name the runs by their slugs';
    throw new MarqueError('STORE_DAMAGED', `${messageOf(error)}. ${advice}`, { cause: error });
  }
}

function rowsOf<Row>({ columns, values, rowCount }: Result): readonly Row[] {
  return Array.from({ length: rowCount }, (_, row) => {
    return Object.fromEntries(columns.map(({ name }, column) => [name, values[column]?.[row]])) as Row;
  });
}
