import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MarqueError, show } from '../error.ts';
import type { TableName } from '../schema.ts';
import { checkSegments } from './damage.ts';
import { deletionOf, openDeletions } from './deletion.ts';
import type { DoomedRun } from './doomed-runs.ts';
import { type Lock, lockFile } from './lock.ts';
import { batchOfRows } from './row-batch.ts';
import { childTables } from './scope-rows.ts';
import type { SegmentFile } from './segment.ts';
import { Spills } from './spills.ts';
import { mostAttempts, neededBy, runRangeOf, type Tables } from './tables.ts';

/** A run that was deleted, or would be. */
export interface DeletedRun {
  readonly number: number;
  readonly slug: string;
  readonly flow: string;
  /** How many scopes it had; null where damage keeps from counting them. */
  readonly scopes: number | null;
}

/**
 * Deletes runs: first an event says so, then their spills go, then their rows leave `scopes`, then the other tables. A process that dies on
 * the way has deleted them all the same: nobody is shown them any more, and whoever compacts or deletes next removes the rest.
 */
export async function deleteRuns(tables: Tables, runs: readonly DoomedRun[]): Promise<readonly DeletedRun[]> {
  const spills = new Spills(join(tables.folder, 'spill'));
  const uuids = new Set(runs.map(({ uuid }) => uuid));
  const ofRuns = async () => (await spills.list()).filter(({ uuid }) => uuids.has(uuid));
  // With the lock no heir is about to store one of them, after their rows have gone.
  const lock = (await ofRuns()).length === 0 ? null : await lockSoon(spills.folder);
  try {
    for (const run of runs) await recordDeleted(tables, run);
    if (lock !== null) await spills.remove(await ofRuns());
  } finally {
    await lock?.release();
  }
  const others = openDeletions((await tables.logs.runs.refresh()).segments);
  await removeRows(tables, [...new Set([...runs.map((run) => run.run_number), ...others])]);
  return runs.map(deletedRunOf);
}

/** Who has it stores what dead processes have left, which takes a moment. */
async function lockSoon(file: string): Promise<Lock> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await lockFile(file);
    } catch (error) {
      if (!(error instanceof MarqueError && error.code === 'STORE_LOCKED') || attempt === mostAttempts) throw error;
      await sleep(100);
    }
  }
}

export function deletedRunOf({ run_number: number, slug, flow, scopes }: DoomedRun): DeletedRun {
  return { number, slug, flow, scopes };
}

/** The numbers of all runs that were ever deleted. */
export async function deletedRuns({ folder, logs, writer }: Tables): Promise<readonly number[]> {
  const { segments } = await logs.runs.refresh();
  await checkSegments(join(folder, 'runs'), segments); // a wrong number here would delete another run
  const text = `SELECT DISTINCT run_number FROM read_parquet($1, hive_partitioning = false) WHERE event = 'deleted'`;
  const names = segments.map(({ name }) => name);
  return names.length === 0 ? [] : ((await writer.ask(text, 'runs', names)).values[0] as number[]);
}

/**
 * Takes the rows of runs out of the tables, `scopes` first. Segments that hold nothing else are removed, others written anew. The files
 * stay until a vacuum.
 *
 * @throws MarqueError STORE_DAMAGED where a segment that, by its statistics, may have rows of others as well is not as it was written.
 */
export async function removeRows(tables: Tables, runs: readonly number[]): Promise<void> {
  if (runs.length === 0) return;
  const known = new Map<string, readonly number[]>();
  for (const table of ['scopes', ...childTables] as const) {
    let attempts = 0;
    while (!(await removeRowsOf(tables, table, new Set(runs), known))) {
      if (++attempts < mostAttempts) continue;
      throw new MarqueError('STORE_UNWRITABLE', `others keep changing ${show(join(tables.folder, table), 300)}: try again`);
    }
  }
}

/** False, and nothing is done, where somebody else has changed one of the segments meanwhile. */
async function removeRowsOf(
  tables: Tables,
  table: TableName,
  runs: ReadonlySet<number>,
  known: Map<string, readonly number[]>,
): Promise<boolean> {
  const { folder, logs, writer } = tables;
  const states = await tables.states();
  const removed: SegmentFile[] = [];
  const added: SegmentFile[] = [];
  const discard = async () => {
    for (const { name } of added) await rm(join(folder, table, name), { force: true });
  };
  try {
    for (const segment of states[table].segments) {
      const present = await runsIn(tables, table, segment, runs, known);
      if (!present.some((run) => runs.has(run))) continue;
      const rest = present.every((run) => runs.has(run)) ? null : await writer.merge(table, [segment], [...runs]);
      removed.push(segment);
      if (rest !== null) added.push(rest);
    }
  } catch (error) {
    await discard();
    const live = new Set((await logs[table].refresh()).segments.map(({ name }) => name));
    if (states[table].segments.every(({ name }) => live.has(name))) throw error;
    return false; // others have merged what could not be read, and a vacuum has removed it
  }
  if (removed.length === 0) return true;
  const change = { operation: 'DELETE', removed, added, dataChange: true } as const;
  if ((await logs[table].replace(change, neededBy(table, states))) !== null) return true; // where it throws, it may have been done
  await discard();
  return false;
}

/** The runs that a segment has rows of. Where its statistics leave more than one possible, it is looked into. */
async function runsIn(
  { folder, writer }: Tables,
  table: TableName,
  segment: SegmentFile,
  wanted: ReadonlySet<number>,
  known: Map<string, readonly number[]>,
): Promise<readonly number[]> {
  if (segment.rows === 0) return [];
  const range = runRangeOf(table, segment);
  if (range !== null && range.first === range.last) return [range.first];
  if (range !== null && ![...wanted].some((run) => range.first <= run && run <= range.last)) return [];
  const key = `${table}/${segment.name}`;
  let runs = known.get(key);
  if (runs === undefined) {
    await checkSegments(join(folder, table), [segment]);
    runs = await writer.runsIn(table, segment.name);
    known.set(key, runs);
  }
  return runs;
}

async function recordDeleted({ logs, writer }: Tables, run: DoomedRun): Promise<void> {
  const { run_number, uuid, slug, flow } = run;
  const id = deletionOf(uuid);
  if ((await logs.runs.refresh()).has(id)) return;
  const happened_at = Math.max(Date.now(), run.last_event_at.getTime()); // clocks differ; it is the last
  const { tables } = await batchOfRows({ runs: [{ run_number, uuid, slug, flow, event: 'deleted', happened_at }] });
  const segments = await writer.write({ id, tables }, ['runs']);
  await logs.runs.append(id, segments.get('runs') ?? null);
  writer.committed(id);
}
