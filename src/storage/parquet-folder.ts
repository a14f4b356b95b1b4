import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { type TableName, tableNames } from '../schema.ts';
import { lastCheckpointVersion } from './checkpoint.ts';
import { othersHaveRuns } from './claims.ts';
import { type CheckpointFormat, DeltaLog } from './delta-log.ts';
import { hasCode, writeWhole } from './files.ts';
import { batchOf, emptySegment, isMergedName, type SegmentFile } from './segment.ts';
import { storePath, unfit } from './store-path.ts';

/** The logs of a store's tables, by name. */
export type Logs = Readonly<Record<TableName, DeltaLog>>;

/** What may stand in the root of a store that is still being made. */
const ours = new Set<string>([...tableNames, '_runs', 'open.sql', 'spill', 'spill.lock', 'repair.lock', '_damaged']);

/** A lock that a dead heir held has another beside it for a moment, called after it: see `lockFile`. */
function isOurs(name: string): boolean {
  return ours.has(name) || name.startsWith('spill.lock.') || name.startsWith('repair.lock.');
}

/**
 * The absolute path of a store's folder. Raises STORE_PATH for what cannot be one. Nothing is looked up.
 */
export function folderPath(folder: unknown): string {
  const path = storePath(folder);
  // DuckDB splits a path at backslashes too once it looks for files by pattern, as open.sql has to.
  if (sep === '/' && path.includes('\\')) throw unfit(path, 'DuckDB takes a backslash in it for a separator');
  return path;
}

export function logsIn(folder: string, checkpoints: Pick<CheckpointFormat, 'readCheckpoint'>): Logs {
  const logs = tableNames.map((table) => [table, new DeltaLog(table, join(folder, table), checkpoints)]);
  return Object.fromEntries(logs) as Logs;
}

/**
 * Whether there is a store, looking only. False where one can be made: a folder that is missing, empty, or holds one that was
 * never finished. Raises STORE_PATH for a file, for a path below one, for a folder with other content and for tables of another
 * program, STORE_FORMAT, STORE_DAMAGED, also where the beginning of a log is all that is missing of a store.
 */
export async function isStore(folder: string, logs: Logs): Promise<boolean> {
  const names = await namesIn(folder);
  if (names.includes('scopes') && (await logs.scopes.exists())) return true; // made last, so the others are there
  const existing = new Set<TableName>();
  for (const table of tableNames) if (names.includes(table) && (await logs[table].exists())) existing.add(table);
  const lost = await lostBeginning(logs, existing);
  if (lost !== null) {
    if (await logs.scopes.exists()) return true; // another process has finished it meanwhile, and gone on
    throw lost;
  }
  for (const name of names) if (!isOurs(name)) throw foreign(folder, name);
  for (const table of tableNames) {
    if (existing.has(table) || !names.includes(table)) continue;
    const [other] = (await namesIn(join(folder, table))).filter((name) => name !== '_delta_log' && name !== emptySegment);
    if (other !== undefined) throw foreign(folder, join(table, other));
  }
  return false;
}

/**
 * Where `scopes` does not begin: the error for the entry that has gone, null where nobody has got so far yet. Whoever makes a store leaves in
 * each table version 0 and a segment without rows; anything later says that it was once made.
 */
async function lostBeginning(logs: Logs, existing: ReadonlySet<TableName>): Promise<MarqueError | null> {
  for (const table of tableNames) {
    const log = logs[table];
    if (existing.has(table) ? (await log.highestVersion()) <= 0 : !(await holdsOurs(log))) continue;
    const first = existing.has(table) ? logs.scopes : log;
    const what = `the log entry ${show(first.pathOf(0), 300)} is missing from a store that has been written to`;
    return new MarqueError('STORE_DAMAGED', `${what}: repair() puts together again what can be, and says what is lost`);
  }
  return null;
}

/** Whether a table without beginning holds anything that we wrote once it had one. */
async function holdsOurs(log: DeltaLog): Promise<boolean> {
  const segments = (await namesIn(log.folder)).filter((name) => batchOf(name) !== null || isMergedName(name));
  if (segments.length > 0) return true;
  const highest = await log.highestVersion();
  const last = highest > 0 ? await log.read(highest) : null; // somebody may be making version 0 at this very moment
  return last?.isOurs === true || (await lastCheckpointVersion(join(log.folder, '_delta_log'))) !== -1;
}

/**
 * Makes the tables that are missing, `scopes` last, so that a process that dies on the way leaves something that is no store yet and
 * that the next one finishes. Several may do so at once.
 */
export async function createTables(logs: Logs, writeEmpty: (table: TableName) => Promise<SegmentFile>): Promise<void> {
  const others = tableNames.filter((table) => table !== 'scopes');
  for (const table of [...others, 'scopes'] as const) {
    if (!(await logs[table].exists())) await logs[table].create(() => writeEmpty(table));
  }
}

/**
 * Raises a store of an older format to ours, so that from then on programs that know only that one refuse it, instead of writing what ours
 * would take for damaged. One that has a run under way could not end it: then the store stays as it is, to be read and written by both.
 * `claims` is the folder of the claims. The logs have to be as they are now.
 */
export async function upgrade(logs: Logs, claims: string): Promise<void> {
  const old = Object.values(logs).filter((log) => log.isOld);
  if (old.length === 0 || (await othersHaveRuns(claims))) return;
  for (const log of old) await log.upgrade();
}

/** Writes `open.sql` into a store if it is missing, or was written where the store stood before. */
export async function keepOpenSql(folder: string, text: string): Promise<void> {
  const path = join(folder, 'open.sql');
  const present = await readFile(path, 'utf8').catch(() => null);
  if (present !== text) await writeWhole(path, text);
}

/** The names in a folder but for hidden ones; none where it is missing. */
async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    if (hasCode(error, 'ENOTDIR')) {
      throw new MarqueError('STORE_PATH', `${show(folder, 300)} is a file, or below one: give the path of a folder`, {
        cause: error,
      });
    }
    throw new MarqueError('STORE_UNWRITABLE', `${show(folder, 300)} cannot be used: ${messageOf(error)}`, { cause: error });
  }
}

function foreign(folder: string, name: string): MarqueError {
  const found = `${show(folder, 300)} is no store and holds something else (${show(name)})`;
  return new MarqueError('STORE_PATH', `${found}: give an empty or new folder`);
}
