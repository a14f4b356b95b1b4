import { columnsOf, type ColumnType, type TableName, tableNames } from '../schema.ts';
import type { Range, Stats } from './segment.ts';

/** The columns by which segments are left out of a query before they are opened. */
const pruning = new Set(['sid', 'flow', 'run', 'step', 'status', 'started_at', 'logged_at', 'run_number', 'slug', 'happened_at']);

const pruningColumns = Object.fromEntries(
  tableNames.map((table) => [table, columnsOf(table).filter(([name]) => pruning.has(name))]),
) as unknown as Readonly<Record<TableName, ReturnType<typeof columnsOf>>>;

/**
 * The ranges of a table's columns from what DuckDB's `COPY … (RETURN_STATS)` says of a file: texts by column and kind. Long texts
 * have none.
 */
export function statsOfCopy(table: TableName, columns: ReadonlyMap<string, ReadonlyMap<string, string>>): Stats {
  const stats: Record<string, Range> = {};
  for (const [name, type] of columnsOf(table)) {
    const said = columns.get(`"${name}"`);
    if (said === undefined || !pruning.has(name)) continue;
    const nulls = Number(said.get('null_count'));
    const [min = null, max = null] = ['min', 'max'].map((end) => fromDuckDB(type, said.get(end)));
    if (!Number.isSafeInteger(nulls) || (min === null) !== (max === null)) continue;
    if (min === null && nulls !== Number(said.get('num_values'))) continue; // not all null: too long to be said
    stats[name] = { min, max, nulls };
  }
  return stats;
}

/** As the log holds them: the JSON text of Delta's `add.stats`. */
export function statsJson(table: TableName, rows: number | null, stats: Stats): string {
  const types = new Map(columnsOf(table));
  const written = (end: 'min' | 'max') =>
    Object.fromEntries(
      Object.entries(stats).flatMap(([name, range]) => {
        const value = range[end];
        if (value === null) return [];
        return [[name, types.get(name) === 'timestamp' ? new Date(value).toISOString() : value]];
      }),
    );
  const nullCount = Object.fromEntries(Object.entries(stats).map(([name, { nulls }]) => [name, nulls]));
  return JSON.stringify({
    ...(rows === null ? {} : { numRecords: rows }),
    minValues: written('min'),
    maxValues: written('max'),
    nullCount,
  });
}

/**
 * Reads them back, also those of other programs, whose texts may be cut to bounds. What cannot be made sense of is left out: without its
 * range a column may hold anything.
 */
export function parseStats(table: TableName, text: unknown): { readonly rows: number | null; readonly stats: Stats } {
  const parsed = objectIn(text);
  const rows = parsed.numRecords;
  const [minValues, maxValues, nullCount] = [parsed.minValues, parsed.maxValues, parsed.nullCount].map(asObject) as [
    Bag,
    Bag,
    Bag,
  ];
  const stats: Record<string, Range> = {};
  for (const [name, type] of pruningColumns[table]) {
    const min = fromJson(type, minValues[name]);
    const max = fromJson(type, maxValues[name]);
    const nulls = nullCount[name];
    const isKnown = typeof nulls === 'number' && (min === null) === (max === null) && (min !== null || nulls === rows);
    if (isKnown) stats[name] = { min, max, nulls };
  }
  return { rows: typeof rows === 'number' && Number.isSafeInteger(rows) ? rows : null, stats };
}

type Bag = Readonly<Record<string, unknown>>;

function objectIn(text: unknown): Bag {
  if (typeof text !== 'string') return {};
  try {
    return asObject(JSON.parse(text));
  } catch {
    return {}; // statistics are optional: another program may write them as it likes
  }
}

function asObject(value: unknown): Bag {
  return typeof value === 'object' && value !== null ? (value as Bag) : {};
}

function fromDuckDB(type: ColumnType, text: string | undefined): string | number | null {
  if (text === undefined) return null;
  if (type === 'text') return text;
  return finite(type === 'timestamp' ? Date.parse(`${text.replace(' ', 'T')}Z`) : Number(text));
}

function fromJson(type: ColumnType, value: unknown): string | number | null {
  if (type === 'text') return typeof value === 'string' ? value : null;
  if (type === 'timestamp') return typeof value === 'string' ? finite(Date.parse(value)) : null;
  return typeof value === 'number' ? finite(value) : null;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
