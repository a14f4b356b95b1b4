import { createHash } from 'node:crypto';
import type { ColumnType } from '../../src/schema.ts';

/** What a column holds: a type of the store, or a list of structs with such fields, as exports have it. */
export type CellType = ColumnType | { readonly [field: string]: ColumnType };

/** The columns to read, by name. */
export type Columns = Readonly<Record<string, CellType>>;

/**
 * One value in a form that a reader in any language can give. Texts and bytes are the MD5 of their bytes in hex, whole numbers
 * decimal, times milliseconds since 1970, doubles the 16 hex digits of their bits or `nan`, a list of structs the JSON of the cells
 * of its fields. Null is null.
 */
export type Cell = string | null;

/** The cell of a JavaScript value. */
export function cellOf(type: CellType, value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof type === 'object') {
    const fields = Object.entries(type);
    const elements = value as readonly Record<string, unknown>[];
    return JSON.stringify(elements.map((element) => fields.map(([name, field]) => cellOf(field, element[name]))));
  }
  switch (type) {
    case 'text':
      return md5(Buffer.from(value as string));
    case 'bytes':
      return md5(value as Uint8Array);
    case 'integer':
    case 'bigint':
      return (value as number | bigint).toString();
    case 'timestamp':
      return String((value as Date).getTime());
    case 'double':
      return bits(value as number);
  }
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

function bits(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleBE(value);
  return buffer.toString('hex');
}
