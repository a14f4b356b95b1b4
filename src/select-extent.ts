import { allOf, type Extent, overlap, runsBetween, type SidRange, type TextPredicate } from './extent.ts';
import { type TableName, tableNames } from './schema.ts';
import { lastRunNumber } from './sid.ts';
import { type View, views } from './sql.ts';
import type { SqlValue } from './store.ts';
import { type Comparison, comparisonsIn, type Operand, parseTime } from './where.ts';

/**
 * The part of a store that a user's SELECT over the views can depend on. What cannot be told is all of it: a table that nobody knows,
 * a function that may read any table.
 *
 * @param serialized what DuckDB's `json_serialize_sql` gave for the text, which is one SELECT
 */
export function extentOfSelect(serialized: string, values: readonly SqlValue[]): Extent {
  const named: BaseTable[] = [];
  const selects: SelectNode[] = [];
  const own = new Set<string>();
  const given = new Set<string>();
  let isClear = true;
  JSON.parse(serialized, (key, node: unknown) => {
    if (givesNames.has(key)) for (const name of [node].flat()) given.add(String(name).toLowerCase());
    if (typeof node !== 'object' || node === null) return node;
    const { type, table_name: table, function_name: called } = node as { readonly [name: string]: unknown };
    if (type === 'SELECT_NODE') selects.push(node as SelectNode);
    if (typeof table === 'string' && table !== '') named.push(node as BaseTable);
    if (typeof called === 'string' && called.toLowerCase() === 'getvariable') isClear = false;
    if (type === 'TABLE_FUNCTION' && !withoutTables.has(functionOf(node))) isClear = false;
    if (key === 'cte_map')
      for (const { key: name } of (node as { map: readonly { key: string }[] }).map) own.add(name.toLowerCase());
    return node;
  });
  known ??= views();
  const reads = named.map((table) => tablesBehind(table, own));
  if (!isClear || reads.includes(null)) return allOf(tableNames, known.keys());
  const extent = allOf(
    reads.flatMap((read) => [...(read as Read).tables]),
    reads.flatMap((read) => (read as Read).views),
  );
  const [only, ...others] = named.filter((_, index) => reads[index] !== ownName);
  if (only === undefined || others.length > 0) return extent;
  const select = selects.find((node) => node.from_table === only);
  // A sample is taken before WHERE is looked at: of other rows it would be another.
  if (select === undefined || select.sample !== null || only.sample !== null || only.column_name_alias.length > 0) return extent;
  const name = only.table_name.toLowerCase();
  if (own.has(name)) return extent;
  const view = only.schema_name.toLowerCase() === 'raw' ? `raw.${name}` : name;
  // A name that is no column may be one of another table around this SELECT, or stand for what the statement calls so.
  const columns = (narrowingColumns.get(view) ?? []).filter((column) => !given.has(column));
  return comparisonsIn(select.where_clause, only.alias === '' ? name : only.alias, values)
    .filter(({ column }) => columns.includes(column))
    .reduce((narrower, comparison) => narrowed(narrower, comparison), extent);
}

/** Where the parser has names that a statement gives to columns, tables and expressions. */
const givesNames: ReadonlySet<string> = new Set(['alias', 'aliases', 'column_name_alias']);

const ofScopes = ['sid', 'flow', 'run', 'step', 'status', 'started_at'];
const ofChildren = ['sid', 'flow', 'run', 'step'];
const ofRuns = ['run_number', 'slug', 'flow'];

/** The columns by which rows can be left out, of each view and table that has some. A name that is none of these may mean anything. */
export const narrowingColumns: ReadonlyMap<string, readonly string[]> = new Map([
  ['scopes', [...ofScopes, 'run_number']],
  ['tags', ofChildren],
  ['artifacts', ofChildren],
  ['logs', [...ofChildren, 'logged_at']],
  ['edges', ['sid', 'flow', 'run']],
  ['live_tags', ofChildren],
  ['live_logs', [...ofChildren, 'logged_at']],
  ['live_runs', ofRuns],
  ['runs', ofRuns],
  ['raw.scopes', ofScopes],
  ['raw.tags', ofChildren],
  ['raw.artifacts', ofChildren],
  ['raw.logs', [...ofChildren, 'logged_at']],
  ['raw.edges', ['sid', 'flow', 'run']],
  ['raw.runs', ofRuns],
]);

