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
  return texts.some((text) => {
    const start = kind === 'begins' ? (min as string).slice(0, text.length) : (min as string);
    return compareBytes(start, text) <= 0 && compareBytes(max as string, text) >= 0;
  });
}

/** The order of two texts by their bytes in UTF-8, which is DuckDB's, and that of JavaScript but for characters of two units. */
function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  return isBeyond(a) || isBeyond(b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1;
}

/** Whether a text has units from which on the two orders differ. */
function isBeyond(text: string): boolean {
  return /[\ud800-\uffff]/.test(text);
}
