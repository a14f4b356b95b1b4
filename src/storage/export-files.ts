import { open, stat } from 'node:fs/promises';
import type { Connection } from '../duckdb.ts';
import { forCsv, forJson, fromParquet } from '../portable.ts';
import { quoteName } from '../quote.ts';
import type { Staged } from '../store.ts';
import type { ExportFormat } from './export-target.ts';
import { patternOf } from './path-pattern.ts';
import { rowPieces } from './row-pieces.ts';

/** Writes staged rows, in their order, into one file, which is new. The parts have the same columns. */
export async function writeStage(
  connection: Connection,
  parts: readonly Staged[],
  path: string,
  format: ExportFormat,
): Promise<void> {
  if (format === 'arrow' || format === 'arrows') return await writeArrow(connection, parts, path, format);
  const { select, options } = copies[format as keyof typeof copies];
  const { columns, names } = parts[0] as Staged;
  const rows = `SELECT ${select(columns)} FROM read_parquet($1, hive_partitioning = false)`;
  const named = `SELECT * FROM (${rows}) AS staged(${names.map(quoteName).join(', ')})`;
  await connection.run(`COPY (${named}) TO $2 (${options}, USE_TMP_FILE false)`, [
    parts.map((part) => patternOf(part.path)),
    path,
  ]);
}

const copies = {
  parquet: { select: fromParquet, options: 'FORMAT parquet, PARQUET_VERSION v1, COMPRESSION zstd, ROW_GROUP_SIZE 122880' },
  csv: { select: forCsv, options: 'FORMAT csv, HEADER true' },
  jsonl: { select: forJson, options: 'FORMAT json, ARRAY false' },
} as const;

/** DuckDB writes no Arrow without an extension. */
async function writeArrow(
  connection: Connection,
  parts: readonly Staged[],
  path: string,
  format: 'arrow' | 'arrows',
): Promise<void> {
  const { IpcWriter, portableTable } = await import('../arrow-table.ts');
  const { columns, names } = parts[0] as Staged;
  const named = columns.map(({ type }, index) => ({ name: names[index] as string, type }));
  const writer = new IpcWriter(format === 'arrow' ? 'file' : 'stream', portableTable(named, []).schema);
  const file = await open(path, 'wx');
  try {
    for (const part of parts) {
      for (const [first, last] of await rowPieces(connection, columns, part.path)) {
        const text = `SELECT ${fromParquet(columns)} FROM read_parquet($1, hive_partitioning = false, file_row_number = true)
          WHERE file_row_number BETWEEN $2 AND $3 ORDER BY file_row_number`;
        const { values } = await connection.run(text, [patternOf(part.path), BigInt(first), BigInt(last)]);
        await file.appendFile(writer.write(portableTable(named, values)));
      }
    }
    await file.appendFile(writer.end());
  } finally {
    await file.close();
  }
}

/** The size of a file in bytes. */
export async function bytesOf(path: string): Promise<number> {
  return (await stat(path)).size;
}
