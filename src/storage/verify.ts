import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { type TableName, tableNames } from '../schema.ts';
import { checkClaims, type ClaimedRun } from './claim-check.ts';
import { beatingRuns } from './claims.ts';
import { doubledRows } from './doubled-rows.ts';
import type { DuckDBLimits } from './limits.ts';
import { auditLogs, type LogAudit } from './log-audit.ts';
import { lostClaims, recordedRuns } from './lost-claims.ts';
import { isStore, type Logs, logsIn } from './parquet-folder.ts';
import { patternOf } from './path-pattern.ts';
import { childTables } from './scope-rows.ts';
import { isGone, segmentFaults, slugsOf } from './segment-faults.ts';
import { SegmentWriter } from './segment-writer.ts';
import { UnusableSpill } from './spill.ts';
import { Spills } from './spills.ts';

/** Something in a store that is not as it was written. */
export interface Problem {
  readonly kind: 'segment' | 'log' | 'checkpoint' | 'claim' | 'spill';
  readonly file: string;
  readonly table: TableName | null;
  /** What is wrong, with the offset or the line where that can be told. */
  readonly what: string;
  /** The slugs of the runs that may have rows in it, as far as the store says. */
  readonly runs: readonly string[];
}

export interface Verified {
  /** Whether there are no problems. */
  readonly ok: boolean;
  readonly problems: readonly Problem[];
  /** What is no fault but good to know: files that nobody names, rows whose scope never ended. */
  readonly notes: readonly string[];
}

/** Opens what reads checkpoints and segments. Nothing is written but DuckDB's own temporary files, elsewhere. */
export async function withWriter<T>(
  folder: string,
  limits: DuckDBLimits,
  job: (logs: Logs, writer: SegmentWriter) => Promise<T>,
): Promise<T> {
  const plain = plainLogs(folder);
  await requireStore(folder, plain);
  const writer = await SegmentWriter.open(folder, limits);
  try {
    return await job(plain, writer);
  } finally {
    await writer.close();
  }
}

export async function verify(folder: string, limits: DuckDBLimits): Promise<Verified> {
  return await withWriter(folder, limits, async (logs, writer) => {
    const audits = await auditLogs(logs, writer);
    const problems: Problem[] = [];
    const notes: string[] = [];
    const recorded = await recordedRuns(folder, audits.runs.state.capture().segments, writer);
    const { runs, faults } = await checkClaims(join(folder, '_runs'), new Set(recorded.keys()));
    for (const table of tableNames) {
      problems.push(...logProblems(audits[table]));
      problems.push(...(await segmentProblems(folder, audits[table], writer, runs)));
      notes.push(...(await unnamedFiles(folder, audits[table])));
      if (!audits[table].hasCheckpoint)
        notes.push(
          `${table} has no checkpoint yet, which open.sql begins with: the next process that writes to the store makes it`,
        );
    }
    for (const { file, what } of faults) problems.push({ kind: 'claim', file, table: null, what, runs: [] });
    for (const { file, run } of await lostClaims(join(folder, '_runs'), recorded)) {
      const what = `it is missing, although run ${run.number}, ${run.slug}, has been recorded`;
      problems.push({ kind: 'claim', file, table: null, what, runs: [run.slug] });
    }
    const spills = await checkSpills(folder, runs);
    problems.push(...spills.problems);
    notes.push(...spills.notes);
    for (const table of tableNames) {
      if (!problems.some((problem) => problem.table === table)) problems.push(...(await doubled(audits[table], writer, runs)));
    }
    notes.push(...(await rowsWithoutScope(folder, audits, writer, runs, problems)));
    return { ok: problems.length === 0, problems, notes };
  });
}

/**
 * @throws MarqueError STORE_PATH where there is nothing of a store, or one that is still being made: `scopes` comes last, and before it
 * nothing is stored. What is damaged of a store is for others to say.
 */
export async function requireStore(folder: string, logs: Logs = plainLogs(folder)): Promise<void> {
  if ((await logs.scopes.highestVersion()) !== -1) return;
  for (const table of tableNames) if ((await logs[table].highestVersion()) > 0) return;
  if (await isStore(folder, logs).catch(isDamaged)) return; // else it says what is there
  throw new MarqueError('STORE_PATH', `there is no store in ${show(folder, 300)}: nothing has been written yet`);
}

function plainLogs(folder: string): Logs {
  return logsIn(folder, { readCheckpoint: () => Promise.reject(new Error('versions are read, not checkpoints')) });
}

/** Rejects with any other error. */
function isDamaged(error: unknown): true {
  if (error instanceof MarqueError && error.code === 'STORE_DAMAGED') return true;
  throw error;
}

function logProblems({ table, faults, checkpointFaults }: LogAudit): readonly Problem[] {
  return [
    ...faults.map(({ file, what }) => ({ kind: 'log', file, table, what, runs: [] }) as const),
    ...checkpointFaults.map(({ file, what }) => ({ kind: 'checkpoint', file, table, what, runs: [] }) as const),
  ];
}

