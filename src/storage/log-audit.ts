import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, messageOf } from '../error.ts';
import type { TableName } from '../schema.ts';
import { lastCheckpoint, lastCheckpointVersion } from './checkpoint.ts';
import { isDeletion } from './deletion.ts';
import { type DeltaActions, parseActions } from './delta-actions.ts';
import type { CheckpointFormat, DeltaLog } from './delta-log.ts';
import { namesIn } from './files.ts';
import { inLanes } from './lanes.ts';
import { childTables } from './scope-rows.ts';
import type { Logs } from './parquet-folder.ts';
import { isMergedName } from './segment.ts';
import { TableState } from './table-state.ts';

/** A version of a log that is not there, or not as it was written. */
export interface LogFault {
  readonly version: number;
  readonly file: string;
  /** `unreadable` where the system refuses to read it: it may be as it was written. */
  readonly kind: 'missing' | 'damaged' | 'unreadable';
  readonly what: string;
}

/** A checkpoint, or the file that names the last one, that is not as it should be. Nobody loses anything by it. */
interface CheckpointFault {
  readonly file: string;
  readonly what: string;
}

/** All that a table's log says, as far as it can be believed. Nothing stops it but a newer format and another program's table. */
export interface LogAudit {
  readonly table: TableName;
  readonly log: DeltaLog;
  readonly entries: ReadonlyMap<number, DeltaActions>;
  readonly faults: readonly LogFault[];
  readonly checkpointFaults: readonly CheckpointFault[];
  /** Whether there is a checkpoint, or was to be one. They are made after the tables, so a process that died may have left none. */
  readonly hasCheckpoint: boolean;
  /** What the last checkpoint says, where it can be believed. */
  readonly checkpoint: TableState | null;
  /** What all of that adds up to. */
  readonly state: TableState;
}

/**
 * Reads the logs of a store, whatever state they are in. `runs` is read before `scopes` and the others after it: what one says of another is
 * then there, also while flows write.
 */
export async function auditLogs(
  logs: Logs,
  format: Pick<CheckpointFormat, 'readCheckpoint'>,
): Promise<Readonly<Record<TableName, LogAudit>>> {
  const runs = await auditLog(logs.runs, format);
  const missing = (scopes: LogAudit) => batchesOnlyIn(runs.state, scopes.state).length > 0;
  let scopes = await auditLog(logs.scopes, format);
  if (scopes.faults.length === 0 && missing(scopes)) scopes = await auditLog(logs.scopes, format, scopes.state.version + 1);
  const { needs } = scopes.state.capture();
  const children = await Promise.all(
    childTables.map(async (table) => [table, await auditLog(logs[table], format, needs[table])] as const),
  );
  return { ...(Object.fromEntries(children) as unknown as Record<(typeof childTables)[number], LogAudit>), scopes, runs };
}

/** The batches that `runs` has and `scopes` has not, although it is written first: a version of `scopes` is lost. */
export function batchesOnlyIn(
  runs: TableState,
  scopes: TableState,
): readonly { readonly writer: string; readonly number: number }[] {
  const ids = Array.from(runs.batches, ([writer, number]) => ({ writer, number }));
  return ids.filter((id) => !scopes.has(id) && !isDeletion(id)); // a deletion is an event, and no batch of a flow
}

/** What believed versions add up to, up to one, on top of a checkpoint where one is given. Versions that are missing say nothing. */
export function sumOf(
  { log, entries }: Pick<LogAudit, 'log' | 'entries'>,
  upTo = Number.POSITIVE_INFINITY,
  base: TableState | null = null,
): TableState {
  const state = base ?? new TableState(log.folder);
  if (state.version === -1 && !entries.has(0)) state.load(nothing, 0);
  for (const [version, actions] of [...entries].sort(([a], [b]) => a - b)) {
    if (version > state.version && version <= upTo) state.load(actions, version);
  }
  return state;
}

