import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { type Row, type TableName, tableNames } from '../schema.ts';
import { ordinalOf, sidOf } from '../sid.ts';
import { announceRebuild } from './announce-rebuild.ts';
import { checkClaims, type ClaimedRun } from './claim-check.ts';
import { deletedRuns, removeRows } from './delete-runs.ts';
import { makeFolder, putIfAbsent, syncFolder, writeWhole } from './files.ts';
import { keepAside } from './keep-aside.ts';
import type { DuckDBLimits } from './limits.ts';
import { auditLogs, type LogAudit, type LogFault } from './log-audit.ts';
import { type Lock, lockFile } from './lock.ts';
import { lostTable } from './lost-table.ts';
import { recordedRuns } from './lost-claims.ts';
import { repairClaims } from './repair-claims.ts';
import { rebuildLog } from './rebuild-log.ts';
import { batchOfRows } from './row-batch.ts';
import { childTables } from './scope-rows.ts';
import type { SegmentFile } from './segment.ts';
import { segmentFaults, slugsOf } from './segment-faults.ts';
import type { SegmentWriter } from './segment-writer.ts';
import { UnusableSpill } from './spill.ts';
import { Spills } from './spills.ts';
import { neededBy, type Tables } from './tables.ts';
import { requireStore, withWriter } from './verify.ts';

/** Rows that a repair could not save. */
export interface Loss {
  readonly table: TableName;
  readonly file: string;
  /** How many; null where nobody knows. */
  readonly rows: number | null;
  /** The slugs of the runs that may have had rows in it. */
  readonly runs: readonly string[];
  /** The keys between which they were. In the table `runs`, numbers of runs. */
  readonly from: number | null;
  readonly to: number | null;
  readonly what: string;
}

export interface Repaired {
  readonly lost: readonly Loss[];
  /** What was done, sentence by sentence. Empty where nothing had to be. */
  readonly done: readonly string[];
  /** What is wrong and was left as it is. */
  readonly left: readonly string[];
}

/**
 * Locks a store against other repairs: two at once would each take what the other one makes for damage. It dies with its process.
 *
 * @throws MarqueError STORE_LOCKED, its cause naming the process, STORE_PATH where there is no store, STORE_UNWRITABLE.
 */
export async function lockRepairs(folder: string): Promise<Lock> {
  await requireStore(folder);
  try {
    return await lockFile(join(folder, 'repair'));
  } catch (error) {
    if (!(error instanceof MarqueError && error.code === 'STORE_LOCKED')) throw error;
    const message = `${show(folder, 300)} is being repaired already, by this process or by another one: wait until it is done`;
    throw new MarqueError('STORE_LOCKED', message, { cause: error });
  }
}

/** Puts logs, checkpoints, claims and spills in order, so that the store opens. Segments are for {@link repairSegments}. */
export async function repairLogs(folder: string, limits: DuckDBLimits): Promise<Repaired> {
  return await withWriter(folder, limits, async (logs, writer) => {
    const lost: Loss[] = [];
    const done: string[] = [];
    const left: string[] = [];
    const { runs } = await checkClaims(join(folder, '_runs'));
    // Each table as it is once those before it are in order: they say what belongs to it.
    let audits = await auditLogs(logs, writer);
    for (const table of ['scopes', ...childTables, 'runs'] as const) {
      for (const { file, what, kind } of audits[table].faults)
        if (kind === 'unreadable') left.push(`${show(file, 300)}: ${what}`);
      const before = audits[table];
      if (lostVersions(before).length === 0) continue;
      await makeFolder(join(folder, table, '_delta_log'));
      audits = await announce(audits, table, () => auditLogs(logs, writer));
      for (const { fault, text, decision, lost: segments } of await rebuildLog(audits, table, writer)) {
        if (fault.kind === 'missing') {
          if (!(await putIfAbsent(fault.file, text))) {
            left.push(`${show(fault.file, 300)} was missing and is there again: repair it once more`);
            continue;
          }
        } else {
          await keepAside(folder, fault.file);
          await writeWhole(fault.file, text);
        }
        done.push(`the log entry ${show(fault.file, 300)} (${fault.what}) was put together again: ${decision}`);
        for (const segment of segments) {
          lost.push(lossOf(folder, table, segment, runs, 'it is missing or damaged, and so is the log entry that names it'));
        }
      }
      audits = await auditLogs(logs, writer);
      lost.push(...lostTable(folder, before, audits, runs));
    }
    done.push(...(await repairCheckpoints(folder, audits, writer)));
    const recorded = await recordedRuns(folder, audits.runs.state.capture().segments, writer);
    const claims = await repairClaims(folder, runs, recorded);
    done.push(...claims.done);
    left.push(...claims.left);
    done.push(...(await setSpillsAside(folder)));
    return { lost, done, left };
  });
}

