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
import type { DuckDBTypeTree } from './duckdb-type.ts';
import { MarqueError, show } from './error.ts';
import type { TypedColumn } from './portable.ts';
import type { ColumnType } from './schema.ts';

/** Values of one column on their way into an Arrow table. A null type is inferred from the values. */
export interface TableColumn {
  readonly name: string;
  readonly type: ColumnType | 'boolean' | null;
  readonly values: readonly unknown[];
}

/** An Arrow table of the given columns. Integers beyond 64 bits become texts, so that none is rounded. */
export function tableOf(columns: readonly TableColumn[]): Table {
  return new Table(Object.fromEntries(columns.map((column) => [column.name, vectorOf(column)])));
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

function vectorOf({ type, values }: TableColumn): Vector {
  switch (type) {
    case 'text':
      return vectorFromArray(values, new Utf8());
    case 'bytes':
      return vectorFromArray(values, new Binary());
    case 'boolean':
      return vectorFromArray(values, new Bool());
    case 'integer':
      return vectorFromArray(values, new Int32());
    case 'double':
      return vectorFromArray(values, new Float64());
    case 'bigint':
      return vectorFromArray(values.map(toBigInt), new Int64());
    case 'timestamp':
      return vectorFromArray(
        values.map((value) => (value === null ? null : Number(value))),
        new TimestampMillisecond(),
      );
    default:
      return inferredVector(values);
  }
}

function toBigInt(value: unknown): bigint | null {
  return value === null ? null : BigInt(value as bigint | number);
}

/** Integers of any width, nested values, and whatever else has no column type of its own. */
function inferredVector(values: readonly unknown[]): Vector {
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
