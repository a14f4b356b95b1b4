import { inspect, type InspectOptionsStylized } from 'node:util';
import { type Data, DataType, type Decimal, type Field, Table, TimeUnit, Vector } from 'apache-arrow';
import { type ShownColumn, type ShownTable, sizeText, tableText } from './display.ts';
import { MarqueError, show } from './error.ts';
import { tableHtml } from './html.ts';
import { checkOptionNames } from './options.ts';

/** What Deno's kernel for Jupyter asks a value for: what to show, by media type. */
const jupyterDisplay: unique symbol = Symbol.for('Jupyter.display');

/**
 * An Arrow table that shows itself: `console.log` writes its first rows as aligned text, Jupyter shows them as a table, `toHTML` gives the
 * same for a page. Everything else is apache-arrow's `Table`; what is sliced or selected from it shows itself as well.
 */
export class ResultTable extends Table {
  /** The same table, without a copy of its columns. */
  static of(table: Table): ResultTable {
    return table instanceof ResultTable ? table : new ResultTable(table.schema, table.batches);
  }

  /**
   * The first `rows` rows, 20 by default, as a piece of HTML without scripts, for a notebook or a page of any colours. Everything is escaped;
   * the types of the columns are titles of the headers. Throws OPTION_INVALID unless `rows` is a whole number or `Infinity`.
   */
  toHTML(options: { readonly rows?: number | undefined } = {}): string {
    checkOptionNames(options, ['rows']);
    const { rows = 20 } = options;
    if (!(rows >= 0) || !(Number.isSafeInteger(rows) || rows === Infinity))
      throw new MarqueError('OPTION_INVALID', `toHTML: rows is ${show(rows)}: give a whole number of rows, or Infinity`);
    return tableHtml(shown(this), rows);
  }

  [inspect.custom](depth: number, options: InspectOptionsStylized): string {
    const faint = (text: string): string => options.stylize(text, 'undefined');
    if (depth < 0) return faint(`[ResultTable: ${sizeText(shown(this))}]`);
    const width = process.stdout.columns || 120; // 0 where a terminal does not know
    return tableText(shown(this), { rows: 10, width, faint });
  }

  [jupyterDisplay](): Readonly<Record<'text/plain' | 'text/html', string>> {
    const text = tableText(shown(this), { rows: 10, width: 120, faint: (part) => part });
    return { 'text/plain': text, 'text/html': this.toHTML() };
  }

  override slice(begin?: number, end?: number): ResultTable {
    return ResultTable.of(super.slice(begin, end));
  }

  override select(columnNames: PropertyKey[]): ResultTable & ReturnType<Table['select']> {
    return ResultTable.of(super.select(columnNames)) as ReturnType<ResultTable['select']>;
  }

  override selectAt(columnIndices: number[]): ResultTable & ReturnType<Table['selectAt']> {
    return ResultTable.of(super.selectAt(columnIndices)) as ReturnType<ResultTable['selectAt']>;
  }

  override concat(...others: Table[]): ResultTable {
    return ResultTable.of(super.concat(...others));
  }

  override assign(other: Table): ResultTable {
    return ResultTable.of(super.assign(other));
  }
}

function shown(table: Table): ShownTable {
  return {
    rowCount: table.numRows,
    columnCount: table.numCols,
    column: (index) => shownColumn(table.schema.fields[index] as Field, table.getChildAt(index) as Vector),
  };
}

function shownColumn({ name, type }: Field, vector: Vector): ShownColumn {
  const values = valuesOf(type);
  return {
    name,
    type: typeName(values),
    fullType: String(type),
    isNumeric: DataType.isInt(values) || DataType.isFloat(values) || DataType.isDecimal(values),
    at: (row) => valueIn(vector, row),
  };
}

/** A dictionary is a way to store a column, not what is in it. */
function valuesOf(type: DataType): DataType {
  return DataType.isDictionary(type) ? valuesOf(type.dictionary) : type;
}

