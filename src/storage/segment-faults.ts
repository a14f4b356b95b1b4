import { join } from 'node:path';
import { messageOf } from '../error.ts';
import type { TableName } from '../schema.ts';
import { damageIn } from './checksum.ts';
import type { ClaimedRun } from './claim-check.ts';
import { hasCode } from './files.ts';
import { inLanes } from './lanes.ts';
import type { SegmentFile } from './segment.ts';
import type { SegmentWriter } from './segment-writer.ts';
import { runRangeOf } from './tables.ts';

/** A segment that is not as it was written. `unreadable` where the system refuses to read it: it may be whole. */
export interface SegmentFault {
  readonly segment: SegmentFile;
  readonly path: string;
  readonly kind: 'missing' | 'damaged' | 'unreadable';
  readonly what: string;
}

/** Checks segments by their checksums; those that have none by reading them. */
export async function segmentFaults(
  folder: string,
  table: TableName,
  segments: readonly SegmentFile[],
  writer: SegmentWriter,
): Promise<readonly SegmentFault[]> {
  const faults: SegmentFault[] = [];
  await inLanes(segments, async (segment) => {
    const path = join(folder, table, segment.name);
    try {
      const what =
        (await damageIn(path, segment)) ?? (segment.checksum === null ? await unreadRows(table, segment, writer) : null);
      if (what !== null) faults.push({ segment, path, kind: 'damaged', what });
    } catch (error) {
      const isMissing = hasCode(error, 'ENOENT', 'ENOTDIR');
      faults.push({
        segment,
        path,
        kind: isMissing ? 'missing' : 'unreadable',
        what: isMissing ? 'it is missing' : messageOf(error),
      });
    }
  });
  return faults.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The slugs of the runs that can have rows in a segment. */
export function slugsOf(
  table: TableName,
  segment: Pick<SegmentFile, 'stats'>,
  runs: ReadonlyMap<number, ClaimedRun>,
): readonly string[] {
  const range = runRangeOf(table, segment);
  if (range === null) return [];
  return [...runs.values()].filter(({ number }) => range.first <= number && number <= range.last).map(({ slug }) => slug);
}

/** Whether an error of a query over segments says that one is not there: others may have merged it, and a vacuum removed it. */
export function isGone(error: unknown): boolean {
  const message = messageOf(error instanceof Error ? (error.cause ?? error) : error);
  return hasCode(error, 'ENOENT') || /No files found|No such file/.test(message);
}

/** Why the rows of a segment cannot be read; null where they can. */
export async function unreadRows(
  table: TableName,
  { name, rows }: Pick<SegmentFile, 'name' | 'rows'>,
  writer: SegmentWriter,
): Promise<string | null> {
  try {
    const text =
      'SELECT count(*) AS n, max(COLUMNS(* EXCLUDE (filename))) FROM read_parquet($1, hive_partitioning = false, filename = true)';
    const found = (await writer.ask(text, table, [name])).values[0]?.[0] as number;
    return rows === null || rows === found ? null : `it has ${found} rows of ${rows}`;
  } catch (error) {
    return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
  }
}
