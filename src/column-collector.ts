import { type DuckDBType, DuckDBTypeId, type Vector } from './binding.ts';
import { Bits } from './bits.ts';
import type { Column, ColumnPart } from './column.ts';
import { TextCollector } from './text-collector.ts';
import { millisecondsOf } from './times.ts';
import { bytesOf, readVector, validityOf } from './vector.ts';

/** A column that is put together from the vectors of a result. */
export interface Collector {
  /** Copies all that it needs: the chunk may go afterwards. */
  add(vector: Vector, type: DuckDBType, count: number): void;
  /** Of what has come since the last cut, as far as it grows with the values. */
  readonly byteLength: number;
  /** Ends a part. */
  cut(): void;
  /** After the last cut. */
  end(): Collected;
}

export type Collected = Pick<Column, 'kind' | 'parts' | 'texts'>;

export function collectorOf(type: DuckDBType): Collector {
  switch (type.typeId) {
    case DuckDBTypeId.VARCHAR:
      return new TextCollector(true);
    case DuckDBTypeId.BLOB:
      return new TextCollector(false);
    case DuckDBTypeId.BOOLEAN:
      return new BooleanCollector();
    default: {
      const fixed = fixedKinds[type.typeId];
      return fixed === undefined ? new ValuesCollector() : new FixedCollector(...fixed);
    }
  }
}

type Values = Int32Array | BigInt64Array | BigUint64Array | Float64Array;

/** Makes the values of Arrow's out of those of a vector, in memory of their own. Under a null there may be anything. */
type Convert = (vector: Vector, count: number, type: DuckDBType, isValid: (row: number) => boolean) => Values;

/** Integers of fewer than 32 bits become 32, unsigned ones of 32 become 64, and 32 bits of floating point 64: all exact. */
const fixedKinds: Partial<Record<DuckDBTypeId, readonly [Column['kind'], Convert]>> = {
  [DuckDBTypeId.TINYINT]: ['integer', (vector, count) => Int32Array.from(new Int8Array(bytesOf(vector, count).buffer))],
  [DuckDBTypeId.UTINYINT]: ['integer', (vector, count) => Int32Array.from(bytesOf(vector, count))],
  [DuckDBTypeId.SMALLINT]: ['integer', (vector, count) => Int32Array.from(new Int16Array(bytesOf(vector, count * 2).buffer))],
  [DuckDBTypeId.USMALLINT]: ['integer', (vector, count) => Int32Array.from(new Uint16Array(bytesOf(vector, count * 2).buffer))],
  [DuckDBTypeId.INTEGER]: ['integer', (vector, count) => new Int32Array(bytesOf(vector, count * 4).buffer)],
  [DuckDBTypeId.UINTEGER]: [
    'bigint',
    (vector, count) => BigInt64Array.from(new Uint32Array(bytesOf(vector, count * 4).buffer), BigInt),
  ],
  [DuckDBTypeId.BIGINT]: ['bigint', (vector, count) => new BigInt64Array(bytesOf(vector, count * 8).buffer)],
  [DuckDBTypeId.UBIGINT]: ['unsigned', (vector, count) => new BigUint64Array(bytesOf(vector, count * 8).buffer)],
  [DuckDBTypeId.FLOAT]: ['double', (vector, count) => Float64Array.from(new Float32Array(bytesOf(vector, count * 4).buffer))],
  [DuckDBTypeId.DOUBLE]: ['double', (vector, count) => new Float64Array(bytesOf(vector, count * 8).buffer)],
  [DuckDBTypeId.DATE]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP_S]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP_MS]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP_NS]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP_TZ]: ['time', millisecondsOf],
};

class FixedCollector implements Collector {
  readonly byteLength = 0;
  readonly #kind: Column['kind'];
  readonly #convert: Convert;
  readonly #validity = new Bits();
  readonly #parts: ColumnPart[] = [];
  #pieces: Values[] = [];

  constructor(kind: Column['kind'], convert: Convert) {
    this.#kind = kind;
    this.#convert = convert;
  }

  add(vector: Vector, type: DuckDBType, count: number): void {
    const bits = validityOf(vector, count);
    const isValid = (row: number): boolean => bits === null || (((bits[row >> 3] as number) >> (row & 7)) & 1) === 1;
    this.#validity.append(bits, count);
    const values = this.#convert(vector, count, type, isValid);
    if (bits !== null) clearNulls(values, isValid);
    this.#pieces.push(values);
  }

  cut(): void {
    const values = joined(this.#pieces);
    const { bytes, isAllOnes } = this.#validity.take();
    this.#parts.push({ rows: values.length, validity: isAllOnes ? null : bytes, values, offsets: null });
    this.#pieces = [];
  }

  end(): Collected {
    return { kind: this.#kind, parts: this.#parts, texts: null };
  }
}

class BooleanCollector implements Collector {
  readonly byteLength = 0;
  readonly #validity = new Bits();
  readonly #values = new Bits();
  readonly #parts: ColumnPart[] = [];
  #rows = 0;

  add(vector: Vector, _type: DuckDBType, count: number): void {
    const bits = new Uint8Array((count + 7) >> 3);
    const validity = validityOf(vector, count);
    bytesOf(vector, count).forEach((byte, row) => {
      if (byte !== 0) bits[row >> 3] = (bits[row >> 3] as number) | (1 << (row & 7));
    });
    if (validity !== null) bits.forEach((eight, at) => (bits[at] = eight & (validity[at] as number)));
    this.#validity.append(validity, count);
    this.#values.append(bits, count);
    this.#rows += count;
  }

  cut(): void {
    const { bytes, isAllOnes } = this.#validity.take();
    this.#parts.push({ rows: this.#rows, validity: isAllOnes ? null : bytes, values: this.#values.take().bytes, offsets: null });
    this.#rows = 0;
  }

  end(): Collected {
    return { kind: 'boolean', parts: this.#parts, texts: null };
  }
}

class ValuesCollector implements Collector {
  readonly byteLength = 0;
  readonly #parts: ColumnPart[] = [];
  #values: unknown[] = [];

  add(vector: Vector, type: DuckDBType, count: number): void {
    for (const value of readVector(vector, type, count, null)) this.#values.push(value);
  }

  cut(): void {
    this.#parts.push({ rows: this.#values.length, validity: null, values: this.#values, offsets: null });
    this.#values = [];
  }

  end(): Collected {
    return { kind: 'values', parts: this.#parts, texts: null };
  }
}

/** What stands there is left over from other queries: nobody is to see it, or to take it for a value. */
function clearNulls(values: Values, isValid: (row: number) => boolean): void {
  const zero = values instanceof BigInt64Array || values instanceof BigUint64Array ? 0n : 0;
  for (let row = 0; row < values.length; row++) if (!isValid(row)) values[row] = zero;
}

function joined(pieces: readonly Values[]): Values {
  const [first = new Int32Array()] = pieces;
  if (pieces.length <= 1) return first;
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const all = new (first.constructor as new (length: number) => Values)(length);
  let at = 0;
  for (const piece of pieces) {
    (all as Int32Array).set(piece as Int32Array, at); // all of them are of one kind
    at += piece.length;
  }
  return all;
}
