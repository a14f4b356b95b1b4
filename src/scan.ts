import { isUtf8 } from 'node:buffer';
import type { RecordBatch } from 'apache-arrow';
import { buffersOf, type ColumnBuffers } from './record-rows.ts';
import {
  BIGINT,
  binding,
  BLOB,
  DOUBLE,
  type DuckDBDataChunk,
  DuckDBTableFunction,
  type DuckDBTableFunctionBindInfo,
  type DuckDBTableFunctionInfo,
  type DuckDBTableFunctionInitInfo,
  type DuckDBType,
  INTEGER,
  TIMESTAMP_MS,
  VARCHAR,
  type Vector,
} from './binding.ts';
import { MarqueError, messageOf, show } from './error.ts';
import { columnsOf, type ColumnType, schema, type TableName } from './schema.ts';
import type { Batch } from './store.ts';

/** DuckDB's vectors hold this many rows; writing past it overruns their memory. */
const vectorSize = 2_048;

const duckdbTypes: Readonly<Record<ColumnType, DuckDBType>> = {
  bigint: BIGINT,
  integer: INTEGER,
  double: DOUBLE,
  text: VARCHAR,
  bytes: BLOB,
  timestamp: TIMESTAMP_MS,
};

/** What the binding of one call of the function holds: it keeps the record batches alive until the plan is gone. */
interface Bound {
  readonly table: TableName;
  readonly records: readonly RecordBatch[];
}

/** How far one scan has come. */
interface Position {
  readonly projection: readonly number[];
  record: number;
  row: number;
}

/**
 * The table function `batch(token, table)`: the rows that the batches under a token have for a table, batch after batch, in
 * order. A NULL token gives no rows. Nothing may be thrown into DuckDB, so every callback turns an exception into its error.
 */
export function batchFunction(pinned: (token: bigint) => readonly Batch[] | undefined): DuckDBTableFunction {
  return DuckDBTableFunction.create({
    name: 'batch',
    parameterTypes: [BIGINT, VARCHAR],
    supportsProjectionPushdown: true,
    bindFunction: (info) => guarded(info, () => bind(info, pinned)),
    initFunction: (info) => guarded(info, () => start(info)),
    mainFunction: (info, chunk) => guarded(info, () => fill(info, chunk)),
  });
}

/** @throws MarqueError `VALUE_INVALID` for a record batch not laid out as `batch.ts` does: its memory would be misread. */
export function checkBatch(batch: Batch): void {
  for (const [table, record] of Object.entries(batch.tables) as [TableName, RecordBatch][]) {
    columnsOf(table).forEach(([name, type], column) => {
      const fault = record.schema.fields[column]?.name === name ? faultOf(record, column, type) : 'is missing';
      if (fault !== null) throw new MarqueError('VALUE_INVALID', `column ${table}.${name} of batch ${batch.id.number} ${fault}`);
    });
  }
}

function faultOf(record: RecordBatch, column: number, type: ColumnType): string | null {
  const rows = record.numRows;
  const { values, offsets, validity } = buffersOf(record, column);
  if (record.data.offset !== 0 || record.data.children[column]?.offset !== 0) return 'is a slice of another';
  if (validity !== null && validity.length < (rows + 7) >> 3) return 'has too few validity bits';
  if (type === 'text' || type === 'bytes') {
    if (!(values instanceof Uint8Array) || offsets === null || offsets.length <= rows) return `is not ${type}`;
    for (let row = 0; row < rows; row++) {
      if ((offsets[row] as number) > (offsets[row + 1] as number)) return 'has offsets that run backwards';
      if (type === 'text' && isWithinCharacter(values[offsets[row] as number])) return 'has offsets within a character';
    }
    if ((offsets[0] as number) < 0 || (offsets[rows] as number) > values.length) return 'has offsets beyond its bytes';
    return type === 'text' && !isUtf8(values) ? 'is not UTF-8' : null;
  }
  const array = { bigint: BigInt64Array, timestamp: BigInt64Array, integer: Int32Array, double: Float64Array }[type];
  return values instanceof array && values.length >= rows ? null : `is not ${type}`;
}

