import { createHash } from 'node:crypto';
import { type Cell, cellOf, type Columns } from './cell.ts';

/** What a reader gave for some columns of a table: by column, the type that it says they have, and a cell for each row. */
export type Reading = Readonly<Record<string, { readonly type: string; readonly cells: readonly Cell[] }>>;

/** A table in a few short texts, the same in whatever order its rows came. Where two differ, the columns say in what. */
export interface Digest {
  readonly rows: number;
  /** Of the rows as a whole, so that a value in the wrong row shows as well. */
  readonly checksum: string;
  /** For each column how many of its rows are null, and its checksum. */
  readonly columns: Readonly<Record<string, string>>;
}

export function digest(reading: Reading): Digest {
  const columns = Object.entries(reading).map(([name, { cells }]) => [name, cells] as const);
  const rows = columns[0]?.[1].length ?? 0;
  const lines = Array.from({ length: rows }, (_, row) => columns.map(([, cells]) => cells[row] ?? 'null').join(' '));
  return {
    rows,
    checksum: checksumOf(lines),
    columns: Object.fromEntries(
      columns.map(([name, cells]) => {
        const known = cells.filter((cell) => cell !== null);
        return [name, `${cells.length - known.length} null, ${checksumOf(known)}`];
      }),
    ),
  };
}

/** Columns of JavaScript values as a reading. `typeOf` says what their reader calls the type of a column. */
export function readingOf(
  columns: Columns,
  valuesOf: (name: string) => readonly unknown[],
  typeOf: (name: string) => string,
): Reading {
  return Object.fromEntries(
    Object.entries(columns).map(([name, type]) => [
      name,
      { type: typeOf(name), cells: valuesOf(name).map((value) => cellOf(type, value)) },
    ]),
  );
}

function checksumOf(texts: readonly string[]): string {
  return createHash('md5')
    .update([...texts].sort().join('\n'))
    .digest('hex')
    .slice(0, 16);
}
