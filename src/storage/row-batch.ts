import { ListColumn, NumberColumn } from '../columns.ts';
import { columnsOf, type ColumnType, type Row, type TableName, tableNames } from '../schema.ts';
import type { Batch } from '../store.ts';

/** Rows by table; a column that a row does not have is null. */
export type TableRowLists = { readonly [T in TableName]?: readonly Partial<Row<T>>[] };

/** Rows as a batch: for storages that keep rows and are asked for SQL. */
export async function batchOfRows(rows: TableRowLists): Promise<Batch> {
  const { recordBatch } = await import('../batch.ts');
  const tables = tableNames.flatMap((table) => {
    const list: readonly Readonly<Record<string, unknown>>[] = rows[table] ?? [];
    if (list.length === 0) return [];
    const columns = columnsOf(table).map(
      ([name, type]) =>
        [
          name,
          columnOf(
            type,
            list.map((row) => row[name] ?? null),
          ),
        ] as const,
    );
    return [[table, recordBatch(table, Object.fromEntries(columns), list.length)] as const];
  });
  return { id: { writer: 'rows', number: 1 }, tables: Object.fromEntries(tables) };
}

function columnOf(type: ColumnType, values: readonly unknown[]): NumberColumn | ListColumn<string> {
  const column = type === 'text' || type === 'bytes' ? new ListColumn<string>() : new NumberColumn();
  for (const value of values) column.push(value as never);
  return column;
}