async function segmentProblems(
  folder: string,
  { table, log, state }: LogAudit,
  writer: SegmentWriter,
  runs: ReadonlyMap<number, ClaimedRun>,
): Promise<readonly Problem[]> {
  const faults = await segmentFaults(folder, table, state.capture().segments, writer);
  if (faults.length === 0) return [];
  // Others may have merged segments meanwhile, and a vacuum removed them: these were needed no more.
  const since = await log.replay().catch(() => null);
  return faults.flatMap(({ segment, path: file, what }) => {
    if (since !== null && since.version > state.version && !since.isLive(segment.name)) return [];
    return [{ kind: 'segment', file, table, what, runs: slugsOf(table, segment, runs) } as const];
  });
}

async function doubled(
  { table, state }: LogAudit,
  writer: SegmentWriter,
  runs: ReadonlyMap<number, ClaimedRun>,
): Promise<readonly Problem[]> {
  const found = await doubledRows(table, state.capture().segments, writer);
  return found.map(({ files: [other, file], keys, sid, runs: numbers }) => ({
    kind: 'segment',
    file,
    table,
    what: `${keys} of its rows are ${file === other ? 'there twice' : `also in ${show(other, 300)}`}, such as of sid ${sid}`,
    runs: numbers.flatMap((number) => runs.get(number)?.slug ?? []),
  }));
}

async function unnamedFiles(folder: string, { table, state, entries }: LogAudit): Promise<readonly string[]> {
  const names = await readdir(join(folder, table)).catch(() => []);
  const added = new Set([...entries.values()].flatMap((entry) => entry.added.map(({ name }) => name)));
  const unnamed = names.filter(
    (name) => name !== '_delta_log' && !state.isLive(name) && !state.tombstones.has(name) && !added.has(name),
  );
  if (unnamed.length === 0) return [];
  const such = show(join(folder, table, unnamed[0] as string), 300);
  return [
    `${unnamed.length} files of ${table} are named by no version, such as ${such}: being written, or left by a process that died`,
  ];
}

async function checkSpills(
  folder: string,
  runs: ReadonlyMap<number, ClaimedRun>,
): Promise<{ readonly problems: readonly Problem[]; readonly notes: readonly string[] }> {
  const problems: Problem[] = [];
  const notes: string[] = [];
  const spills = new Spills(join(folder, 'spill'));
  for (const file of await spills.list()) {
    const slugs = [...runs.values()].filter(({ uuid }) => uuid === file.uuid).map(({ slug }) => slug);
    try {
      if ((await spills.read(file)) !== null)
        notes.push(`${show(file.path, 300)} waits for the next process that writes to the store`);
    } catch (error) {
      if (error instanceof UnusableSpill && error.isNewer) notes.push(`${show(file.path, 300)} is for a newer version of marque`);
      else problems.push({ kind: 'spill', file: file.path, table: null, what: messageOf(error), runs: slugs });
    }
  }
  return { problems, notes };
}

/**
 * Rows of steps that never ended, or of batches that were never committed. Readers do not see them. What says that a step has ended, or goes
 * on, is read after the rows: first who is alive, then which runs have ended, then `scopes`.
 */
async function rowsWithoutScope(
  folder: string,
  audits: Readonly<Record<TableName, LogAudit>>,
  writer: SegmentWriter,
  runs: ReadonlyMap<number, ClaimedRun>,
  problems: readonly Problem[],
): Promise<readonly string[]> {
  const notes: string[] = [];
  const isKnown = problems.every(({ table }) => table !== 'runs');
  if (problems.some(({ table }) => table === 'scopes')) return []; // they could not be told apart
  const beating = await beatingRuns(join(folder, '_runs'), 60_000);
  const hasEnded = isKnown ? await endedRuns(audits.runs, writer) : new Set<number>();
  const scopes = (await audits.scopes.log.replay()).capture().segments.map(({ name }) => patternOf(join(folder, 'scopes', name)));
  for (const table of childTables) {
    if (problems.some((problem) => problem.table === table)) continue;
    const names = audits[table].state.capture().segments.map(({ name }) => name);
    const text = `SELECT child.sid // 4294967296 AS run_number, count(*) FROM read_parquet($1, hive_partitioning = false) AS child
      ANTI JOIN read_parquet($2, hive_partitioning = false) AS scope ON scope.sid = child.sid
      WHERE child.sid % 4294967296 <> 0 GROUP BY run_number ORDER BY run_number`;
    const found = await writer.ask(text, table, names, [scopes]).catch((error: unknown) => {
      if (isGone(error)) return null; // vacuumed while this was read
      throw error;
    });
    const [numbers, counts] = (found?.values ?? [[], []]) as [number[], number[]];
    numbers.forEach((number, row) => {
      const run = runs.get(number);
      if (run !== undefined && !hasEnded.has(number) && beating.has(run.uuid)) return;
      notes.push(`${counts[row]} rows of ${table} belong to steps of run ${run?.slug ?? number} that never ended`);
    });
  }
  return notes;
}

/** The runs that are over, as the table `runs` says now. */
async function endedRuns({ log }: LogAudit, writer: SegmentWriter): Promise<ReadonlySet<number>> {
  const { segments } = (await log.replay()).capture();
  try {
    const open = new Set((await writer.openEvents(segments)).map((event) => event.run_number));
    return new Set([...(await writer.runNumbers(segments))].filter((number) => !open.has(number)));
  } catch (error) {
    if (isGone(error)) return new Set(); // vacuumed while this was read
    throw error;
  }
}
