import { randomUUID } from 'node:crypto';
import { columnsOf, type ColumnType, type TableName } from '../schema.ts';
import type { BatchId } from '../store.ts';
import { digestOf } from './checksum.ts';
import type { SegmentFile } from './segment.ts';
import { statsJson } from './statistics.ts';

/**
 * One version of a table's transaction log as text: JSON lines, as Delta Lake's protocol has it
 * (https://github.com/delta-io/delta/blob/master/PROTOCOL.md, reader version 1, writer version 2). `delta-actions.ts` reads it.
 */

/** Of the store as a whole. A store with a higher one is refused; 1 had neither checksums nor statistics. */
export const formatVersion = 2;
export const deltaProtocol = { reader: 1, writer: 2 } as const;

/** What `commitInfo.engineInfo` says of versions that we wrote. */
export const engine = 'marque';

/** Where our checksum of a segment stands among `add.tags`. */
export const checksumTag = 'marque.checksum';

const deltaTypes: Readonly<Record<ColumnType, string>> = {
  bigint: 'long',
  integer: 'integer',
  double: 'double',
  text: 'string',
  bytes: 'binary',
  timestamp: 'timestamp',
};

/** Segments replaced by others in one version, or only removed. */
export interface Replacement {
  readonly operation: 'OPTIMIZE' | 'DELETE' | 'REPAIR';
  readonly removed: readonly SegmentFile[];
  readonly added: readonly SegmentFile[];
  /** Whether the table has other rows afterwards: false for a merge. */
  readonly dataChange: boolean;
}

/** The versions of other tables, by name, that a reader of a version has to have. */
export type Needs = Readonly<Partial<Record<TableName, number>>>;

/** Version 0: the table with its columns, and a segment without rows, since readers that use a glob fail on an empty folder. */
export function firstEntry(table: TableName, empty: SegmentFile, now: number): string {
  const fields = columnsOf(table).map(([name, type]) => ({ name, type: deltaTypes[type], nullable: true, metadata: {} }));
  const metaData = {
    id: randomUUID(),
    name: table,
    format: { provider: 'parquet', options: {} },
    schemaString: JSON.stringify({ type: 'struct', fields }),
    partitionColumns: [],
    configuration: { 'marque.formatVersion': String(formatVersion) },
    createdTime: now,
  };
  const protocol = { minReaderVersion: deltaProtocol.reader, minWriterVersion: deltaProtocol.writer };
  return signed([{ protocol }, { metaData }, addOf(table, empty, true, now)], 'CREATE TABLE', {}, now);
}

/** A version that appends a batch, also one without rows of this table. */
export function appendEntry(table: TableName, id: BatchId, segment: SegmentFile | null, needs: Needs, now: number): string {
  const txn = { appId: id.writer, version: id.number, lastUpdated: now };
  const added = segment === null ? [] : [addOf(table, segment, true, now)];
  return signed([{ txn }, ...added], 'WRITE', { isBlindAppend: true, ...given(needs) }, now);
}

export function replaceEntry(table: TableName, change: Replacement, needs: Needs, now: number): string {
  const { operation, removed, added, dataChange } = change;
  const actions = [
    ...removed.map((segment) => removeOf(segment, dataChange, now)),
    ...added.map((segment) => addOf(table, segment, dataChange, now)),
  ];
  return signed(actions, operation, { isBlindAppend: false, ...given(needs) }, now);
}

/** A version that raises the format of a table to ours. `metaData` is the table's, as its log has it. */
export function upgradeEntry(metaData: object, now: number): string {
  const { configuration, ...rest } = metaData as { readonly configuration?: object };
  const raised = { ...rest, configuration: { ...configuration, 'marque.formatVersion': String(formatVersion) } };
  return signed([{ metaData: raised }], 'SET TBLPROPERTIES', {}, now);
}

/** A version that stands for one that was lost: whatever of it is certain. */
export function rebuiltEntry(actions: readonly object[], needs: Needs, now: number): string {
  return signed(actions, 'REPAIR', { isBlindAppend: false, isRebuilt: true, ...given(needs) }, now);
}

/**
 * A version that changes nothing, and says which others something else is put in the place of. Whoever has applied one of those as it was
 * before begins again.
 */
export function rebuildingEntry(versions: readonly number[], now: number): string {
  return signed([], 'REPAIR', { isBlindAppend: false, rebuilt: versions }, now);
}

/** The action by which a checkpoint keeps a segment. */
export function addOf(
  table: TableName,
  { name, bytes, rows, checksum, stats }: SegmentFile,
  dataChange: boolean,
  now: number,
): object {
  return {
    add: {
      path: encodeURIComponent(name),
      partitionValues: {},
      size: bytes,
      modificationTime: now,
      dataChange,
      stats: statsJson(table, rows, stats),
      ...(checksum === null ? {} : { tags: { [checksumTag]: checksum } }),
    },
  };
}

/**
 * The checksum of an entry's text: what stands in its last line as `checksum`, with zeros in its place while it is taken. Null where
 * there is none.
 */
export function checkSignature(text: string): boolean | null {
  const [whole, found] = /"checksum":"([0-9a-f]{32})"\}\}\n$/.exec(text) ?? [];
  if (whole === undefined) return null;
  return digestOf(`${text.slice(0, -whole.length)}${signature(zeros)}`) === found;
}

const zeros = '0'.repeat(32);

function signature(digest: string): string {
  return `"checksum":"${digest}"}}\n`;
}

/**
 * The actions with a `commitInfo` at their end, in it a checksum over all of it: one byte changed in a name, a statistic or a number of a
 * batch would otherwise be believed.
 */
function signed(actions: readonly object[], operation: string, more: object, now: number): string {
  const commitInfo = { timestamp: now, operation, operationParameters: {}, engineInfo: engine, ...more, checksum: zeros };
  const text = [...actions, { commitInfo }].map((action) => `${JSON.stringify(action)}\n`).join('');
  return text.slice(0, -signature(zeros).length) + signature(digestOf(text));
}

/** The action by which a version takes a segment out of the table. */
export function removeOf({ name, bytes }: Pick<SegmentFile, 'name' | 'bytes'>, dataChange: boolean, now: number): object {
  const path = encodeURIComponent(name);
  return { remove: { path, deletionTimestamp: now, dataChange, extendedFileMetadata: true, partitionValues: {}, size: bytes } };
}

function given(needs: Needs): object {
  return Object.keys(needs).length === 0 ? {} : { needs };
}
