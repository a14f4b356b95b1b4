import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { Columns } from './cell.ts';
import { type Reading, readingOf } from './reading.ts';

/** Reads a Parquet file in plain JavaScript. Without `utf8: false` it would take bytes for text. */
export async function readWithHyparquet(path: string, columns: Columns): Promise<Reading> {
  const file = await asyncBufferFromFile(path);
  const rows = await parquetReadObjects({ file, compressors, utf8: false, columns: Object.keys(columns) });
  const values = (name: string) => rows.map((row: Record<string, unknown>) => row[name]);
  return readingOf(columns, values, (name) => jsTypeOf(values(name).find((value) => value !== null && value !== undefined)));
}

function jsTypeOf(value: unknown): string {
  if (typeof value === 'object' && value !== null) return value.constructor.name;
  return typeof value;
}
