import { MarqueError, messageOf, show } from '../error.ts';
import type { TableName } from '../schema.ts';
import type { BatchId } from '../store.ts';
import { isChecksum } from './checksum.ts';
import { checkSignature, checksumTag, engine, formatVersion, type Needs } from './delta-entry.ts';
import type { SegmentFile } from './segment.ts';
import { parseStats } from './statistics.ts';

/** What a version of a log, or a checkpoint, says, as far as it concerns us. */
export interface DeltaActions {
  readonly added: readonly SegmentFile[];
  readonly removed: readonly Tombstone[];
  readonly batches: readonly BatchId[];
  /** The table's description as it stands there; undefined where there is none. */
  readonly metaData: object | undefined;
  /** `marque.formatVersion` in it: undefined where there is no metadata, null where another program made it. */
  readonly formatVersion: string | null | undefined;
  /** Undefined where nothing is said of the protocol. */
  readonly protocol: { readonly reader: number; readonly writer: number } | undefined;
  /** Epoch milliseconds; null where nothing is said. */
  readonly committedAt: number | null;
  /** What the version did, in its writer's word, such as `WRITE`; null where nothing is said. */
  readonly operation: string | null;
  readonly needs: Needs;
  /** The earlier versions that were put together anew, with or after this one. */
  readonly rebuilt: readonly number[];
  /** Whether we wrote it, or nobody says who did. */
  readonly isOurs: boolean;
  /** Whether it carries a checksum of its text, which then fits. */
  readonly isSigned: boolean;
}

/** A segment that is no longer part of the table. Its file stays until it is vacuumed. */
interface Tombstone {
  readonly name: string;
  /** Epoch milliseconds. */
  readonly removedAt: number;
}

/**
 * Reads the lines of one version, or of a checkpoint.
 *
 * @param file for messages
 * @throws MarqueError STORE_DAMAGED, naming the file and the line; STORE_FORMAT where it may as well be of a newer format.
 */
export function parseActions(table: TableName, text: string, file: string): DeltaActions {
  const isSigned = checkSignature(text);
  const actions = text.split('\n').map((line, index) => (line.trim() === '' ? null : parseAction(line, file, index + 1)));
  if (actions.every((action) => action === null)) throw damagedEntry(file, 'it is empty');
  const entry = {
    added: [] as SegmentFile[],
    removed: [] as Tombstone[],
    batches: [] as BatchId[],
    metaData: undefined as object | undefined,
    formatVersion: undefined as string | null | undefined,
    protocol: undefined as DeltaActions['protocol'],
    committedAt: null as number | null,
    operation: null as string | null,
    needs: {} as Needs,
    rebuilt: [] as readonly number[],
    isOurs: true,
    isSigned: isSigned === true,
  };
  for (const action of actions) {
    if (action?.add != null) entry.added.push(segmentOf(table, action.add));
    if (action?.remove != null) entry.removed.push(tombstoneOf(action.remove));
    if (action?.txn != null) entry.batches.push({ writer: action.txn.appId, number: action.txn.version });
    if (action?.metaData != null) {
      entry.metaData = action.metaData;
      entry.formatVersion = action.metaData.configuration?.['marque.formatVersion'] ?? null;
    }
    if (action?.protocol != null)
      entry.protocol = { reader: action.protocol.minReaderVersion, writer: action.protocol.minWriterVersion };
    if (action?.commitInfo != null) {
      const { timestamp, operation, engineInfo, needs, rebuilt } = action.commitInfo;
      if (typeof timestamp === 'number') entry.committedAt = timestamp;
      if (typeof operation === 'string') entry.operation = operation;
      if (typeof needs === 'object' && needs !== null) entry.needs = needs;
      if (Array.isArray(rebuilt)) entry.rebuilt = rebuilt.filter((version) => Number.isSafeInteger(version));
      entry.isOurs = engineInfo === engine;
    }
  }
  if (isSigned === false) {
    const format = Number(entry.formatVersion ?? 0);
    throw format > formatVersion ? newerOrDamaged(file, format) : damagedEntry(file, 'its checksum does not fit its text');
  }
  return entry;
}

/** The error for an entry that cannot be what was written. */
export function damagedEntry(file: string, what: string, cause?: unknown): MarqueError {
  const message = `the log entry ${show(file, 300)} is damaged: ${what}`;
  return new MarqueError('STORE_DAMAGED', message, cause === undefined ? {} : { cause });
}

/** Nobody can tell: a newer format may have other checksums, and the number of a format is a byte that can be damaged like any other. */
function newerOrDamaged(file: string, format: number): MarqueError {
  const is = `the log entry ${show(file, 300)} is of format ${format}, or damaged, since its checksum does not fit its text`;
  return new MarqueError(
    'STORE_FORMAT',
    `${is}; this version of marque knows format ${formatVersion}: install a newer version, or else put the entry back from a copy`,
  );
}

/**
 * The actions that are read; Delta's others (`cdc`, `domainMetadata`, …) do not change what a reader sees. A line has one of them; in
 * a checkpoint the others stand beside it as null.
 */
interface Action {
  readonly add?: AddAction | null;
  readonly remove?: { readonly path: string; readonly deletionTimestamp?: unknown } | null;
  readonly txn?: { readonly appId: string; readonly version: number } | null;
  readonly metaData?: { readonly configuration?: Readonly<Record<string, string>> } | null;
  readonly protocol?: { readonly minReaderVersion: number; readonly minWriterVersion: number } | null;
  readonly commitInfo?: Readonly<Record<'timestamp' | 'operation' | 'engineInfo' | 'needs' | 'rebuilt', unknown>> | null;
}

interface AddAction {
  readonly path: string;
  readonly size: number;
  readonly stats?: unknown;
  readonly tags?: Readonly<Record<string, unknown>> | null;
}

function parseAction(line: string, file: string, number: number): Action {
  let action: Action;
  try {
    action = JSON.parse(line) as Action;
  } catch (error) {
    throw damagedEntry(file, `line ${number} is no JSON (${messageOf(error)})`, error);
  }
  if (typeof action !== 'object' || action === null) throw damagedEntry(file, `line ${number} is ${show(action)} and no action`);
  const { add, remove, txn, metaData, protocol } = action;
  const isWhole =
    (add == null || (isPath(add.path) && Number.isSafeInteger(add.size))) &&
    (remove == null || isPath(remove.path)) &&
    (txn == null || (typeof txn.appId === 'string' && Number.isSafeInteger(txn.version))) &&
    (metaData == null || typeof metaData === 'object') &&
    (protocol == null || (Number.isInteger(protocol.minReaderVersion) && Number.isInteger(protocol.minWriterVersion)));
  if (!isWhole) throw damagedEntry(file, `line ${number} is an action with parts missing`);
  return action;
}

function segmentOf(table: TableName, { path, size, stats, tags }: AddAction): SegmentFile {
  const checksum = tags?.[checksumTag];
  return {
    name: decodeURIComponent(path),
    bytes: size,
    checksum: isChecksum(checksum) ? checksum : null,
    ...parseStats(table, stats),
  };
}

function tombstoneOf({ path, deletionTimestamp }: NonNullable<Action['remove']>): Tombstone {
  return { name: decodeURIComponent(path), removedAt: typeof deletionTimestamp === 'number' ? deletionTimestamp : 0 };
}

function isPath(path: unknown): boolean {
  if (typeof path !== 'string') return false;
  try {
    return decodeURIComponent(path) !== '';
  } catch {
    return false;
  }
}
