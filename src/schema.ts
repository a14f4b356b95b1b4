/**
 * The tables of a store as data. `sql/schema.sql` says the same in SQL, with a comment on every column; a test holds the
 * two together. Every file of a table carries exactly these columns in this order.
 */

/** Column types, by their meaning: `timestamp` is UTC in milliseconds, `bytes` a BLOB, `text` UTF-8. */
export type ColumnType = 'bigint' | 'integer' | 'double' | 'text' | 'bytes' | 'timestamp';

export const schema = {
  artifacts: {
    sid: 'bigint',
    flow: 'text',
    run: 'text',
    step: 'text',
    seq: 'integer',
    name: 'text',
    codec: 'text',
    text: 'text',
    bytes: 'bytes',
  },
  tags: { sid: 'bigint', flow: 'text', run: 'text', step: 'text', seq: 'integer', content: 'text', value: 'double' },
  logs: {
    sid: 'bigint',
    flow: 'text',
    run: 'text',
    step: 'text',
    seq: 'integer',
    level: 'text',
    message: 'text',
    logged_at: 'timestamp',
  },
  edges: { sid: 'bigint', flow: 'text', run: 'text', kind: 'text', target_sid: 'bigint', name: 'text' },
  scopes: {
    sid: 'bigint',
    flow: 'text',
    run: 'text',
    step: 'text',
    path: 'text',
    attempt: 'integer',
    parent_sid: 'bigint',
    ref_sid: 'bigint',
    status: 'text',
    started_at: 'timestamp',
    duration_ms: 'double',
    dispatch_ms: 'double',
    encode_ms: 'double',
    error_message: 'text',
    error_stack: 'text',
    params: 'text',
    pushes: 'text',
    seed: 'bigint',
    source_hash: 'text',
  },
  runs: {
    run_number: 'bigint',
    uuid: 'text',
    slug: 'text',
    flow: 'text',
    event: 'text',
    happened_at: 'timestamp',
    details: 'text',
  },
} as const satisfies Record<string, Record<string, ColumnType>>;

export type TableName = keyof typeof schema;

/** Commit order: children first, `scopes` makes the batch visible, `runs` reports on it. */
export const tableNames = Object.keys(schema) as readonly TableName[];

/** The JavaScript value of each column type on its way in and out of the store. Timestamps are epoch milliseconds. */
interface ValueOf {
  bigint: number;
  integer: number;
  double: number;
  text: string;
  bytes: Uint8Array;
  timestamp: number;
}

/** One row of a table as plain data. Any column may be null; which ones are is said in `sql/schema.sql`. */
export type Row<T extends TableName> = {
  -readonly [C in keyof (typeof schema)[T]]: (typeof schema)[T][C] extends ColumnType
    ? ValueOf[(typeof schema)[T][C]] | null
    : never;
};

/** The columns of a table as pairs of name and type, in file order. */
export function columnsOf(table: TableName): readonly (readonly [name: string, type: ColumnType])[] {
  return Object.entries(schema[table]);
}
