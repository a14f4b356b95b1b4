import { type CellType, type Columns } from './cell.ts';
import { expectedOf, type Values } from './expected.ts';
import { digest } from './reading.ts';
import type { Reader, Source } from './readers.ts';

/** The types of the table, in its order: what they are called there, and a column that has values of every kind of them. */
export const typeColumns: readonly TypeColumn[] = [
  { title: 'text', table: 'tags', column: 'content', type: 'text' },
  { title: 'double', table: 'tags', column: 'value', type: 'double' },
  { title: 'integer', table: 'tags', column: 'seq', type: 'integer' },
  { title: 'bigint', table: 'scopes', column: 'parent_sid', type: 'bigint' },
  { title: 'timestamp_ms', table: 'scopes', column: 'started_at', type: 'timestamp' },
  { title: 'bytes', table: 'artifacts', column: 'bytes', type: 'bytes' },
  { title: 'list of structs', table: null, column: 'tags', type: { content: 'text', value: 'double' } },
];

export interface TypeColumn {
  readonly title: string;
  /** Null where only the export of whole scopes has such a column. */
  readonly table: 'tags' | 'scopes' | 'artifacts' | null;
  readonly column: string;
  readonly type: CellType;
}

/** What a reader makes of a column, for a cell of the table: its own name of the type, and what it loses; or that it refuses. */
export async function outcomeOf(
  reader: Reader,
  { column, type }: TypeColumn,
  path: string,
  relation: string | undefined,
  values: Values,
) {
  const columns: Columns = { sid: 'bigint', [column]: type };
  const found = await reader.read(path, columns, relation).catch(() => null);
  if (found === null) return 'refused';
  const named = `\`${found[column]?.type.replaceAll(/\s+/g, ' ')}\``;
  const { checksum } = digest(found);
  if (checksum === digest(expectedOf(values, columns)).checksum) return named;
  if (checksum === digest(expectedOf(values, columns, reader.loses)).checksum) return `${named}, ${reader.loses?.what}`;
  return `${named}, other values`;
}

/** The table as Markdown: one row for each reader, in this order. */
export function tableOf(rows: readonly string[]): string {
  return [
    line(['Reader', 'opens', ...typeColumns.map(({ title }) => title)]),
    line(['Reader', 'opens', ...typeColumns].map(() => '---')),
    ...rows,
    '',
  ].join('\n');
}

/** A row of the table; without outcomes its beginning, which no other row has. */
export function rowOf({ name, source }: Reader, outcomes: readonly string[] = []): string {
  return line([name, opened[source], ...outcomes]);
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

const opened: Readonly<Record<Source, string>> = { log: 'the store', 'open.sql': 'the store, by `open.sql`', file: 'an export' };
