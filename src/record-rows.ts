import type { Data, RecordBatch } from 'apache-arrow';
import { columnsOf, type ColumnType, type Row, type TableName } from './schema.ts';

/** The raw buffers of one column of a record batch, for whoever copies them into DuckDB. `offsets` is null for fixed widths. */
export interface ColumnBuffers {
  readonly values: BigInt64Array | Int32Array | Float64Array | Uint8Array;
  readonly offsets: Int32Array | null;
  /** Arrow's validity: bit `row & 7` of byte `row >> 3` is 1 where there is a value; null where there is one everywhere. */
  readonly validity: Uint8Array | null;
}

export function buffersOf(batch: RecordBatch, column: number): ColumnBuffers {
  const data = batch.data.children[column] as Data;
  return {
    values: data.values as ColumnBuffers['values'],
    offsets: (data.valueOffsets as Int32Array | undefined) ?? null,
    validity: data.nullCount === 0 ? null : data.nullBitmap,
  };
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true }); // Arrow's own drops a leading U+FEFF

/** One value of a record batch as plain data: sids and times as numbers, bytes as a window on the batch. */
export function valueAt(
  type: ColumnType,
  { values, offsets, validity }: ColumnBuffers,
  row: number,
): string | number | Uint8Array | null {
  if (validity !== null && (((validity[row >> 3] as number) >> (row & 7)) & 1) === 0) return null;
  if (offsets === null) return Number(values[row]);
  const bytes = (values as Uint8Array).subarray(offsets[row], offsets[row + 1]);
  return type === 'text' ? decoder.decode(bytes) : bytes;
}

/** The rows of a record batch, in order. */
export function* rowsOf<T extends TableName>(table: T, batch: RecordBatch): Generator<Row<T>> {
  const columns = columnsOf(table).map(([name, type], column) => [name, type, buffersOf(batch, column)] as const);
  for (let row = 0; row < batch.numRows; row++) {
    yield Object.fromEntries(columns.map(([name, type, buffers]) => [name, valueAt(type, buffers, row)])) as Row<T>;
  }
}
