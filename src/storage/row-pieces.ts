import type { Connection } from '../duckdb.ts';
import type { TypedColumn } from '../portable.ts';
import { quoteName } from '../quote.ts';
import { patternOf } from './path-pattern.ts';

/** Bytes, roughly, that are in memory as JavaScript values at a time. */
const pieceBytes = 16 * 2 ** 20;

/** The rows of a Parquet file in pieces of about 16 MiB: the first and the last row of each, counted from 0. */
export async function rowPieces(
  connection: Connection,
  columns: readonly TypedColumn[],
  path: string,
): Promise<readonly (readonly [first: number, last: number])[]> {
  const sizes = columns.flatMap(({ name, type }) => {
    if (type.kind !== 'plain') return [`coalesce(strlen(${quoteName(name)}::VARCHAR), 0)`];
    if (type.name === 'VARCHAR') return [`coalesce(strlen(${quoteName(name)}), 0)`];
    return type.name === 'BLOB' ? [`coalesce(octet_length(${quoteName(name)}), 0)`] : [];
  });
  const { values } = await connection.run(
    `WITH
      numbered AS (
        SELECT file_row_number AS row, ${[100, ...sizes].join(' + ')} AS bytes
        FROM read_parquet($1, hive_partitioning = false, file_row_number = true)
      ),
      running AS (SELECT row, sum(bytes) OVER (ORDER BY row) // ${pieceBytes} AS piece FROM numbered)
      SELECT min(row), max(row) FROM running GROUP BY piece ORDER BY piece`,
    [patternOf(path)],
  );
  const [first = [], last = []] = values as readonly (readonly number[])[];
  return first.map((row, index) => [row, last[index] as number] as const);
}
