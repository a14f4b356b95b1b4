import {
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
  Map_,
  Struct,
  TimestampMillisecond,
  Uint64,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { type Column, type ColumnPart, hugeAt } from './column.ts';
import { MarqueError, show } from './error.ts';

/** A column of a result as Arrow has it. */
export interface ArrowColumn {
  /** By the column's kind alone, which follows from its type in DuckDB. */
  readonly type: DataType;
  /**
   * The values of one part of the column, without a copy, but for integers of 128 bits and plain values.
   * @throws MarqueError SQL_INVALID for an integer of more than 64 bits
   */
  dataOf(part: number): Data;
}

export function arrowColumn(column: Column): ArrowColumn {
  const { kind, parts, texts } = column;
  const children = column.children.map(arrowColumn);
  const type = typeOf(column, children);
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
    dataOf: (index) => {
      const part = parts[index] as ColumnPart;
      if (kind === 'values') return vectorFromArray((part.values as readonly unknown[]).map(textOf), new Utf8()).data[0] as Data;
      const inner = children.map((child) => child.dataOf(index));
      // makeData is overloaded by type, which is known only now.
      return makeData({
        type,
        length: part.rows,
        ...(part.validity === null ? { nullCount: 0 } : { nullBitmap: part.validity }),
        ...(part.offsets && { valueOffsets: part.offsets }),
        ...(dictionary && { dictionary }),
        ...(inner.length === 0 && { data: kind.endsWith('huge') ? in64Bits(column, part) : part.values }),
        ...(kind === 'list' || kind === 'map' ? { child: inner[0] } : { children: inner }),
      } as never) as Data;
    },
  };
}

function typeOf({ name, kind, children }: Column, inner: readonly ArrowColumn[]): DataType {
  switch (kind) {
    case 'integer':
      return new Int32();
    case 'bigint':
    case 'huge':
      return new Int64();
    case 'unsigned':
    case 'unsigned-huge':
      return new Uint64();
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
    case 'text':
    case 'values':
      return new Utf8();
    case 'struct':
    case 'tuple':
    case 'union':
      return new Struct(children.map((child, index) => new Field(child.name, (inner[index] as ArrowColumn).type, true)));
    case 'list':
      return new List(new Field('item', onlyOf(name, inner).type, true));
    case 'map': {
      const [key, value] = (onlyOf(name, inner).type as Struct).children as [Field, Field];
      const entry = new Struct([new Field('key', key.type, false), value]);
      return new Map_(new Field('entries', entry, false) as never);
    }
  }
}

function onlyOf(name: string, columns: readonly ArrowColumn[]): ArrowColumn {
  const [only] = columns;
  if (only === undefined) throw new TypeError(`the list ${show(name)} has no items`);
  return only;
}

/** Sums of integers have 128 bits in DuckDB, and all but some of them fit into 64. */
function in64Bits({ name, kind }: Column, { rows, values }: ColumnPart): BigInt64Array | BigUint64Array {
  const all = values as BigInt64Array | BigUint64Array;
  const isSigned = kind === 'huge';
  const narrow = isSigned ? new BigInt64Array(rows) : new BigUint64Array(rows);
  for (let row = 0; row < rows; row++) {
    const [low, high] = [all[row * 2] as bigint, all[row * 2 + 1] as bigint];
    if (high !== (isSigned && low < 0n ? -1n : 0n)) {
      const fault = `column ${show(name)} has ${hugeAt(all, row)}, which an Arrow table of 64 bits cannot hold`;
      throw new MarqueError('SQL_INVALID', `${fault}: cast it to DOUBLE, DECIMAL or VARCHAR`);
    }
    narrow[row] = low;
  }
  return narrow;
}

/** A BIGNUM, or what a VARIANT holds. */
function textOf(value: unknown): string | null {
  if (value === null || typeof value === 'string') return value;
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Date) return value.toISOString();
  return JSON.stringify(value, (_name, member: unknown) => (typeof member === 'bigint' ? String(member) : member));
}