/** Whether two states of a table have the same segments and batches. */
function isSameState(a: TableState, b: TableState): boolean {
  const text = (state: TableState): string => {
    const segments = state.capture().segments.map(({ name, bytes, checksum }) => `${name} ${bytes} ${checksum}`);
    return JSON.stringify([segments.sort(), [...state.batches].sort(([one], [other]) => (one < other ? -1 : 1))]);
  };
  return text(a) === text(b);
}

function checkpointFiles(names: readonly string[]): readonly number[] {
  return names.flatMap((name) => {
    const version = /^(\d{20})\.checkpoint\.parquet$/.exec(name)?.[1];
    return version === undefined ? [] : [Number(version)];
  });
}

const nothing: DeltaActions = {
  added: [],
  removed: [],
  batches: [],
  metaData: undefined,
  formatVersion: '1',
  protocol: undefined,
  committedAt: null,
  operation: null,
  needs: {},
  rebuilt: [],
  isOurs: true,
  isSigned: false,
};

/** `atLeast` is a version that has to be there. */
async function auditLog(log: DeltaLog, format: Pick<CheckpointFormat, 'readCheckpoint'>, atLeast = 0): Promise<LogAudit> {
  const { table } = log;
  const logFolder = join(log.folder, '_delta_log');
  const names = await namesIn(logFolder);
  const named = await lastCheckpointVersion(logFolder);
  // Last, so that no checkpoint says more than the versions that are read: others go on writing both.
  const highest = Math.max(0, atLeast, await log.highestVersion(), ...checkpointFiles(names));
  const { entries, faults } = await readEntries(log, highest);
  const read = { table, log, entries, faults };
  const audit = { ...read, ...(await auditCheckpoints(read, named, names, format)) };
  // A version that is known to be lost, and is the last or was announced last, may have been that merge.
  const last = [highest, ...(entries.get(highest)?.rebuilt ?? [])];
  const isLastPresent = faults.every(({ version }) => !last.includes(version));
  return isLastPresent && (await isMergeLost(audit)) ? await auditLog(log, format, highest + 1) : audit;
}

/** Whether the version after the last one must have been a merge: segments have gone, and there are merged ones that nobody names. */
async function isMergeLost({ log, state, entries }: LogAudit): Promise<boolean> {
  const names = new Set(await readdir(log.folder).catch(() => []));
  if (state.capture().segments.every(({ name }) => names.has(name))) return false;
  const added = new Set([...entries.values()].flatMap((entry) => entry.added.map(({ name }) => name)));
  return [...names].some((name) => isMergedName(name) && !state.isLive(name) && !state.tombstones.has(name) && !added.has(name));
}

async function readEntries(log: DeltaLog, highest: number): Promise<Pick<LogAudit, 'entries' | 'faults'>> {
  const read = new Map<number, DeltaActions>();
  const faults: LogFault[] = [];
  await inLanes(Array(highest + 1).keys(), async (version) => {
    const file = log.pathOf(version);
    try {
      const actions = await log.read(version);
      if (actions === null) faults.push({ version, file, kind: 'missing', what: 'it is missing' });
      else read.set(version, actions);
    } catch (error) {
      if (error instanceof MarqueError && error.code === 'STORE_FORMAT') throw error; // whose entries are not for us to judge
      const kind = error instanceof MarqueError && error.code === 'STORE_DAMAGED' ? 'damaged' : 'unreadable';
      faults.push({
        version,
        file,
        kind,
        what: messageOf(error).replace(/^the log entry ".*" (?:is damaged: |cannot be read: )/, ''),
      });
    }
  });
  // As a reader takes them, one after another: a version without its checksum is refused, once the format has them.
  const entries = new Map<number, DeltaActions>();
  const state = new TableState(log.folder);
  if (!read.has(0)) state.load(nothing, 0);
  for (const [version, actions] of [...read].sort(([a], [b]) => a - b)) {
    const file = log.pathOf(version);
    if (version === 0 && actions.formatVersion === undefined) {
      faults.push({ version, file, kind: 'damaged', what: 'it does not say which table it makes' });
      state.load(nothing, 0);
      continue;
    }
    try {
      state.load(actions, version);
      if (state.format >= 2 && actions.isOurs && !actions.isSigned) {
        faults.push({ version, file, kind: 'damaged', what: 'its checksum is missing' });
      } else entries.set(version, actions);
    } catch (error) {
      if (!(error instanceof MarqueError) || error.code !== 'STORE_DAMAGED') throw error;
      faults.push({ version, file, kind: 'damaged', what: error.message });
    }
  }
  return { entries, faults: faults.sort((a, b) => a.version - b.version) };
}

