import { type DuckDBType, DuckDBTypeId, type Vector } from './binding.ts';
import { bytesOf, itemsOf } from './vector.ts';

/** What one of a type's units is, and how many of them are a millisecond. */
const units: Partial<Record<DuckDBTypeId, { readonly milliseconds: number } | { readonly perMillisecond: number }>> = {
  [DuckDBTypeId.DATE]: { milliseconds: 86_400_000 },
  [DuckDBTypeId.TIMESTAMP]: { perMillisecond: 1_000 },
  [DuckDBTypeId.TIMESTAMP_S]: { milliseconds: 1_000 },
  [DuckDBTypeId.TIMESTAMP_MS]: { milliseconds: 1 },
  [DuckDBTypeId.TIMESTAMP_NS]: { perMillisecond: 1_000_000 },
  [DuckDBTypeId.TIMESTAMP_TZ]: { perMillisecond: 1_000 },
};

/** As far as a JavaScript `Date` reaches, on both sides of 1970. */
const furthest = 8.64e15;

/**
 * The dates or timestamps of a vector as milliseconds since 1970, UTC; finer parts are cut.
 * @throws RangeError for one that no `Date` can hold, infinity among them.
 */
export function millisecondsOf(
  vector: Vector,
  count: number,
  type: DuckDBType,
  isValid: (row: number) => boolean,
): BigInt64Array {
  const unit = units[type.typeId];
  const isDate = type.typeId === DuckDBTypeId.DATE;
  const { buffer } = bytesOf(vector, count * (isDate ? 4 : 8));
  const [words, halves] = [new Int32Array(buffer), new Uint32Array(buffer)];
  const result = new BigInt64Array(count);
  const target = new Int32Array(result.buffer);
  for (let row = 0; row < count; row++) {
    if (!isValid(row)) continue;
    // Not a bigint each, which would take five times as long: the two halves of it.
    const value = isDate ? (words[row] as number) : (words[row * 2 + 1] as number) * 2 ** 32 + (halves[row * 2] as number);
    const milliseconds = inMilliseconds(value, unit, () => new BigInt64Array(buffer)[row] as bigint);
    if (!(Math.abs(milliseconds) <= furthest)) itemsOf(vector, type, count)(row); // throws, and names the value
    const high = Math.floor(milliseconds / 2 ** 32);
    target[row * 2] = milliseconds - high * 2 ** 32;
    target[row * 2 + 1] = high;
  }
  return result;
}

function inMilliseconds(value: number, unit: (typeof units)[DuckDBTypeId.DATE], exact: () => bigint): number {
  if (unit === undefined) throw new TypeError('only dates and timestamps have milliseconds');
  if ('milliseconds' in unit) return value * unit.milliseconds;
  if (!Number.isSafeInteger(value)) {
    const [whole, divisor] = [exact(), BigInt(unit.perMillisecond)];
    const quotient = whole / divisor;
    return Number(whole < 0n && quotient * divisor !== whole ? quotient - 1n : quotient);
  }
  const quotient = Math.floor(value / unit.perMillisecond);
  return quotient * unit.perMillisecond > value ? quotient - 1 : quotient;
}
