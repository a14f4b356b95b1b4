import type { Extent, SidRange, TextPredicate } from '../extent.ts';
import { runNumbersOf } from '../extent.ts';
import type { TableName } from '../schema.ts';
import type { Range, Stats } from './segment.ts';

/**
 * Whether a segment of a table can hold a row of an extent, by its statistics. Those that are missing exclude nothing; where all of
 * a column is null, no row passes a predicate on it.
 */
export function mayHold(table: TableName, stats: Stats, { tables, sids, texts, times }: Extent): boolean {
  return (
    tables.has(table) &&
    (sids === null || mayHoldSids(table, stats, sids)) &&
    texts.every(({ column, kind, texts }) => mayHoldTexts(stats[columnIn(table, column)], kind, texts)) &&
    times.every(({ column, from, to }) => meets(stats[column], { first: from, last: to }))
  );
}

/** The highest number of a run of which a segment has rows: -1 where it has none, null where nobody knows. */
export function highestRun(stats: Stats): number | null {
  const { sid } = stats;
  if (sid === undefined) return null;
  return sid.max === null ? -1 : runNumbersOf({ first: 0, last: sid.max as number }).last;
}

function mayHoldSids(table: TableName, stats: Stats, sids: readonly SidRange[]): boolean {
  if (table === 'runs') return sids.some((range) => meets(stats['run_number'], runNumbersOf(range)));
  const { sid } = stats;
  if (sid === undefined) return true;
  if (sid.min === null) return false;
  // The first range that does not end before the segment begins is the only one that can be decisive.
  let [low, high] = [0, sids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sids[middle] as SidRange).last < (sid.min as number)) low = middle + 1;
    else high = middle;
  }
  const range = sids[low];
  return range !== undefined && range.first <= (sid.max as number);
}

function columnIn(table: TableName, column: TextPredicate['column']): string {
  return table === 'runs' && column === 'run' ? 'slug' : column;
}

function meets(range: Range | undefined, { first, last }: SidRange): boolean {
  if (range === undefined) return true;
  return range.min !== null && (range.min as number) <= last && (range.max as number) >= first;
}

function mayHoldTexts(range: Range | undefined, kind: TextPredicate['kind'], texts: readonly string[]): boolean {
  if (range === undefined) return true;
  const { min, max } = range;
  if (min === null) return false;
  if (kind === 'equals' && min === max) return texts.includes(min as string);
  const [least, greatest] = [Buffer.from(min as string), Buffer.from(max as string)];
  return texts.some((text) => {
    const bytes = Buffer.from(text);
    const start = kind === 'begins' ? least.subarray(0, bytes.length) : least;
    return Buffer.compare(start, bytes) <= 0 && Buffer.compare(greatest, bytes) >= 0; // DuckDB compares bytes, JavaScript UTF-16
  });
}
