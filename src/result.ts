import { binding, type DuckDBResult } from './binding.ts';
import type { ColumnarResult } from './column.ts';
import { collectorOf } from './column-collector.ts';
import { GivenUp } from './interruptible.ts';
import { Pace } from './pace.ts';

/** A part of the columns ends with at least so many rows, or bytes of one text column: what is put together anew stays small. */
const rowsOfPart = 122_880;
const bytesOfPart = 2 ** 28;

/**
 * Copies a materialised result into columns, from the memory of its vectors. It is given up when the signal aborts, and then throws a `GivenUp`.
 * @throws RangeError for a date or timestamp that no `Date` can hold, infinity among them.
 */
export async function readColumns(result: DuckDBResult, signal?: AbortSignal): Promise<ColumnarResult> {
  const types = Array.from({ length: result.columnCount }, (_, column) => result.columnType(column));
  const collectors = types.map((type) => collectorOf(type));
  let rowCount = 0;
  let rowsBefore = 0; // of parts that have ended
  const pace = new Pace();
  for (;;) {
    if (pace.isDue) await pace.rest();
    if (signal?.aborted) throw new GivenUp(signal.reason);
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    const rows = chunk.rowCount;
    types.forEach((type, column) =>
      collectors[column]?.add(binding.data_chunk_get_vector(chunk.chunk, column), type, rows, null),
    );
    // Asked again only now: long texts live in the chunk's memory, and this use keeps the chunk from being collected before.
    rowCount += chunk.rowCount;
    if (rowCount - rowsBefore < rowsOfPart && collectors.every(({ byteLength }) => byteLength < bytesOfPart)) continue;
    for (const collector of collectors) collector.cut();
    rowsBefore = rowCount;
  }
  if (rowCount > rowsBefore) for (const collector of collectors) collector.cut();
  const columns = types.map((type, column) => ({
    name: result.columnName(column),
    type: result.columnLogicalType(column).alias ?? type.toString(), // JSON is a VARCHAR with an alias
    ...(collectors[column] as (typeof collectors)[number]).end(),
  }));
  return { columns, rowCount };
}
