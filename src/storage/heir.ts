import { MarqueError, messageOf, show } from '../error.ts';
import type { Row } from '../schema.ts';
import type { Batch, Result } from '../store.ts';
import { isLockPassing, lockFile } from './lock.ts';
import { batchOfRows } from './row-batch.ts';
import { UnusableSpill } from './spill.ts';
import { type ParkedFile, type SpillFile, type Spills, warn, warnOfSpill } from './spills.ts';

/** A run that has begun, or gone on, and not ended since, as far as the store says. */
export interface LiveRun {
  readonly number: number;
  readonly uuid: string;
  readonly slug: string;
  readonly flow: string;
  /** Its latest start, in epoch milliseconds. */
  readonly startedAt: number;
  /** How often it was started or resumed; 0 where nothing but its claim tells of it. */
  readonly starts: number;
}

const lifeOfRun = ['started', 'ended', 'aborted', 'resumed', 'deleted'];

/** What the view `live_runs` says of the run with these events; null where it has ended. */
export function liveRunOf(events: readonly Row<'runs'>[]): LiveRun | null {
  const rank = ({ happened_at: at, event }: Row<'runs'>): number => (at as number) * 8 + lifeOfRun.indexOf(event as string);
  const last = events.toSorted((a, b) => rank(a) - rank(b)).at(-1);
  if (last === undefined || !isStart(last)) return null;
  const { run_number: number, uuid, slug, flow, happened_at: startedAt } = last;
  return { number, uuid, slug, flow, startedAt, starts: events.filter(isStart).length } as LiveRun;
}

function isStart({ event }: Row<'runs'>): boolean {
  return event === 'started' || event === 'resumed';
}

/** The same of many runs. */
export function liveRunsOf(events: readonly Row<'runs'>[]): readonly LiveRun[] {
  const runs = new Map<number | null, Row<'runs'>[]>();
  for (const event of events) runs.set(event.run_number, [...(runs.get(event.run_number) ?? []), event]);
  return [...runs.values()].flatMap((one) => liveRunOf(one) ?? []);
}

export const eventColumns = 'run_number, uuid, slug, flow, event, happened_at';

/** What a SELECT of {@link eventColumns} gives, as rows. */
export function eventsIn({ values, rowCount }: Result): readonly Row<'runs'>[] {
  const [numbers, uuids, slugs, flows, events, times] = values as [number[], string[], string[], string[], string[], Date[]];
  return Array.from({ length: rowCount }, (_, row) => ({
    run_number: numbers[row] as number,
    uuid: uuids[row] as string,
    slug: slugs[row] as string,
    flow: flows[row] as string,
    event: events[row] as string,
    happened_at: (times[row] as Date).getTime(),
    details: null,
  }));
}

/** What an heir finds in a store, and can do about it. */
export interface Estate {
  readonly spills: Spills;
  /** Stores a batch; nothing happens where it has been stored before. */
  write(batch: Batch): Promise<void>;
  /** Runs that were claimed and have said nothing since are among them. */
  liveRuns(): Promise<readonly LiveRun[]>;
  /** Whether a run has been deleted: nothing of it is stored any more. Where it is missing, none ever is. */
  isDeleted?(uuid: string): Promise<boolean>;
  /** When a run whose process has certainly ended was last heard of, in epoch milliseconds; null where it may go on. */
  diedAt(run: LiveRun): Promise<number | null>;
  /** The uuids of the runs that certainly have nobody any more who writes to them. */
  overRuns(): Promise<ReadonlySet<string>>;
}

/**
 * Settles what writers that died have left in a store: stores the batches that they spilled, then records `aborted` for runs that can
 * never end any more, and removes what was parked by them. One process does so at a time; a second one leaves it to the first. It never
 * rejects: the store is as usable as before, and who comes next tries again. A warning tells of what was found and could not be stored;
 * what keeps from looking meets the write that follows as well, which says so.
 */