/** Of a byte of UTF-8, whether it is not the first one of its character. */
function isWithinCharacter(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

function guarded(info: { setError(message: string): void }, job: () => void): void {
  try {
    job();
  } catch (error) {
    info.setError(messageOf(error));
  }
}

function bind(info: DuckDBTableFunctionBindInfo, pinned: (token: bigint) => readonly Batch[] | undefined): void {
  const token = info.getParameter(0) as bigint | null;
  const table = info.getParameter(1) as TableName | null;
  if (table === null || !Object.hasOwn(schema, table)) throw new RangeError(`batch(): there is no table ${show(table)}`);
  for (const [name, type] of columnsOf(table)) info.addResultColumn(name, duckdbTypes[type]);
  const batches = token === null ? [] : pinned(token);
  if (batches === undefined) throw new RangeError(`batch(): nothing is pinned under ${token}`);
  const records = batches.flatMap((batch) => batch.tables[table] ?? []);
  info.setCardinality(
    records.reduce((sum, record) => sum + record.numRows, 0),
    true,
  );
  info.setBindData({ table, records } satisfies Bound);
}

function start(info: DuckDBTableFunctionInitInfo): void {
  info.setMaxThreads(1); // the rows come from one JavaScript thread anyway, and their order is the batches'
  info.setInitData({ projection: info.getColumnIndexes(), record: 0, row: 0 } satisfies Position);
}

function fill(info: DuckDBTableFunctionInfo, chunk: DuckDBDataChunk): void {
  const { table, records } = info.bindData as Bound;
  const position = info.initData as Position;
  while (position.record < records.length && position.row >= (records[position.record] as RecordBatch).numRows) {
    position.record++;
    position.row = 0;
  }
  const record = records[position.record];
  if (record === undefined) {
    chunk.rowCount = 0;
    return;
  }
  const first = position.row; // a multiple of the vector size, so validity bits begin at a whole byte
  const rows = Math.min(vectorSize, record.numRows - first);
  chunk.rowCount = rows;
  const columns = columnsOf(table);
  position.projection.forEach((column, target) => {
    if (column >= columns.length) return; // `count(*)` asks for a column that does not exist
    fillVector(binding.data_chunk_get_vector(chunk.chunk, target), buffersOf(record, column), first, rows);
  });
  position.row += rows;
}

/** DuckDB's string_t: the length in 32 bits, then the text itself where it fits, padded with zeros, else its first bytes and a pointer. */
const stringSize = 16;
const longestInline = 12;

/** The strings of one vector as they are being put together; copied when they are complete, and used again. */
const strings = new ArrayBuffer(vectorSize * stringSize);
const stringBytes = new Uint8Array(strings);
const stringWords = new Uint32Array(strings);

function fillVector(vector: Vector, { values, offsets, validity }: ColumnBuffers, first: number, rows: number): void {
  if (validity !== null) {
    binding.vector_ensure_validity_writable(vector);
    binding.copy_data_to_vector_validity(vector, 0, memory(validity), validity.byteOffset + (first >> 3), (rows + 7) >> 3);
  }
  if (offsets === null) {
    const width = values.BYTES_PER_ELEMENT;
    binding.copy_data_to_vector(vector, 0, memory(values), values.byteOffset + first * width, rows * width);
    return;
  }
  fillStrings(vector, values as Uint8Array, offsets, first, rows);
}

/**
 * Short strings, nearly all there are, without a native call for each: they stand in the vector itself. A null has no bytes, so it becomes
 * an empty string under its null, and no pointer of a chunk before stays behind. Plainly: for each row,
 * `vector_assign_string_element_len(vector, row, bytes.subarray(offsets[row], offsets[row + 1]))`.
 */
function fillStrings(vector: Vector, bytes: Uint8Array, offsets: Int32Array, first: number, rows: number): void {
  stringBytes.fill(0, 0, rows * stringSize);
  let hasLong = false;
  for (let index = 0, end = offsets[first] as number; index < rows; index++) {
    const start = end;
    end = offsets[first + index + 1] as number;
    if (end - start > longestInline) {
      hasLong = true;
      continue;
    }
    stringWords[index * 4] = end - start;
    for (let from = start, to = index * stringSize + 4; from < end; from++, to++) stringBytes[to] = bytes[from] as number;
  }
  binding.copy_data_to_vector(vector, 0, strings, 0, rows * stringSize);
  if (!hasLong) return;
  for (let index = 0; index < rows; index++) {
    const [start, end] = [offsets[first + index] as number, offsets[first + index + 1] as number];
    if (end - start > longestInline) binding.vector_assign_string_element_len(vector, index, bytes.subarray(start, end));
  }
}

function memory(array: ArrayBufferView): ArrayBuffer {
  return array.buffer as ArrayBuffer;
}
