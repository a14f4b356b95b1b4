import {
  AsyncByteQueue,
  Binary,
  Bool,
  type DataType,
  Field,
  Float64,
  Int32,
  Int64,
  List,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchStreamWriter,
  type RecordBatchWriter,
  Schema,
  Struct,
  Table,
  TimestampMillisecond,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow';
import { type ArrowColumn, arrowColumn } from './arrow-column.ts';
import type { ColumnarResult } from './column.ts';
import type { DuckDBTypeTree } from './duckdb-type.ts';
import { MarqueError, show } from './error.ts';
import type { TypedColumn } from './portable.ts';
import { ResultTable } from './result-table.ts';

/**
 * Every table that a query gives is made here.
 *
 * @param batches all of the schema, which also stands for a table without rows
 */
function userTable(schema: Schema, batches: readonly RecordBatch[]): ResultTable {
  return new ResultTable(schema, [...batches]);
}

/**
 * A result as an Arrow table, whose buffers are the result's own. Its types follow from those of the columns in DuckDB, whatever the rows:
 *
 * | DuckDB | Arrow |
 * | --- | --- |
 * | TINYINT, UTINYINT, SMALLINT, USMALLINT, INTEGER | `Int32` |
 * | UINTEGER, BIGINT, HUGEINT; UBIGINT, UHUGEINT | `Int64`; `Uint64` |
 * | FLOAT, DOUBLE, DECIMAL | `Float64` |
 * | BOOLEAN | `Bool` |
 * | DATE, TIMESTAMP, all of them | `Timestamp<MILLISECOND>` |
 * | VARCHAR, JSON; TIME, INTERVAL, UUID, BIT, BIGNUM, VARIANT | `Utf8` |
 * | ENUM | `Dictionary<Int32, Utf8>` |
 * | BLOB, GEOMETRY | `Binary` |
 * | LIST, ARRAY | `List` |
 * | MAP | `Map_` |
 * | STRUCT; without names | `Struct`; its fields are `1`, `2`, … |
 * | UNION | `Struct` of its members, all null but the one that is held |
 *
 * Only VARCHAR has two ways to be stored: a column whose texts at least half repeat another is a `Dictionary<Int32, Utf8>`.
 * @throws MarqueError SQL_INVALID for an integer of more than 64 bits, as a HUGEINT may be
 */
export function tableOf({ columns }: ColumnarResult): ResultTable {
  const parts = columns[0]?.parts ?? [];
  const arrows = columns.map((column) => arrowColumn(column));
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

function toBigInt(value: unknown): bigint | null {
  return value === null ? null : BigInt(value as bigint | number);
}
