import { dirname, join } from 'node:path';
import { columnsOf, type TableName } from '../schema.ts';
import { quoteName } from '../quote.ts';
import type { DeltaActions } from './delta-actions.ts';
import { patternOf } from './path-pattern.ts';
import type { SegmentFile } from './segment.ts';
import { isMergedName } from './segment.ts';
import { segmentFaults } from './segment-faults.ts';
import type { SegmentWriter } from './segment-writer.ts';

/** A table of which the version of a merge may be lost. */
export interface MergedTable {
  readonly table: TableName;
  readonly folder: string;
  /** What counts without that version. */
  readonly live: readonly SegmentFile[];
  /** Merged segments on the disk that no version names. */
  readonly unnamed: readonly SegmentFile[];
  readonly entries: ReadonlyMap<number, DeltaActions>;
}

/**
 * The segments whose rows stand in a merged one as well, by the rows themselves; and merged ones that nobody names although they hold, row
 * for row as many, what segments held that have gone, or are not as they were written. Where the inputs of a merge are there, it need not
 * have happened.
 */
export async function coveredSegments(
  { table, folder, live, unnamed, entries }: MergedTable,
  writer: SegmentWriter,
): Promise<{ readonly removed: readonly SegmentFile[]; readonly adopted: readonly SegmentFile[] }> {
  const removed = new Map<string, SegmentFile>();
  const adopted: SegmentFile[] = [];
  const faults = new Map(
    (await segmentFaults(dirname(folder), table, live, writer)).map(({ segment, kind }) => [segment.name, kind]),
  );
  const gone = live.filter(({ name }) => faults.has(name) && faults.get(name) !== 'unreadable');
  const merged = live.filter(({ name, rows }) => isMergedName(name) && rows !== 0 && !faults.has(name));
  for (const target of [...merged, ...(gone.length > 0 ? unnamed : [])]) {
    const within = live.filter(
      (one) => one.name !== target.name && one.rows !== 0 && !removed.has(one.name) && isWithin(table, one, target),
    );
    const missing = within.filter((one) => gone.includes(one));
    const contained: SegmentFile[] = [];
    for (const segment of within) {
      if (!faults.has(segment.name) && (await isContained(folder, table, segment, target, writer))) contained.push(segment);
    }
    const left = (target.rows ?? 0) - rowsOf(contained) - rowsOf(inputsOf(target, entries));
    const isMissingHere = missing.length > 0 && rowsOf(missing) === left;
    const isLive = merged.includes(target);
    if (!isLive && !isMissingHere) continue;
    if (!isLive) adopted.push(target);
    for (const segment of [...contained, ...(isMissingHere ? missing : [])]) removed.set(segment.name, segment);
  }
  return { removed: [...removed.values()], adopted };
}

/** What the version that made a merged segment says it was made of, as far as other versions know it. */
function inputsOf(target: SegmentFile, entries: ReadonlyMap<number, DeltaActions>): readonly SegmentFile[] {
  const all = [...entries.values()];
  const made = all.find(({ added }) => added.some(({ name }) => name === target.name));
  const names = new Set(made?.removed.map(({ name }) => name));
  return all.flatMap(({ added }) => added.filter(({ name }) => names.has(name)));
}

async function isContained(
  folder: string,
  table: TableName,
  segment: SegmentFile,
  target: SegmentFile,
  writer: SegmentWriter,
): Promise<boolean> {
  const same = columnsOf(table).map(([name]) => `one.${quoteName(name)} IS NOT DISTINCT FROM other.${quoteName(name)}`);
  const text = `SELECT count(*) FROM read_parquet($1, hive_partitioning = false) AS one
    ANTI JOIN read_parquet($2, hive_partitioning = false) AS other ON ${same.join(' AND ')}`;
  const { values } = await writer.ask(text, table, [segment.name], [[patternOf(join(folder, target.name))]]);
  return values[0]?.[0] === 0;
}

function isWithin(table: TableName, one: SegmentFile, other: SegmentFile): boolean {
  const column = table === 'runs' ? 'run_number' : 'sid';
  const [inner, outer] = [one.stats[column], other.stats[column]];
  if (inner?.min == null || inner.max == null || outer?.min == null || outer.max == null) return false;
  return inner.min >= outer.min && inner.max <= outer.max;
}

function rowsOf(segments: readonly SegmentFile[]): number {
  return segments.reduce((sum, { rows }) => sum + (rows ?? 0), 0);
}
