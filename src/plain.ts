import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBGeometryValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
  type DuckDBValue,
  DuckDBVariantValue,
} from './binding.ts';
import { safe } from './column.ts';

/**
 * The plain form of one of DuckDB's value objects: a DECIMAL is the nearest number, a date or timestamp a `Date` (finer parts
 * than milliseconds are cut), a GEOMETRY its bytes; TIME, INTERVAL, UUID, BIT and ENUM are text as DuckDB writes it.
 * @throws RangeError for a date or timestamp that no `Date` can hold, infinity among them.
 */
export function plain(value: DuckDBValue): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return safe(value);
  if (value instanceof DuckDBDecimalValue) return Number(value.toString());
  if (value instanceof DuckDBDateValue) return date(value.days * 86_400_000, value);
  if (value instanceof DuckDBTimestampSecondsValue) return date(Number(value.seconds) * 1_000, value);
  if (value instanceof DuckDBTimestampMillisecondsValue) return date(Number(value.millis), value);
  if (value instanceof DuckDBTimestampTZValue) return date(floorDivide(value.micros, 1_000n), value);
  if (value instanceof DuckDBTimestampValue) return date(floorDivide(value.micros, 1_000n), value);
  if (value instanceof DuckDBTimestampNanosecondsValue) return date(floorDivide(value.nanos, 1_000_000n), value);
  if (value instanceof DuckDBBlobValue || value instanceof DuckDBGeometryValue) return Uint8Array.from(value.bytes);
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(plain);
  if (value instanceof DuckDBMapValue) return new Map(value.entries.map((entry) => [plain(entry.key), plain(entry.value)]));
  if (value instanceof DuckDBStructValue)
    return Object.fromEntries(Object.entries(value.entries).map(([name, field]) => [name, plain(field)]));
  if (value instanceof DuckDBUnionValue || value instanceof DuckDBVariantValue) return plain(value.value);
  return value.toString();
}

function floorDivide(value: bigint, divisor: bigint): number {
  const quotient = value / divisor;
  return Number(value < 0n && quotient * divisor !== value ? quotient - 1n : quotient);
}

function date(milliseconds: number, value: { toString(): string }): Date {
  const result = new Date(milliseconds);
  if (Number.isNaN(result.getTime())) {
    throw new RangeError(`${value.toString()} is beyond what a JavaScript Date can hold: cast the column to VARCHAR`);
  }
  return result;
}
