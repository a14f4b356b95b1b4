import { type DuckDBDecimalType, type DuckDBEnumType, type DuckDBType, DuckDBTypeId, type Vector } from './binding.ts';
import type { Column } from './column.ts';
import { millisecondsOf } from './times.ts';
import { bytesOf } from './vector.ts';

export type FixedValues = Int32Array | BigInt64Array | BigUint64Array | Float64Array;

/** Makes the values of a column out of those of a vector, in memory of their own. Under a null there may be anything. */
export type Convert = (vector: Vector, count: number, type: DuckDBType, isValid: (row: number) => boolean) => FixedValues;

/**
 * What types become whose values all have the same length: integers of fewer than 32 bits have 32, unsigned ones of 32 have 64, and 32 bits of
 * floating point 64, all exact. A DECIMAL is the nearest double, an ENUM a position in its texts.
 */
export const fixedKinds: Partial<Record<DuckDBTypeId, readonly [Column['kind'], Convert]>> = {
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
  [DuckDBTypeId.HUGEINT]: ['huge', (vector, count) => new BigInt64Array(bytesOf(vector, count * 16).buffer)],
  [DuckDBTypeId.UHUGEINT]: ['unsigned-huge', (vector, count) => new BigUint64Array(bytesOf(vector, count * 16).buffer)],
  [DuckDBTypeId.FLOAT]: ['double', (vector, count) => Float64Array.from(new Float32Array(bytesOf(vector, count * 4).buffer))],
  [DuckDBTypeId.DOUBLE]: ['double', (vector, count) => new Float64Array(bytesOf(vector, count * 8).buffer)],
  [DuckDBTypeId.DECIMAL]: ['double', doublesOf],
  [DuckDBTypeId.DATE]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP_S]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP_MS]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP_NS]: ['time', millisecondsOf],
  [DuckDBTypeId.TIMESTAMP_TZ]: ['time', millisecondsOf],
  [DuckDBTypeId.ENUM]: ['dictionary', positionsOf],
};

function positionsOf(vector: Vector, count: number, type: DuckDBType): Int32Array {
  const texts = (type as DuckDBEnumType).values.length;
  if (texts <= 2 ** 8) return Int32Array.from(bytesOf(vector, count));
  if (texts <= 2 ** 16) return Int32Array.from(new Uint16Array(bytesOf(vector, count * 2).buffer));
  return new Int32Array(bytesOf(vector, count * 4).buffer);
}

/** DuckDB has a DECIMAL as a whole number of as many bits as its digits need, without its point. */
function doublesOf(vector: Vector, count: number, type: DuckDBType): Float64Array {
  const { width, scale } = type as DuckDBDecimalType;
  if (width <= 4) return divided(new Int16Array(bytesOf(vector, count * 2).buffer), scale);
  if (width <= 9) return divided(new Int32Array(bytesOf(vector, count * 4).buffer), scale);
  const words = new BigInt64Array(bytesOf(vector, count * (width <= 18 ? 8 : 16)).buffer);
  const whole =
    width <= 18
      ? (row: number): bigint => words[row] as bigint
      : (row: number): bigint => ((words[row * 2 + 1] as bigint) << 64n) | BigInt.asUintN(64, words[row * 2] as bigint);
  return Float64Array.from({ length: count }, (_, row) => nearest(whole(row), scale));
}

/** Both numbers are exact, so their quotient is the nearest double. */
function divided(values: Int16Array | Int32Array, scale: number): Float64Array {
  const divisor = 10 ** scale;
  return Float64Array.from(values, (value) => value / divisor);
}

function nearest(whole: bigint, scale: number): number {
  const number = Number(whole);
  // Powers of ten up to this one are exact.
  return scale <= 22 && Number.isSafeInteger(number) ? number / 10 ** scale : Number(`${whole}e-${scale}`);
}
