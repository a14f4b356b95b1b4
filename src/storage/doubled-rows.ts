import type { TableName } from '../schema.ts';
import { isGone } from './segment-faults.ts';
import type { SegmentFile } from './segment.ts';
import type { SegmentWriter } from './segment-writer.ts';

/** Rows of two segments that have the same key. */
export interface DoubledRows {
  /** Paths; the same one twice where the rows are in one file. */
  readonly files: readonly [string, string];
  readonly keys: number;
  /** One of the sids. */
  readonly sid: number;
  /** The numbers of the runs that they belong to. */
  readonly runs: readonly number[];
}

/** What tells the rows of a table apart. Repairs add lines to the logs of runs that are under way, so in `logs` nothing does. */
const keys: Partial<Record<TableName, string>> = { scopes: 'sid', tags: 'sid, seq', artifacts: 'sid, seq' };

/** Finds rows that count twice: a merged segment beside one that it was made of, or two runs of one number. */
export async function doubledRows(
  table: TableName,
  segments: readonly SegmentFile[],
  writer: SegmentWriter,
): Promise<readonly DoubledRows[]> {
  const key = keys[table];
  if (key === undefined || segments.length === 0) return [];
  const text = `SELECT first, last, count(*), min(sid), list(DISTINCT sid // 4294967296) FROM (
      SELECT sid, min(filename) AS first, max(filename) AS last FROM read_parquet($1, hive_partitioning = false, filename = true)
      GROUP BY ${key} HAVING count(*) > 1
    ) GROUP BY first, last ORDER BY first, last`;
  const names = segments.map(({ name }) => name);
  const found = await writer.ask(text, table, names).catch((error: unknown) => {
    if (isGone(error)) return null; // vacuumed since
    throw error;
  });
  if (found === null) return [];
  const [first, last, counts, sids, runs] = found.values as [string[], string[], number[], number[], number[][]];
  return first.map((file, row) => ({
    files: [file, last[row] as string],
    keys: counts[row] as number,
    sid: sids[row] as number,
    runs: runs[row] as number[],
  }));
}