const units: Readonly<Record<TimeUnit, string>> = {
  [TimeUnit.SECOND]: 's',
  [TimeUnit.MILLISECOND]: 'ms',
  [TimeUnit.MICROSECOND]: 'us',
  [TimeUnit.NANOSECOND]: 'ns',
};

function typeName(type: DataType): string {
  const name = (type as DataType & { toString(): string }).toString().toLowerCase(); // every type has its own, undeclared
  if (DataType.isTimestamp(type)) return `timestamp[${units[type.unit]}]`;
  if (DataType.isDate(type)) return 'date';
  if (DataType.isDecimal(type)) return 'decimal';
  if (DataType.isList(type) || DataType.isFixedSizeList(type))
    return `list<${typeName(valuesOf((type.children[0] as Field).type))}>`;
  if (DataType.isStruct(type)) return `struct<${type.children.map((field) => field.name).join(', ')}>`;
  return DataType.isMap(type) ? 'map' : name;
}

function valueIn(vector: Vector, row: number): unknown {
  let index = row;
  for (const data of vector.data) {
    if (index < data.length) return valueAt(data, index);
    index -= data.length;
  }
  throw new RangeError(`row ${row} of ${vector.length}`);
}

/**
 * A value as a plain one. Arrow's own getters give times as numbers, throw for those beyond 2^53 milliseconds, such as DuckDB's infinity, and
 * leave the point out of decimals. They are right for everything that is not nested, a time or a decimal.
 */
function valueAt(data: Data, index: number): unknown {
  if (!data.getValid(index)) return null;
  const { type, children } = data;
  if (DataType.isTimestamp(type)) return timeOf((data.values as BigInt64Array)[index] as bigint, type.unit);
  if (DataType.isDate(type)) return new Date(new Vector([data]).get(index) as number);
  if (DataType.isDecimal(type)) return decimalText(String(new Vector([data]).get(index)), type);
  if (DataType.isDictionary(type)) return valueIn(data.dictionary as Vector, Number((data.values as Int32Array)[index]));
  if (DataType.isStruct(type)) return structAt(data, index);
  if (DataType.isFixedSizeList(type)) return listAt(children[0] as Data, index * type.listSize, (index + 1) * type.listSize);
  if (DataType.isList(type) || DataType.isMap(type)) {
    const offsets = data.valueOffsets as Int32Array;
    const entries = listAt(children[0] as Data, offsets[index] as number, offsets[index + 1] as number);
    return DataType.isMap(type) ? new Map(entries.map((entry) => Object.values(entry as object) as [unknown, unknown])) : entries;
  }
  return new Vector([data]).get(index);
}

function structAt({ type, children }: Data, index: number): Record<string, unknown> {
  return Object.fromEntries(
    children.map((child, at) => [(type as DataType & { children: Field[] }).children[at]?.name, valueAt(child, index)]),
  );
}

/** No cell shows more elements of a list than this. */
const mostElements = 250;

function listAt(items: Data, from: number, to: number): unknown[] {
  return Array.from({ length: Math.min(to - from, mostElements) }, (_, index) => valueAt(items, from + index));
}

const perSecond: Readonly<Record<TimeUnit, bigint>> = {
  [TimeUnit.SECOND]: 1n,
  [TimeUnit.MILLISECOND]: 1_000n,
  [TimeUnit.MICROSECOND]: 1_000_000n,
  [TimeUnit.NANOSECOND]: 1_000_000_000n,
};

/** DuckDB's infinite times are the outermost integers. What a `Date` cannot say is said in milliseconds. */
function timeOf(value: bigint, unit: TimeUnit): Date | number {
  if (value >= 2n ** 63n - 1n) return Infinity;
  if (value <= -(2n ** 63n - 1n)) return -Infinity;
  const ms = Number((value * 1_000n) / perSecond[unit]);
  return Math.abs(ms) > 8.64e15 ? ms : new Date(ms);
}

function decimalText(digits: string, { scale }: Decimal): string {
  if (scale <= 0) return digits;
  const [, sign = '', whole = ''] = /^(-?)(\d+)$/.exec(digits) ?? [];
  const padded = whole.padStart(scale + 1, '0');
  return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}
