import { join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { type TableName, tableNames } from '../schema.ts';
import { removeRows } from './delete-runs.ts';
import { deletedBy, openDeletions } from './deletion.ts';
import { remove } from './files.ts';
import type { LogStates } from './parquet-reader.ts';
import { childTables } from './scope-rows.ts';
import type { Segment } from './table-state.ts';
import { mostAttempts, neededBy, type Tables } from './tables.ts';

export interface CompactOptions {
  /** How large a segment may become, in bytes. Segments above half of that are left alone. Default 128 MiB. */
  readonly segmentBytes?: number | undefined;
}

/** What a compaction has done to one table. Bytes are those of the segments that count, not of the files that a vacuum will remove. */
export interface CompactedTable {
  readonly table: TableName;
  readonly segmentsBefore: number;
  readonly segmentsAfter: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** Which segments, of those that may be merged, are to become one. */
export type MergePlan = (segments: readonly Segment[]) => readonly (readonly Segment[])[];

export const defaultSegmentBytes = 128 * 2 ** 20;

/** Merges small segments of every table, and finishes deletions that were interrupted. Readers and writers are not disturbed. */
export async function compact(tables: Tables, { segmentBytes = defaultSegmentBytes }: CompactOptions): Promise<CompactedTable[]> {
  const before = await tables.states();
  const removed = new Set(openDeletions(before.runs.segments));
  await removeRows(tables, [...removed]);
  // The event of a deletion that has begun since stays by itself: merged, it would say that the rows have gone.
  const isSettled = (segment: Segment): boolean => {
    const deleted = deletedBy(segment);
    return deleted === null || removed.has(deleted);
  };
  for (const table of tableNames) {
    await mergeSegments(tables, table, (segments) => piecesOf(table, segments.filter(isSettled), segmentBytes));
  }
  const after = await tables.states();
  return tableNames.map((table) => ({
    table,
    segmentsBefore: before[table].segments.length,
    segmentsAfter: after[table].segments.length,
    bytesBefore: bytesOf(before[table].segments),
    bytesAfter: bytesOf(after[table].segments),
  }));
}

/**
 * Segments to be merged, in the order of their rows' keys, in pieces that become one segment each: so much is read and written at a
 * time, whatever the store has.
 */
export function piecesOf(table: TableName, segments: readonly Segment[], segmentBytes: number): readonly (readonly Segment[])[] {
  const small = segments.filter(({ bytes }) => bytes <= segmentBytes / 2);
  const pieces: Segment[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const segment of small.sort((a, b) => firstKey(table, a) - firstKey(table, b))) {
    if (size + segment.bytes > segmentBytes) {
      pieces.push([]);
      size = 0;
    }
    pieces.at(-1)?.push(segment);
    size += segment.bytes;
  }
  return pieces.filter((piece) => piece.length > 1);
}

/**
 * Merges what `plan` chooses. Where somebody else has changed one of the segments meanwhile, it is asked again, a few times: who keeps
 * changing them is merging them as well.
 */
export async function mergeSegments(tables: Tables, table: TableName, plan: MergePlan): Promise<void> {
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    const states = await tables.states();
    let isDone = true;
    for (const piece of plan(mergeable(table, states))) if (!(await mergePiece(tables, table, states, piece))) isDone = false;
    if (isDone) return;
  }
}

/** A reader has to be able to leave out the rows of a batch that is not committed, so these stay in segments of their own. */
function mergeable(table: TableName, { [table]: { segments }, scopes }: LogStates): readonly Segment[] {
  const isChild = (childTables as readonly TableName[]).includes(table);
  return segments.filter(({ batch, rows }) => rows !== 0 && (!isChild || batch === null || scopes.has(batch)));
}

/** False, and nothing is done, where one of the segments does not count any more. */
async function mergePiece(tables: Tables, table: TableName, states: LogStates, piece: readonly Segment[]): Promise<boolean> {
  const { folder, logs, writer } = tables;
  const merged = await writer.merge(table, piece).catch(async (error: unknown) => {
    // Where others have merged them and a vacuum has removed them since, there is no damage.
    const { segments } = await logs[table].refresh();
    const live = new Set(segments.map(({ name }) => name));
    if (piece.every(({ name }) => live.has(name))) throw error;
    return undefined;
  });
  if (merged === undefined) return false;
  const rows = piece.reduce<number | null>((sum, one) => (sum === null || one.rows === null ? null : sum + one.rows), 0);
  if (rows !== null && rows !== (merged?.rows ?? 0)) {
    if (merged !== null) await remove(join(folder, table, merged.name));
    throw new MarqueError(
      'STORE_DAMAGED',
      `${show(join(folder, table), 300)} has segments with other numbers of rows than its log says`,
    );
  }
  const change = { operation: 'OPTIMIZE', removed: piece, added: merged === null ? [] : [merged], dataChange: false } as const;
  if ((await logs[table].replace(change, neededBy(table, states))) !== null) return true;
  if (merged !== null) await remove(join(folder, table, merged.name));
  return false;
}

function firstKey(table: TableName, { stats }: Segment): number {
  const first = stats[table === 'runs' ? 'run_number' : 'sid']?.min;
  return typeof first === 'number' ? first : Number.MAX_SAFE_INTEGER;
}

function bytesOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0);
}
