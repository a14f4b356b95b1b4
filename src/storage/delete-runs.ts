import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { orNear } from '../near.ts';
import type { TableName } from '../schema.ts';
import type { BatchId, Snapshot } from '../store.ts';
import { diedAt } from './claims.ts';
import { checkSegments } from './damage.ts';
import { batchOfRows } from './row-batch.ts';
import { childTables } from './scope-rows.ts';
import type { SegmentFile } from './segment.ts';
import { mostAttempts, neededBy, runRangeOf, type Tables } from './tables.ts';

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

/** A slug, several, or what says of each run that is not deleted yet whether it is meant. */
export type RunsToDelete = string | readonly string[] | ((run: RunRow) => boolean);

/** A run that was deleted, or would be. */
export interface DeletedRun {
  readonly number: number;
  readonly slug: string;
  readonly flow: string;
  /** How many scopes it had. */
  readonly scopes: number;
}

/**
 * The runs that are meant, by number.
 *
 * @throws MarqueError RUN_UNKNOWN for a slug that no run has, OPTION_INVALID for a predicate that gives something else than a boolean.
 */
export async function chooseRuns(snapshot: Snapshot, which: RunsToDelete): Promise<readonly RunRow[]> {
  const all = await runRows(snapshot);
  if (typeof which === 'function') {
    return all.filter((run) => {
      if (run.state === 'deleted') return false;
      const answer: unknown = which(run);
      if (typeof answer === 'boolean') return answer;
      throw new MarqueError(
        'OPTION_INVALID',
        `the predicate gives ${show(answer)} for run ${run.slug}: let it give true or false`,
      );
    });
  }
  const slugs = typeof which === 'string' ? [which] : which;
  if (!Array.isArray(slugs) || slugs.some((slug) => typeof slug !== 'string')) {
    throw new MarqueError('OPTION_INVALID', `${show(which)} says no runs: give a slug, a list of slugs or a function of a run`);
  }
  const bySlug = new Map(all.map((run) => [run.slug, run]));
  const chosen = slugs.map((slug) => {
    const run = bySlug.get(slug as string);
    if (run !== undefined) return run;
    throw new MarqueError('RUN_UNKNOWN', `there is no run ${show(slug)}.${orNear(slug as string, bySlug.keys())}`);
  });
  return [...new Set(chosen)];
}

/** @throws MarqueError RUN_ACTIVE, naming them, where some of the runs may still be writing. */
export async function refuseActive(folder: string, runs: readonly RunRow[]): Promise<void> {
  const active: string[] = [];
  for (const { run_number: number, uuid, slug, state } of runs) {
    if (state !== 'running' && state !== 'unknown') continue;
    if ((await diedAt(join(folder, '_runs'), number, uuid)) === null) active.push(slug);
  }
  if (active.length === 0) return;
  const those = active.length === 1 ? `run ${active[0]}` : `runs ${active.join(', ')}`;
  throw new MarqueError('RUN_ACTIVE', `${those} may still be writing: nothing was deleted. End them first, or leave them out`);
}

/**
 * Deletes runs: first an event says so, then their rows leave `scopes`, then the other tables. A process that dies on the way has
 * deleted them all the same: whoever compacts or deletes next removes the rest.
 */
export async function deleteRuns(tables: Tables, runs: readonly RunRow[]): Promise<readonly DeletedRun[]> {
  for (const run of runs) await recordDeleted(tables, run);
  await removeRows(tables, [...new Set([...runs.map((run) => run.run_number), ...(await deletedRuns(tables))])]);
  return runs.map(deletedRunOf);
}

export function deletedRunOf({ run_number: number, slug, flow, scopes }: RunRow): DeletedRun {
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
 * @throws MarqueError STORE_DAMAGED where a segment that has rows of others as well is not as it was written.
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

async function recordDeleted({ logs, writer }: Tables, run: RunRow): Promise<void> {
  const { run_number, uuid, slug, flow } = run;
  const id: BatchId = { writer: `${uuid}-deleted/0`, number: 1 }; // the same whoever does it, so it is stored once
  if ((await logs.runs.refresh()).has(id)) return;
  const happened_at = Math.max(Date.now(), run.started_at?.getTime() ?? 0, run.ended_at?.getTime() ?? 0); // clocks differ; it is the last
  const { tables } = await batchOfRows({ runs: [{ run_number, uuid, slug, flow, event: 'deleted', happened_at }] });
  const segments = await writer.write({ id, tables }, ['runs']);
  await logs.runs.append(id, segments.get('runs') ?? null);
  writer.committed(id);
}

async function runRows(snapshot: Snapshot): Promise<readonly RunRow[]> {
  const text = `SELECT run_number, uuid, slug, flow, state, started_at, ended_at, duration_ms, scopes, errors, tags, start_details, end_details
    FROM runs ORDER BY run_number`;
  const { columns, values, rowCount } = await snapshot.select({ text, values: [] });
  return Array.from({ length: rowCount }, (_, row) => {
    return Object.fromEntries(columns.map(({ name }, column) => [name, values[column]?.[row]])) as unknown as RunRow;
  });
}