export async function inherit(estate: Estate): Promise<void> {
  const { folder } = estate.spills;
  let found: string | null = null;
  try {
    if ((await estate.spills.list()).length > 0) found = `what earlier processes left in ${show(folder, 300)}`;
    else if ((await deadRuns(estate)).length > 0)
      found = `the end of runs whose processes have died, beside ${show(folder, 300)},`;
    const parked = await parkedByDead(estate);
    if (found === null && parked.length === 0) return;
    const lock = await lockFile(folder);
    try {
      await storeSpills(estate);
      await recordAborted(estate);
      if (parked.length > 0) await estate.spills.remove(parked);
    } finally {
      await lock.release();
    }
  } catch (error) {
    if (found === null) return;
    // Another heir who is seen to live settles it.
    if (error instanceof MarqueError && error.code === 'STORE_LOCKED' && (await isLockPassing(folder))) return;
    warn(`${found} could not be stored, to be tried again by the next: ${messageOf(error)}`);
  }
}

/**
 * In the order of their numbers, each writer's files together: a scope may have rows in batches before its own. What comes after one
 * that is damaged is therefore set aside with it.
 */
async function storeSpills(estate: Estate): Promise<void> {
  const { spills } = estate;
  const writers = new Map<string, SpillFile[]>();
  for (const file of await spills.list()) writers.set(file.writer, [...(writers.get(file.writer) ?? []), file]);
  for (const files of writers.values()) {
    if ((await estate.isDeleted?.((files[0] as SpillFile).uuid)) === true) {
      await spills.remove(files);
      continue;
    }
    let stored = 0;
    for (; stored < files.length; stored++) {
      const file = files[stored] as SpillFile;
      try {
        const batch = await spills.read(file);
        if (batch !== null) await estate.write(batch);
      } catch (error) {
        if (!(error instanceof UnusableSpill)) throw error;
        const rest = files.slice(stored);
        if (!error.isNewer) await spills.setAside(rest);
        const others = rest.length > 1 ? ` with the ${rest.length - 1} after it` : '';
        warnOfSpill(file, error, error.isNewer ? 'it is left where it is' : `it is kept as .damaged${others}`);
        break;
      }
    }
    await spills.remove(files.slice(0, stored));
  }
}

/**
 * Runs whose spills are still there wait for whoever can read them: they may say how the run ended. Both spills and events are looked at
 * again once the processes are known to be dead: what they say last, they say at their end.
 */
async function recordAborted(estate: Estate): Promise<void> {
  const dead = await deadRuns(estate);
  if (dead.length === 0) return;
  const waiting = new Set((await estate.spills.list()).map(({ uuid }) => uuid));
  const live = new Map((await estate.liveRuns()).map((run) => [run.uuid, run]));
  for (const { uuid, diedAt } of dead) {
    const run = live.get(uuid);
    if (run === undefined || waiting.has(uuid)) continue;
    const { number, slug, flow, startedAt, starts } = run;
    const event = { run_number: number, uuid, slug, flow };
    const started = { ...event, event: 'started', happened_at: startedAt, details: '{}' };
    // Its claim was made, and perhaps last touched, before it started.
    const aborted = { ...event, event: 'aborted', happened_at: Math.max(diedAt, startedAt) };
    const { tables } = await batchOfRows({ runs: starts === 0 ? [started, aborted] : [aborted] });
    await estate.write({ id: { writer: `${uuid}-aborted/0`, number: Math.max(starts, 1) }, tables }); // the same id whoever does it
  }
}

async function parkedByDead(estate: Estate): Promise<readonly ParkedFile[]> {
  const parked = await estate.spills.parked();
  if (parked.length === 0) return parked;
  const over = await estate.overRuns();
  return parked.filter(({ uuid }) => over.has(uuid));
}

async function deadRuns(estate: Estate): Promise<readonly { readonly uuid: string; readonly diedAt: number }[]> {
  const dead: { uuid: string; diedAt: number }[] = [];
  for (const run of await estate.liveRuns()) {
    const diedAt = await estate.diedAt(run);
    if (diedAt !== null) dead.push({ uuid: run.uuid, diedAt });
  }
  return dead;
}
