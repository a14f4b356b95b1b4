import {
  Binary,
  Bool,
  type DataType,
  Field,
  Float64,
  Int32,
  Int64,
  List,
  Struct,
  Table,
  TimestampMillisecond,
  Uint64,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow';
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
