import {
  Binary,
  type Data,
  type DataType,
  Field,
  Float64,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  TimestampMillisecond,
  Utf8,
} from 'apache-arrow';
import { ConstantColumn, ListColumn, type NumberColumn } from './columns.ts';
import { MarqueError } from './error.ts';
import { columnsOf, type ColumnType, type TableName } from './schema.ts';

/** The columns of one table, by name, as the engine fills them. */
export type TableColumns = Readonly<Record<string, NumberColumn | ListColumn<string> | ListColumn<Uint8Array> | ConstantColumn>>;

/** Arrow offsets are 32-bit: a column of one batch holds at most this many bytes. */
const mostBytes = 2 ** 31 - 1;

const arrowTypes: Readonly<Record<ColumnType, DataType>> = {
  bigint: new Int64(),
  integer: new Int32(),
  double: new Float64(),
  text: new Utf8(),
  bytes: new Binary(),
  timestamp: new TimestampMillisecond(),
};

/** The Arrow schema of a table: the types that `sql/schema.sql` declares, all columns nullable. */
export function arrowSchema(table: TableName): Schema {
  return new Schema(columnsOf(table).map(([name, type]) => new Field(name, arrowTypes[type], true)));
}

/**
 * Copies the rows of a table's columns up to `end`, the first one or a later one before, into an Arrow record batch. Buffers are laid out by
 * hand: Arrow's builders cost ten times as much. The columns may grow on meanwhile.
 */
export function recordBatch(table: TableName, columns: TableColumns, end: number, first = 0): RecordBatch {
  const schema = arrowSchema(table);
  const length = end - first;
  const children = columnsOf(table).map(([name, type]) => {
    const column = columns[name];
    if (column === undefined || column.length < end)
      throw new RangeError(`table ${table} has ${end} rows, its column ${name} fewer`);
    if (column instanceof ConstantColumn) return constantData(`${table}.${name}`, column.value, length);
    if (column instanceof ListColumn) return listData(`${table}.${name}`, type, column, first, length);
    return numberData(type, column, first, length);
  });
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, nullCount: 0, children }));
}

function numberData(type: ColumnType, column: NumberColumn, first: number, length: number): Data {
  const nulls = nullBitmap(length, (row) => column.valid[first + row] === 1);
  const values = column.values.subarray(first, first + length);
  const common = { length, ...nulls };
  switch (type) {
    case 'bigint':
      return makeData({ type: new Int64(), data: int64(values), ...common });
    case 'timestamp':
      return makeData({ type: new TimestampMillisecond(), data: int64(values), ...common });
    case 'integer':
      return makeData({ type: new Int32(), data: Int32Array.from(values), ...common });
    default:
      return makeData({ type: new Float64(), data: values.slice(), ...common });
  }
}

/** Integral doubles as 64-bit integers, two 32-bit words each: no BigInt is made. */
function int64(values: Float64Array): BigInt64Array {
  const words = new Int32Array(values.length * 2);
  for (let row = 0; row < values.length; row++) {
    const value = values[row] as number;
    words[2 * row] = value; // wraps modulo 2^32
    words[2 * row + 1] = Math.floor(value / 2 ** 32);
  }
  return new BigInt64Array(words.buffer);
}

function listData(
  label: string,
  type: ColumnType,
  column: ListColumn<string> | ListColumn<Uint8Array>,
  first: number,
  length: number,
): Data {
  const nulls = nullBitmap(length, (row) => column.values[first + row] !== null);
  const offsets = new Int32Array(length + 1);
  const slab = new Slab(label);
  let previous: string | Uint8Array | null = null;
  for (let row = 0; row < length; row++) {
    const value = column.values[first + row] as string | Uint8Array | null;
    if (value !== null && value === previous) slab.repeat();
    else if (value !== null) slab.append(value);
    previous = value;
    offsets[row + 1] = slab.length;
  }
  const common = { length, valueOffsets: offsets, data: slab.bytes(), ...nulls };
  return type === 'bytes' ? makeData({ type: new Binary(), ...common }) : makeData({ type: new Utf8(), ...common });
}

function constantData(label: string, value: string, length: number): Data {
  const bytes = new TextEncoder().encode(value);
  if (bytes.length * length > mostBytes) tooLong(label);
  const data = new Uint8Array(bytes.length * length);
  const valueOffsets = new Int32Array(length + 1);
  for (let row = 0; row < length; row++) {
    data.set(bytes, row * bytes.length);
    valueOffsets[row + 1] = (row + 1) * bytes.length;
  }
  return makeData({ type: new Utf8(), length, nullCount: 0, valueOffsets, data });
}

function nullBitmap(length: number, valid: (row: number) => boolean): { nullCount: number; nullBitmap: Uint8Array | null } {
  const bitmap = new Uint8Array((length + 7) >> 3);
  let nullCount = 0;
  for (let row = 0; row < length; row++) {
    if (valid(row)) bitmap[row >> 3] = (bitmap[row >> 3] as number) | (1 << (row & 7));
    else nullCount++;
  }
  return nullCount === 0 ? { nullCount, nullBitmap: null } : { nullCount, nullBitmap: bitmap };
}

/** The bytes of one text or binary column, end to end. */
class Slab {
  readonly #label: string;
  readonly #encoder = new TextEncoder();
  #bytes = new Uint8Array(4_096);
  #last = 0; // where the latest value begins
  length = 0;

  constructor(label: string) {
    this.#label = label;
  }

  append(value: string | Uint8Array): void {
    this.#last = this.length;
    if (typeof value === 'string') {
      this.#reserve(value.length * 3); // no UTF-16 unit takes more than three bytes of UTF-8
      this.length += this.#encoder.encodeInto(value, this.#bytes.subarray(this.length)).written;
    } else {
      this.#reserve(value.length);
      this.#bytes.set(value, this.length);
      this.length += value.length;
    }
    if (this.length > mostBytes) tooLong(this.#label);
  }

  /** The latest value once more. */
  repeat(): void {
    const end = this.length;
    this.#reserve(end - this.#last);
    this.#bytes.copyWithin(end, this.#last, end);
    this.length += end - this.#last;
    this.#last = end;
    if (this.length > mostBytes) tooLong(this.#label);
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + more));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }
}

function tooLong(label: string): never {
  throw new MarqueError('VALUE_INVALID', `one batch holds more than 2 GiB in ${label}: lower the flush size in bytes`);
}
