import { randomUUID } from 'node:crypto';
import { MarqueError, messageOf, show } from '../error.ts';
import { columnsOf, type ColumnType, type TableName } from '../schema.ts';
import type { BatchId } from '../store.ts';

/**
 * One version of a table's transaction log: a file of JSON lines, as Delta Lake's protocol has it
 * (https://github.com/delta-io/delta/blob/master/PROTOCOL.md, reader version 1, writer version 2). Written and read here as text,
 * without any file.
 */

/** A segment as the log names it. */
export interface SegmentFile {
  /** File name in the table's folder. */
  readonly name: string;
  readonly bytes: number;
  readonly rows: number;
}

/** What a version says, as far as it concerns us. */
export interface DeltaEntry {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly batches: readonly BatchId[];
  /** `marque.formatVersion` of its metadata: undefined where the version has no metadata, null where another program made it. */
  readonly formatVersion: string | null | undefined;
  /** Undefined where the version says nothing of the protocol. */
  readonly protocol: { readonly reader: number; readonly writer: number } | undefined;
}

/** Of the store as a whole. A store with a higher one is refused. */
export const formatVersion = 1;
export const deltaProtocol = { reader: 1, writer: 2 } as const;

const deltaTypes: Readonly<Record<ColumnType, string>> = {
  bigint: 'long',
  integer: 'integer',
  double: 'double',
  text: 'string',
  bytes: 'binary',
  timestamp: 'timestamp',
};

/** Version 0: the table with its columns, and a segment without rows, since readers that use a glob fail on an empty folder. */
export function firstEntry(table: TableName, empty: SegmentFile, now: number): string {
  const fields = columnsOf(table).map(([name, type]) => ({ name, type: deltaTypes[type], nullable: true, metadata: {} }));
  return lines([
    { protocol: { minReaderVersion: deltaProtocol.reader, minWriterVersion: deltaProtocol.writer } },
    {
      metaData: {
        id: randomUUID(),
        name: table,
        format: { provider: 'parquet', options: {} },
        schemaString: JSON.stringify({ type: 'struct', fields }),
        partitionColumns: [],
        configuration: { 'marque.formatVersion': String(formatVersion) },
        createdTime: now,
      },
    },
    addOf(empty, now),
    commitInfo('CREATE TABLE', {}, now),
  ]);
}

/**
 * A version that appends a batch, also one without rows of this table. `needs` is what a reader of this version has to have of
 * other tables: their versions, by name.
 */
export function appendEntry(
  id: BatchId,
  segment: SegmentFile | null,
  needs: Readonly<Record<string, number>>,
  now: number,
): string {
  return lines([
    { txn: { appId: id.writer, version: id.number, lastUpdated: now } },
    ...(segment === null ? [] : [addOf(segment, now)]),
    commitInfo('WRITE', { isBlindAppend: true, ...(Object.keys(needs).length === 0 ? {} : { needs }) }, now),
  ]);
}

/** Reads one version. `file` is for the message of STORE_DAMAGED. */
export function parseEntry(text: string, file: string): DeltaEntry {
  const entry = {
    added: [] as string[],
    removed: [] as string[],
    batches: [] as BatchId[],
    formatVersion: undefined as string | null | undefined,
    protocol: undefined as DeltaEntry['protocol'],
  };
  const actions = text.split('\n').map((line, index) => (line.trim() === '' ? null : parseAction(line, file, index + 1)));
  for (const action of actions) {
    if (action === null) continue;
    if (action.add !== undefined) entry.added.push(decodeURIComponent(action.add.path));
    if (action.remove !== undefined) entry.removed.push(decodeURIComponent(action.remove.path));
    if (action.txn !== undefined) entry.batches.push({ writer: action.txn.appId, number: action.txn.version });
    if (action.metaData !== undefined) entry.formatVersion = action.metaData.configuration?.['marque.formatVersion'] ?? null;
    if (action.protocol !== undefined) {
      entry.protocol = { reader: action.protocol.minReaderVersion, writer: action.protocol.minWriterVersion };
    }
  }
  if (actions.every((action) => action === null)) throw damaged(file, 'it is empty');
  return entry;
}

/** The actions that are read; Delta's others (`commitInfo`, `cdc`, …) do not change what a reader sees. */
interface Action {
  readonly add?: { readonly path: string };
  readonly remove?: { readonly path: string };
  readonly txn?: { readonly appId: string; readonly version: number };
  readonly metaData?: { readonly configuration?: Readonly<Record<string, string>> };
  readonly protocol?: { readonly minReaderVersion: number; readonly minWriterVersion: number };
}

function parseAction(line: string, file: string, number: number): Action {
  let action: Action;
  try {
    action = JSON.parse(line) as Action;
  } catch (error) {
    throw damaged(file, `line ${number} is no JSON (${messageOf(error)})`, error);
  }
  if (typeof action !== 'object' || action === null) throw damaged(file, `line ${number} is ${show(action)} and no action`);
  const { add, remove, txn, metaData, protocol } = action;
  const whole =
    [add, remove].every((one) => one === undefined || isPath(one?.path)) &&
    (txn === undefined || (typeof txn?.appId === 'string' && Number.isSafeInteger(txn.version))) &&
    (metaData === undefined || (typeof metaData === 'object' && metaData !== null)) &&
    (protocol === undefined || (Number.isInteger(protocol?.minReaderVersion) && Number.isInteger(protocol.minWriterVersion)));
  if (!whole) throw damaged(file, `line ${number} is an action with parts missing`);
  return action;
}

function isPath(path: unknown): boolean {
  if (typeof path !== 'string') return false;
  try {
    return decodeURIComponent(path) !== '';
  } catch {
    return false;
  }
}

function addOf({ name, bytes, rows }: SegmentFile, now: number): object {
  const stats = JSON.stringify({ numRecords: rows });
  return { add: { path: name, partitionValues: {}, size: bytes, modificationTime: now, dataChange: true, stats } };
}

function commitInfo(operation: string, more: object, now: number): object {
  return { commitInfo: { timestamp: now, operation, operationParameters: {}, engineInfo: 'marque', ...more } };
}

function lines(actions: readonly object[]): string {
  return actions.map((action) => `${JSON.stringify(action)}\n`).join('');
}

function damaged(file: string, what: string, cause?: unknown): MarqueError {
  return new MarqueError(
    'STORE_DAMAGED',
    `the log entry ${show(file, 300)} is damaged: ${what}`,
    cause === undefined ? {} : { cause },
  );
}
