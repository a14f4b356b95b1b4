import type { TableName } from '../schema.ts';
import { runNumberOf } from '../sid.ts';
import type { Batch } from '../store.ts';
import type { Needs } from './delta-entry.ts';
import type { Logs } from './parquet-folder.ts';
import type { LogStates } from './parquet-reader.ts';
import { childTables } from './scope-rows.ts';
import type { SegmentFile } from './segment.ts';
import type { SegmentWriter } from './segment-writer.ts';

/** The tables of a Parquet store, with what maintenance needs to work on them. */
export interface Tables {
  readonly folder: string;
  readonly logs: Logs;
  readonly writer: SegmentWriter;
  /** All tables as they are after this call began. */
  states(): Promise<LogStates>;
  /** Stores a batch, as a flow does; nothing happens where it has been stored before. */
  write(batch: Batch): Promise<void>;
}

/** How often a change is planned anew when others keep changing the same segments. */
export const mostAttempts = 20;

/** The runs, by number, that a segment can have rows of. */
export interface RunRange {
  readonly first: number;
  readonly last: number;
}

/** What the statistics of a segment say; null where they say nothing. A segment without rows, or of nulls only, has no range either. */
export function runRangeOf(table: TableName, { stats }: Pick<SegmentFile, 'stats'>): RunRange | null {
  const range = table === 'runs' ? stats['run_number'] : stats['sid'];
  if (typeof range?.min !== 'number' || typeof range.max !== 'number') return null;
  return table === 'runs'
    ? { first: range.min, last: range.max }
    : { first: runNumberOf(range.min), last: runNumberOf(range.max) };
}

/** The highest number of a run that has rows, as far as the statistics say; 0 where there is none. */
export function lastRunIn(states: LogStates): number {
  return Math.max(
    0,
    ...(['scopes', 'runs'] as const).map((table) =>
      states[table].segments.reduce((last, segment) => Math.max(last, runRangeOf(table, segment)?.last ?? 0), 0),
    ),
  );
}

/**
 * What a version that replaces segments tells readers to have of the other tables. Of `scopes` as much as was known: a merged segment does
 * not say any more which batches it holds, and all of them must count as committed.
 */
export function neededBy(table: TableName, states: LogStates): Needs {
  if (table === 'runs') return {};
  if (table !== 'scopes') return { scopes: states.scopes.version };
  return Object.fromEntries(childTables.map((child) => [child, states[child].version]));
}
