import {
  AsyncByteQueue,
  Binary,
  Bool,
  type Data,
  type DataType,
  Dictionary,
  Field,
  Float64,
  Int32,
  Int64,
  List,
  makeData,
  makeVector,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchStreamWriter,
  type RecordBatchWriter,
  Schema,
  Struct,
  Table,
  TimestampMillisecond,
  Uint64,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow';
import type { Column, ColumnarResult, ColumnPart } from './column.ts';
import type { DuckDBTypeTree } from './duckdb-type.ts';
import { MarqueError, show } from './error.ts';
import type { TypedColumn } from './portable.ts';
import { ResultTable } from './result-table.ts';

/**
 * Every table that a query gives is made here.
 *
 * @param batches all of the schema, which also stands for a table without rows
 */
export function userTable(schema: Schema, batches: readonly RecordBatch[]): ResultTable {
  return new ResultTable(schema, [...batches]);
}

/**
 * A result as an Arrow table, whose buffers are the result's own. Dates and timestamps are milliseconds, integers of up to 32 bits `Int32`,
 * others `Int64`, or `Uint64` where a value needs it, and texts where even that is too small; DECIMAL is `Float64`. Texts of which at least half
 * repeat another are dictionaries. What is nested follows from its values.
 */
export function tableOf({ columns, rowCount }: ColumnarResult): ResultTable {
  const parts = columns[0]?.parts ?? [];
  const arrows = columns.map((column) => arrowColumn(column, rowCount));
  const schema = new Schema(columns.map(({ name }, column) => new Field(name, (arrows[column] as ArrowColumn).type, true)));
  const batches = parts.map(({ rows }, part) => {
    const children = arrows.map((column) => column.dataOf(part));
    return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length: rows, nullCount: 0, children }));
  });
  return userTable(schema, batches);
}

/**
 * An Arrow table of portable columns, with just the types that these have, whatever the values: tables of one query fit together.
 * Values are as a query's result has them.
 */
export function portableTable(columns: readonly TypedColumn[], values: readonly (readonly unknown[])[]): Table {
  const vectors = columns.map(({ type }, column) =>
    vectorFromArray(
      (values[column] ?? []).map((value) => arrowValue(type, value)),
      arrowType(type),
    ),
  );
  const schema = new Schema(columns.map(({ name, type }) => new Field(name, arrowType(type), true)));
  return new Table(schema, Object.fromEntries(columns.map(({ name }, column) => [name, vectors[column] as Vector])));
}

/**
 * Arrow tables with one schema as the bytes of one IPC stream or file, piece by piece: `write` and `end` each give the bytes that
 * follow those given before.
 */
export class IpcWriter {
  readonly #writer: RecordBatchWriter;
  #pieces: Uint8Array[] = [];

  constructor(kind: 'stream' | 'file', schema: Schema) {
    const sink = new AsyncByteQueue();
    // Arrow's own queue would be read asynchronously, and hold everything until then.
    sink.write = (piece: unknown) => void this.#pieces.push(Uint8Array.from(piece as Uint8Array));
    this.#writer = kind === 'file' ? new RecordBatchFileWriter() : new RecordBatchStreamWriter();
    this.#writer.reset(sink, schema);
  }

  write(table: Table): Uint8Array {
    for (const batch of table.batches) this.#writer.write(batch);
    return this.#taken();
  }

  /** Called once, after which nothing can be written. */
  end(): Uint8Array {
    this.#writer.finish();
    return this.#taken();
  }

  #taken(): Uint8Array {
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [];
    return bytes;
  }
}

const portableTypes: Readonly<Record<string, () => DataType>> = {
  VARCHAR: () => new Utf8(),
  DOUBLE: () => new Float64(),
  INTEGER: () => new Int32(),
  BOOLEAN: () => new Bool(),
  BIGINT: () => new Int64(),
  TIMESTAMP_MS: () => new TimestampMillisecond(),
  BLOB: () => new Binary(),
};

function arrowType(type: DuckDBTypeTree): DataType {
  if (type.kind === 'list') return new List(new Field('item', arrowType(type.item), true));
  if (type.kind === 'struct') return new Struct(type.fields.map((field) => new Field(field.name, arrowType(field.type), true)));
  const made = type.kind === 'plain' ? portableTypes[type.name]?.() : undefined;
  if (made === undefined) throw new MarqueError('VALUE_INVALID', `a column of type ${show(type)} is not portable`);
  return made;
}

function arrowValue(type: DuckDBTypeTree, value: unknown): unknown {
  if (value === null || type.kind !== 'plain') return value;
  if (type.name === 'BIGINT') return toBigInt(value);
  return type.name === 'TIMESTAMP_MS' ? Number(value) : value;
}