/**
 * Takes segments that are missing or damaged out of the tables. First they are kept aside, then the runs are told, then a version says so,
 * and then the names go: whoever dies on the way leaves that to the next repair.
 */
export async function repairSegments(tables: Tables, before: Repaired): Promise<Repaired> {
  const { folder, logs, writer } = tables;
  const lost = [...before.lost];
  const done = [...before.done];
  const left = [...before.left];
  const { runs } = await checkClaims(join(folder, '_runs'));
  const states = await tables.states();
  const faulty: { readonly table: TableName; readonly segments: readonly SegmentFile[]; readonly damaged: readonly string[] }[] =
    [];
  for (const table of tableNames) {
    const faults = await segmentFaults(folder, table, states[table].segments, writer);
    for (const { path, kind, what } of faults) if (kind === 'unreadable') left.push(`${show(path, 300)}: ${what}`);
    const taken = faults.filter(({ kind }) => kind !== 'unreadable');
    const damaged = taken.filter(({ kind }) => kind === 'damaged').map(({ path }) => path);
    for (const path of damaged) await keepAside(folder, path);
    lost.push(...taken.map(({ segment, what }) => lossOf(folder, table, segment, runs, what)));
    if (taken.length > 0) faulty.push({ table, segments: taken.map(({ segment }) => segment), damaged });
  }
  await tellRuns(
    tables,
    lost,
    runs,
    new Set(faulty.flatMap(({ table, segments }) => (table === 'logs' ? segments.map(({ name }) => name) : []))),
  );
  for (const { table, segments, damaged } of faulty) {
    const change = { operation: 'REPAIR', removed: segments, added: [], dataChange: true } as const;
    const version = await logs[table].replace(change, neededBy(table, states));
    if (version === null) {
      left.push(`${table} has changed meanwhile: repair it again`);
      continue;
    }
    for (const path of damaged) await rm(path, { force: true });
    await syncFolder(join(folder, table));
    done.push(
      `${segments.length} segments were taken out of ${table} by version ${version}; those that were there are kept in _damaged`,
    );
  }
  // A version that was lost may have been the deletion of a run: what it took out has come back with the segments.
  if (before.done.length > 0) await removeRows(tables, await deletedRuns(tables));
  return { lost, done, left };
}

/** Announces which versions of a table are to be replaced, and looks at all once more: nobody has added anything to it since. */
async function announce(
  audits: Readonly<Record<TableName, LogAudit>>,
  table: TableName,
  look: () => Promise<Readonly<Record<TableName, LogAudit>>>,
): Promise<Readonly<Record<TableName, LogAudit>>> {
  const announced = new Set<number>();
  for (let known = audits; ;) {
    const lost = lostVersions(known[table]);
    if (lost.every(({ version }) => announced.has(version))) return known;
    await announceRebuild(known[table].log, lost);
    for (const { version } of lost) announced.add(version);
    known = await look();
  }
}

function lostVersions({ faults }: LogAudit): readonly LogFault[] {
  return faults.filter(({ kind }) => kind !== 'unreadable');
}

function lossOf(
  folder: string,
  table: TableName,
  segment: SegmentFile,
  runs: ReadonlyMap<number, ClaimedRun>,
  what: string,
): Loss {
  const range = segment.stats[table === 'runs' ? 'run_number' : 'sid'];
  const [from, to] = [range?.min, range?.max].map((end) => (typeof end === 'number' ? end : null)) as [
    number | null,
    number | null,
  ];
  return {
    table,
    file: join(folder, table, segment.name),
    rows: segment.rows,
    runs: slugsOf(table, segment, runs),
    from,
    to,
    what,
  };
}

