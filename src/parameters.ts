import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  DuckDBTimestampMillisecondsValue,
  type DuckDBPreparedStatement,
  type DuckDBType,
  LIST,
  listValue,
  SQLNULL,
  TIMESTAMP_MS,
  VARCHAR,
} from './binding.ts';
import { MarqueError, show } from './error.ts';
import type { SqlValue } from './store.ts';

/**
 * Binds `$1`, `$2`, …, each with the type of its JavaScript value: left to guess, the bindings would make -0 into 0, 1 an INTEGER
 * and 1.5 a DOUBLE. A `Date` is TIMESTAMP_MS; an empty list, or one of nulls only, fits every type of list.
 * @throws MarqueError `VALUE_INVALID` for what SQL cannot hold exactly: lone surrogates, bigints beyond 64 bits, invalid dates,
 * lists of several types.
 */
export function bindValues(prepared: DuckDBPreparedStatement, values: readonly SqlValue[]): void {
  if (prepared.parameterCount !== values.length) {
    throw new MarqueError(
      'OPTION_INVALID',
      `the statement has ${prepared.parameterCount} parameters, but ${values.length} values were given`,
    );
  }
  values.forEach((value, position) => bindValue(prepared, position + 1, value));
}

function bindValue(prepared: DuckDBPreparedStatement, index: number, value: SqlValue): void {
  if (value === null) prepared.bindNull(index);
  else if (typeof value === 'string') prepared.bindVarchar(index, wellFormed(value));
  else if (typeof value === 'number') prepared.bindDouble(index, value);
  else if (typeof value === 'bigint') prepared.bindBigInt(index, in64Bits(value));
  else if (typeof value === 'boolean') prepared.bindBoolean(index, value);
  else if (value instanceof Date) prepared.bindTimestampMilliseconds(index, timestamp(value));
  else if (value instanceof Uint8Array) prepared.bindBlob(index, value);
  else if (Array.isArray(value)) bindList(prepared, index, value);
  else throw new MarqueError('VALUE_INVALID', `$${index} is ${show(value)}, which SQL has no type for`);
}

const elements: Readonly<Record<string, DuckDBType>> = {
  string: VARCHAR,
  number: DOUBLE,
  bigint: BIGINT,
  boolean: BOOLEAN,
  Date: TIMESTAMP_MS,
};

type ListItem = string | number | bigint | boolean | Date | null;

function bindList(prepared: DuckDBPreparedStatement, index: number, list: readonly ListItem[]): void {
  const kinds = new Set(list.map((item) => (item === null ? 'null' : item instanceof Date ? 'Date' : typeof item)));
  kinds.delete('null');
  const [kind] = kinds;
  const type = kind === undefined ? SQLNULL : elements[kind];
  if (kinds.size > 1 || type === undefined) {
    throw new MarqueError(
      'VALUE_INVALID',
      `$${index} is a list of ${[...kinds].join(' and ')}: use one of string, number, bigint, boolean or Date`,
    );
  }
  for (const item of list) {
    if (typeof item === 'string') wellFormed(item);
    if (typeof item === 'bigint') in64Bits(item);
  }
  prepared.bindList(index, listValue(list.map((item) => (item instanceof Date ? timestamp(item) : item))), LIST(type));
}

function wellFormed(text: string): string {
  if (!text.isWellFormed())
    throw new MarqueError('VALUE_INVALID', `${show(text)} has half of a surrogate pair, which UTF-8 cannot hold`);
  return text;
}

function in64Bits(value: bigint): bigint {
  if (BigInt.asIntN(64, value) !== value)
    throw new MarqueError('VALUE_INVALID', `${value} does not fit into a BIGINT of 64 bits`);
  return value;
}

function timestamp(date: Date): DuckDBTimestampMillisecondsValue {
  if (Number.isNaN(date.getTime())) throw new MarqueError('VALUE_INVALID', 'an invalid Date cannot be bound');
  return new DuckDBTimestampMillisecondsValue(BigInt(date.getTime()));
}
