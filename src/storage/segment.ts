import { randomUUID } from 'node:crypto';
import type { BatchId } from '../store.ts';
import type { Fingerprint } from './checksum.ts';

/** A Parquet file of a table, as the table's log names it. It never changes. */
export interface SegmentFile extends Fingerprint {
  /** File name in the table's folder. */
  readonly name: string;
  /** Null where another program wrote it and does not say. */
  readonly rows: number | null;
  readonly stats: Stats;
}

/** The least and the greatest value of a column in a segment, nulls left out; null where unknown, or where all are null. */
export interface Range {
  /** Times in epoch milliseconds. */
  readonly min: string | number | null;
  readonly max: string | number | null;
  readonly nulls: number;
}

/** By column; a column that is not there may hold anything. */
export type Stats = Readonly<Record<string, Range>>;

/** The name of the segment without rows that every table begins with. */
export const emptySegment = 'empty.parquet';

/**
 * A name for a segment that is to hold a batch: ASCII, and never given twice, also for one batch. So an attempt that failed, or another
 * process that writes the same batch, cannot replace a file whose checksum stands in the log.
 */
export function segmentName({ writer, number }: BatchId): string {
  return `${writer.replace('/', '-')}-${number}.${randomUUID().slice(0, 8)}.parquet`;
}

/** A name for a segment that holds the rows of several others. */
export function mergedName(): string {
  return `${randomUUID()}.merged.parquet`;
}

/** Whether a name is one that {@link mergedName} gives. */
export function isMergedName(name: string): boolean {
  return /^[0-9a-f-]{36}\.merged\.parquet$/.test(name);
}

/** The batch that a segment holds, by its name; null where it holds rows of several, or none. */
export function batchOf(name: string): BatchId | null {
  const [, writer, epoch, number] = /^([A-Za-z0-9_-]+)-(\d+)-(\d+)(?:\.[0-9a-f]{8})?\.parquet$/.exec(name) ?? [];
  return number === undefined ? null : { writer: `${writer}/${epoch}`, number: Number(number) };
}