/** A table or view as DuckDB's parser has it. */
interface BaseTable {
  readonly schema_name: string;
  readonly table_name: string;
  readonly alias: string;
  /** Other names for its columns. */
  readonly column_name_alias: readonly string[];
  readonly sample: unknown;
}

/** `SELECT … FROM … WHERE …` as DuckDB's parser has it. */
interface SelectNode {
  readonly from_table: unknown;
  readonly where_clause: unknown;
  readonly sample: unknown;
}

/** Table functions that read nothing of the store, or name the files themselves. Others may be macros over any table. */
const withoutTables: ReadonlySet<string> = new Set([
  'generate_series',
  'glob',
  'json_each',
  'json_tree',
  'parquet_file_metadata',
  'parquet_metadata',
  'parquet_schema',
  'range',
  'read_csv',
  'read_json',
  'read_parquet',
  'unnest',
]);

function functionOf(node: object): string {
  const { function: called } = node as { readonly function?: { readonly function_name?: string } };
  return called?.function_name?.toLowerCase() ?? '';
}

let known: ReadonlyMap<string, View> | null = null;

interface Read {
  readonly tables: ReadonlySet<TableName>;
  readonly views: readonly string[];
}

/** For what the statement itself defines. */
const ownName: Read = { tables: new Set(), views: [] };

/** What a name stands for; null where nobody knows. */
function tablesBehind({ schema_name: schema, table_name: name }: BaseTable, own: ReadonlySet<string>): Read | null {
  const table = name.toLowerCase();
  if (schema.toLowerCase() === 'raw') {
    return { tables: new Set(tableNames.filter((one) => one === table)), views: [] };
  }
  const view = known?.get(table);
  if (view !== undefined) return { tables: view.tables, views: [table] };
  return schema === '' && own.has(table) ? ownName : null;
}

/**
 * An extent of which one comparison with a column of the view leaves rows out. A child row has the flow, run and step of its scope, and a
 * run has one slug: so what holds for a row of a view holds for every row that it was made of.
 */
function narrowed(extent: Extent, { column, kind, operands }: Comparison): Extent {
  switch (column) {
    case 'sid':
    case 'run_number':
      return withSids(extent, column, kind, operands);
    case 'started_at':
    case 'logged_at': {
      const range = boundsOf(kind, operands.map(milliseconds));
      return range === null ? extent : { ...extent, times: [...extent.times, { column, from: range.first, to: range.last }] };
    }
    default: {
      const text = (column === 'slug' ? 'run' : column) as TextPredicate['column'];
      const isPlain = kind === 'among' && operands.every((operand) => typeof operand === 'string');
      return isPlain ? { ...extent, texts: [...extent.texts, { column: text, kind: 'equals', texts: operands }] } : extent;
    }
  }
}

function withSids(extent: Extent, column: 'sid' | 'run_number', kind: Comparison['kind'], operands: readonly Operand[]): Extent {
  const numbers = operands.map((operand) => (operand === null || typeof operand === 'number' ? operand : undefined));
  const bounds = kind === 'among' ? numbers.map((number) => boundsOf(kind, [number])) : [boundsOf(kind, numbers)];
  const ranges: SidRange[] = [];
  for (const range of bounds) {
    if (range === null) return extent;
    const [first, last] = [Math.max(0, Math.ceil(range.first)), Math.floor(range.last)];
    if (column === 'sid') ranges.push({ first, last });
    else if (first <= lastRunNumber) ranges.push(runsBetween(first, Math.min(last, lastRunNumber)));
  }
  return { ...extent, sids: overlap(extent.sids, ranges) };
}

/** From the least to the greatest operand; null where one cannot be compared. */
function boundsOf(kind: Comparison['kind'], operands: readonly (number | null | undefined)[]): SidRange | null {
  if (operands.includes(undefined)) return null;
  const [low, high] = operands as readonly (number | null)[];
  if (kind === 'between') return { first: low ?? Number.NEGATIVE_INFINITY, last: high ?? Number.POSITIVE_INFINITY };
  return { first: Math.min(...(operands as number[])), last: Math.max(...(operands as number[])) };
}

function milliseconds(operand: Operand): number | null | undefined {
  if (operand === null) return null;
  const time = typeof operand === 'string' ? parseTime(operand) : operand;
  return time instanceof Date ? time.getTime() : undefined;
}
