import { binding, type DuckDBResult } from './binding.ts';
import type { Result } from './store.ts';
import { readVector } from './vector.ts';

/**
 * Copies a materialised result into JavaScript values; `vector.ts` says which.
 * @throws RangeError for a date or timestamp that no `Date` can hold, infinity among them.
 */
export async function readResult(result: DuckDBResult): Promise<Result> {
  const types = Array.from({ length: result.columnCount }, (_, column) => result.columnType(column));
  const columns = types.map((type, column) => ({
    name: result.columnName(column),
    type: result.columnLogicalType(column).alias ?? type.toString(), // JSON is a VARCHAR with an alias
  }));
  const values: unknown[][] = types.map(() => []);
  let rowCount = 0;
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) return { columns, values, rowCount };
    const rows = chunk.rowCount;
    types.forEach((type, column) => {
      const target = values[column] as unknown[];
      for (const value of readVector(binding.data_chunk_get_vector(chunk.chunk, column), type, rows, null)) target.push(value);
    });
    // Asked again only now: long texts live in the chunk's memory, and this use keeps the chunk from being collected before.
    rowCount += chunk.rowCount;
  }
}
