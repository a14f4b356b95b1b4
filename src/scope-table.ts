import type { Column, ColumnarResult } from './column.ts';
import type { ScopeRecord, Statement } from './store.ts';

/** What a table of scopes says of each: nothing that belongs to it. */
export type BareScope = Pick<
  ScopeRecord,
  'sid' | 'flow' | 'step' | 'run' | 'path' | 'attempt' | 'status' | 'startedAt' | 'durationMs' | 'params'
>;

/** The columns of scopes in a table, in both ways of making it: as SQL over `raw.scopes`, and from records in memory. */
const columns: readonly (readonly [name: string, type: string, sql: string, read: (record: BareScope) => unknown])[] = [
  ['id', 'VARCHAR', `concat_ws('.', flow, step, run, path)`, ({ flow, step, run, path }) => `${flow}.${step}.${run}.${path}`],
  ['sid', 'BIGINT', 'sid', ({ sid }) => sid],
  ['flow', 'VARCHAR', 'flow', ({ flow }) => flow],
  ['step', 'VARCHAR', 'step', ({ step }) => step],
  ['run', 'VARCHAR', 'run', ({ run }) => run],
  ['path', 'VARCHAR', 'path', ({ path }) => path],
  ['attempt', 'INTEGER', 'attempt', ({ attempt }) => attempt],
  ['status', 'VARCHAR', 'status', ({ status }) => status],
  ['started_at', 'TIMESTAMP_MS', 'started_at', ({ startedAt }) => startedAt],
  ['duration_ms', 'DOUBLE', 'duration_ms', ({ durationMs }) => durationMs],
  ['params', 'VARCHAR', 'params', ({ params }) => params],
];

/** Selects the scopes with these sids, in this order. */
export function scopeTable(sids: readonly number[]): Statement {
  const least = sids.reduce((a, b) => Math.min(a, b), Number.MAX_SAFE_INTEGER);
  const most = sids.reduce((a, b) => Math.max(a, b), 0);
  const text = `SELECT ${columns.map(([name, , sql]) => `${sql} AS ${name}`).join(', ')}
    FROM raw.scopes JOIN (SELECT unnest($1::BIGINT[]) AS sid, unnest(range(len($1::BIGINT[]))) AS position) USING (sid)
    WHERE sid BETWEEN $2 AND $3 ORDER BY position`;
  return { text, values: [sids.map(BigInt), BigInt(least), BigInt(most)] };
}

/** The same of records, in their order. */
export function scopeTableOf(records: readonly BareScope[]): ColumnarResult {
  return { columns: columns.map(([name, type, , read]) => columnOf(name, type, records.map(read))), rowCount: records.length };
}

function columnOf(name: string, type: string, values: readonly unknown[]): Column {
  const rows = values.length;
  const whole = (kind: Column['kind'], part: Pick<Column['parts'][number], 'values'> & Partial<Column['parts'][number]>) => ({
    name,
    type,
    kind,
    parts: rows === 0 ? [] : [{ rows, validity: null, offsets: null, ...part }],
    texts: null,
    children: [],
  });
  if (type === 'INTEGER') return whole('integer', { values: Int32Array.from(values as number[]) });
  if (type === 'BIGINT') return whole('bigint', { values: BigInt64Array.from(values as number[], BigInt) });
  if (type === 'DOUBLE') return whole('double', { values: Float64Array.from(values as number[]) });
  if (type === 'TIMESTAMP_MS')
    return whole('time', { values: BigInt64Array.from(values as number[], (time) => BigInt(Math.trunc(time))) });
  const { keys, texts } = keysOf(values as (string | null)[]);
  const present = values.filter((value) => value !== null).length;
  const validity = present === rows ? null : bitsOf(values);
  if (texts.length > 0 && texts.length * 2 <= present)
    return { ...whole('dictionary', { values: keys, validity }), texts: packed(texts) };
  const { bytes, offsets } = packed(values as (string | null)[]);
  return whole('text', { values: bytes, offsets, validity });
}

function keysOf(values: readonly (string | null)[]): { keys: Int32Array; texts: readonly string[] } {
  const known = new Map<string, number>();
  const keys = Int32Array.from(values, (value) => {
    if (value === null) return 0;
    const key = known.get(value) ?? known.size;
    known.set(value, key);
    return key;
  });
  return { keys, texts: [...known.keys()] };
}

function packed(texts: readonly (string | null)[]): { bytes: Uint8Array; offsets: Int32Array } {
  const pieces = texts.map((text) => Buffer.from(text ?? ''));
  const offsets = new Int32Array(texts.length + 1);
  pieces.forEach(({ length }, row) => {
    offsets[row + 1] = (offsets[row] as number) + length;
  });
  return { bytes: Uint8Array.from(Buffer.concat(pieces)), offsets };
}

function bitsOf(values: readonly unknown[]): Uint8Array {
  const bits = new Uint8Array((values.length + 7) >> 3);
  values.forEach((value, row) => {
    if (value !== null) bits[row >> 3] = (bits[row >> 3] as number) | (1 << (row & 7));
  });
  return bits;
}