interface ArrowColumn {
  readonly type: DataType;
  /** The values of one part of the column. */
  dataOf(part: number): Data;
}

function arrowColumn(column: Column, rowCount: number): ArrowColumn {
  const { kind, parts, texts } = column;
  if (kind === 'values') return plainColumn(column, rowCount);
  const type = typeOf(column);
  const dictionary =
    texts === null
      ? null
      : makeVector(
          makeData({
            type: new Utf8(),
            length: texts.offsets.length - 1,
            data: texts.bytes,
            valueOffsets: texts.offsets,
            nullCount: 0,
          }),
        );
  return {
    type,
    dataOf: (part) => {
      const { rows, validity, values, offsets } = parts[part] as ColumnPart;
      const nulls = validity === null ? { nullCount: 0 } : { nullBitmap: validity };
      // makeData is overloaded by type, which is known only now.
      return makeData({
        type,
        length: rows,
        data: values,
        ...nulls,
        ...(offsets && { valueOffsets: offsets }),
        ...(dictionary && { dictionary }),
      } as never) as Data;
    },
  };
}

function typeOf({ kind, parts }: Column): DataType {
  switch (kind) {
    case 'integer':
      return new Int32();
    case 'bigint':
      return new Int64();
    case 'unsigned':
      // The bits of both are the same as long as all values are below 2^63.
      return parts.every(({ values }) => (values as BigUint64Array).every((value) => value < 2n ** 63n))
        ? new Int64()
        : new Uint64();
    case 'double':
      return new Float64();
    case 'boolean':
      return new Bool();
    case 'time':
      return new TimestampMillisecond();
    case 'bytes':
      return new Binary();
    case 'dictionary':
      return new Dictionary(new Utf8(), new Int32());
    default:
      return new Utf8();
  }
}

/** Values without a buffer: of a type that all of them have. */
function plainColumn({ type, parts }: Column, rowCount: number): ArrowColumn {
  const plain = parts.flatMap(({ values }) => values as readonly unknown[]);
  const vector = rowCount === 0 ? inferredVector(type, []) : inferredVector(type, plain);
  const starts = parts.map(
    (
      (sum) =>
      ({ rows }) =>
        (sum += rows) - rows
    )(0),
  );
  return {
    type: vector.type as DataType,
    dataOf: (part) => {
      const [start, { rows }] = [starts[part] as number, parts[part] as ColumnPart];
      return vector.slice(start, start + rows).data[0] as Data;
    },
  };
}

function toBigInt(value: unknown): bigint | null {
  return value === null ? null : BigInt(value as bigint | number);
}

function inferredVector(type: string, values: readonly unknown[]): Vector {
  if (type.startsWith('DECIMAL')) return vectorFromArray(values, new Float64());
  if (/^(UUID|ENUM\(.*\)|TIME.*|INTERVAL)$/.test(type)) return vectorFromArray(values, new Utf8());
  const integers = values.every((value) => value === null || typeof value === 'bigint' || Number.isSafeInteger(value));
  if (!integers || values.every((value) => value === null)) return vectorFromArray(values, inferred(values));
  const wide = values.map(toBigInt);
  const fits = (least: bigint, most: bigint): boolean =>
    wide.every((value) => value === null || (value >= least && value <= most));
  if (fits(-(2n ** 63n), 2n ** 63n - 1n)) return vectorFromArray(wide, new Int64());
  if (fits(0n, 2n ** 64n - 1n)) return vectorFromArray(wide, new Uint64());
  return vectorFromArray(
    wide.map((value) => (value === null ? null : String(value))),
    new Utf8(),
  );
}

/** The Arrow type of nested or boolean values; texts where they are of several kinds, or none is there. */
function inferred(values: readonly unknown[]): DataType {
  const some = values.filter((value) => value !== null && value !== undefined);
  const kinds = new Set(some.map((value) => (Array.isArray(value) ? 'list' : value instanceof Date ? 'date' : typeof value)));
  const [kind] = kinds;
  if (kinds.size !== 1) return new Utf8();
  if (kind === 'boolean') return new Bool();
  if (kind === 'number') return new Float64();
  if (kind === 'bigint') return new Int64();
  if (kind === 'date') return new TimestampMillisecond();
  if (kind === 'list') return new List(new Field('item', inferred((some as unknown[][]).flat()), true));
  if (kind !== 'object') return new Utf8();
  const names = new Set((some as object[]).flatMap((value) => Object.keys(value)));
  const member = (name: string): unknown[] => (some as Record<string, unknown>[]).map((value) => value[name]);
  return new Struct(Array.from(names, (name) => new Field(name, inferred(member(name)), true)));
}
