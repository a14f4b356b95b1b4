import type { Storage } from '../../src/index.ts';
import { columnsOf, type TableName, tableNames } from '../../src/schema.ts';
import type { CellType, Columns } from './cell.ts';
import { type Reading, readingOf } from './reading.ts';
import type { Loss } from './readers.ts';

/** What `open.sql` defines, and what of it is compared: the tables as they are stored, and the views. */
export const relations: Readonly<Record<string, Columns>> = {
  ...Object.fromEntries(tableNames.map((table) => [`raw.${table}`, columnsIn(table)])),
  ...Object.fromEntries(tableNames.filter((table) => table !== 'runs').map((table) => [table, columnsIn(table)])),
  scopes: { id: 'text', run_number: 'bigint', ordinal: 'bigint', ...columnsIn('scopes') },
  runs: {
    run_number: 'bigint',
    uuid: 'text',
    slug: 'text',
    flow: 'text',
    state: 'text',
    started_at: 'timestamp',
    ended_at: 'timestamp',
    duration_ms: 'double',
    scopes: 'bigint',
    errors: 'bigint',
    tags: { content: 'text', value: 'double' },
    start_details: 'text',
    end_details: 'text',
  },
};

/** The values of some columns of a relation, as this library gives them. */
export type Values = Readonly<Record<string, readonly unknown[]>>;

/** What this library reads of a relation, or of more SQL after FROM. */
export async function valuesOf(storage: Storage, relation: string, columns: Columns): Promise<Values> {
  const names = Object.keys(columns);
  const text = `SELECT ${names.join(', ')} FROM ${relation}`;
  const rows = await storage.sql(Object.assign([text], { raw: [text] }));
  return Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])]));
}

/** What a reader that loses something gives of these values. */
export function expectedOf(values: Values, columns: Columns, loses: Loss | null = null): Reading {
  const seen = (name: string) => (values[name] ?? []).map((value) => seenAs(columns[name] as CellType, value, loses));
  return readingOf(columns, seen, () => '');
}

function seenAs(type: CellType, value: unknown, loses: Loss | null): unknown {
  if (typeof type === 'string') return type === loses?.type ? loses.of(value) : value;
  if (loses?.inLists !== true) return value;
  const elements = value as readonly Record<string, unknown>[];
  return elements.map((element) => {
    return Object.fromEntries(Object.entries(type).map(([name, field]) => [name, seenAs(field, element[name], loses)]));
  });
}

function columnsIn(table: TableName): Columns {
  return Object.fromEntries(columnsOf(table));
}