/** `named` is the version that `_last_checkpoint` named, before the versions were read. */
async function auditCheckpoints(
  audit: Pick<LogAudit, 'table' | 'log' | 'entries' | 'faults'>,
  named: number,
  names: readonly string[],
  format: Pick<CheckpointFormat, 'readCheckpoint'>,
): Promise<Pick<LogAudit, 'checkpoint' | 'checkpointFaults' | 'hasCheckpoint' | 'state'>> {
  const logFolder = join(audit.log.folder, '_delta_log');
  const checkpointFaults: CheckpointFault[] = [];
  const pointer = join(logFolder, '_last_checkpoint');
  if (names.includes('_last_checkpoint') && !(await isJson(pointer)))
    checkpointFaults.push({ file: pointer, what: 'it is no JSON' });
  const believed = named === -1 ? null : await lastCheckpoint(logFolder);
  const last = checkpointFiles(names).reduce((a, b) => Math.max(a, b), -1);
  let checkpoint: TableState | null = null;
  for (const version of new Set([named, last])) {
    if (version === -1) continue;
    const file = join(logFolder, `${String(version).padStart(20, '0')}.checkpoint.parquet`);
    if (version === named && believed === null) {
      checkpointFaults.push({ file, what: 'it is missing, or not as it was written' });
      continue;
    }
    const state = new TableState(audit.log.folder);
    try {
      state.load(parseActions(audit.table, await format.readCheckpoint(file), file), version);
    } catch (error) {
      checkpointFaults.push({ file, what: messageOf(error) });
      continue;
    }
    // Without a gap below it the versions say what is right; with one, a checkpoint whose checksum fits does.
    const isComplete = audit.faults.every((fault) => fault.version > version);
    if (isComplete && !isSameState(state, sumOf(audit, version))) {
      checkpointFaults.push({ file, what: 'it says something else than the versions up to it' });
    } else if (version === named) checkpoint = state;
  }
  const isNeeded = checkpoint !== null && audit.faults.some(({ version }) => version <= (checkpoint?.version ?? -1));
  const hasCheckpoint = named !== -1 || last !== -1;
  return {
    checkpoint,
    checkpointFaults,
    hasCheckpoint,
    state: sumOf(audit, undefined, isNeeded ? copyOf(audit, checkpoint) : null),
  };
}

/** A state that can be gone on with. */
function copyOf({ log }: Pick<LogAudit, 'log'>, state: TableState | null): TableState | null {
  if (state === null) return null;
  const copy = new TableState(log.folder);
  const { segments } = state.capture();
  const batches = Array.from(state.batches, ([writer, number]) => ({ writer, number }));
  const removed = Array.from(state.tombstones, ([name, removedAt]) => ({ name, removedAt }));
  copy.load(
    { ...nothing, added: segments, removed, batches, metaData: state.metaData, formatVersion: String(state.format) },
    state.version,
  );
  return copy;
}

async function isJson(path: string): Promise<boolean> {
  try {
    JSON.parse(await readFile(path, 'utf8'));
    return true;
  } catch {
    return false;
  }
}