/** A line in the log of each run that may have lost something. The same loss is told once, also by a repair that goes on with another's work. */
async function tellRuns(
  tables: Tables,
  lost: readonly Loss[],
  claims: ReadonlyMap<number, ClaimedRun>,
  withoutLogs: ReadonlySet<string>,
): Promise<void> {
  const runs = [...claims.values()].filter(({ slug }) => lost.some((loss) => loss.runs.includes(slug)));
  if (runs.length === 0) return;
  const { segments } = (await tables.states()).logs;
  const names = segments.map(({ name }) => name).filter((name) => !withoutLogs.has(name));
  const text = `SELECT sid, max(seq) FROM read_parquet($1, hive_partitioning = false) WHERE sid IN (SELECT unnest($2::BIGINT[])) GROUP BY sid`;
  const sids = runs.map(({ number }) => sidOf(number, 0));
  const { values } = await tables.writer.ask(text, 'logs', names, [sids.map(BigInt)]);
  const last = new Map((values[0] as number[]).map((sid, row) => [sid, values[1]?.[row] as number]));
  const now = Date.now();
  const rows = runs.flatMap(({ number, slug, flow }): Row<'logs'>[] => {
    const sid = sidOf(number, 0);
    const own = lost.filter((loss) => loss.runs.includes(slug));
    return own.map((loss, index) => ({
      sid,
      flow,
      run: slug,
      step: null,
      seq: (last.get(sid) ?? -1) + 1 + index,
      level: 'error',
      message: messageFor(loss),
      logged_at: now,
    }));
  });
  const { tables: batch } = await batchOfRows({ logs: rows });
  const digest = createHash('sha256')
    .update(JSON.stringify(lost.map(({ file }) => file).sort()))
    .digest('hex')
    .slice(0, 32);
  await tables.write({ id: { writer: `${digest}-repair/0`, number: 1 }, tables: batch });
}

function messageFor({ table, file, rows, runs, from, to, what }: Loss): string {
  const count = rows === null ? 'rows' : `${rows} rows`;
  const scopes = from === null || to === null || table === 'runs' ? '' : `, of scopes ${ordinalOf(from)} to ${ordinalOf(to)}`;
  const whose = runs.length === 1 ? scopes : `, shared with ${runs.length - 1} other runs`;
  return `a repair of the store took ${count} out of ${table}${whose}: ${show(file, 300)}: ${what}`;
}

async function repairCheckpoints(
  folder: string,
  audits: Readonly<Record<TableName, LogAudit>>,
  writer: SegmentWriter,
): Promise<readonly string[]> {
  const done: string[] = [];
  for (const { log, table, checkpointFaults } of Object.values(audits)) {
    if (checkpointFaults.length === 0) continue;
    const pointer = join(log.folder, '_delta_log', '_last_checkpoint');
    const present = new Set((await readdir(join(log.folder, '_delta_log'))).map((name) => join(log.folder, '_delta_log', name)));
    const files = new Set([...checkpointFaults.map(({ file }) => file), pointer]);
    for (const file of [...files].filter((name) => present.has(name))) {
      await keepAside(folder, file);
      await rm(file, { force: true });
    }
    await syncFolder(join(log.folder, '_delta_log'));
    await log.refresh();
    await log.checkpoint(writer);
    done.push(
      `the checkpoint of ${table} was written anew: ${checkpointFaults.map(({ file, what }) => `${show(file, 300)}: ${what}`).join('; ')}`,
    );
  }
  return done;
}

async function setSpillsAside(folder: string): Promise<readonly string[]> {
  const spills = new Spills(join(folder, 'spill'));
  const done: string[] = [];
  for (const file of await spills.list()) {
    try {
      await spills.read(file);
    } catch (error) {
      if (error instanceof UnusableSpill && error.isNewer) continue;
      await spills.setAside([file]);
      done.push(`the spill ${show(file.path, 300)} (${messageOf(error)}) is kept as .damaged`);
    }
  }
  return done;
}
