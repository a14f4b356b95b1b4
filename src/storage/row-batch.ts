import { ListColumn, NumberColumn } from '../columns.ts';
import type { TableColumns } from '../batch.ts';
import type { Mark } from '../recorder.ts';
import { columnsOf, type ColumnType, type Row, type TableName, tableNames } from '../schema.ts';
import type { Batch } from '../store.ts';

/** Rows by table; a column that a row does not have is null. */
export type TableRowLists = { readonly [T in TableName]?: readonly Partial<Row<T>>[] };

/** Rows as a batch: for storages that keep rows and are asked for SQL. */
export async function batchOfRows(rows: TableRowLists): Promise<Batch> {
  const { recordBatch } = await import('../batch.ts');
  const { tables, rows: counts } = markOfRows(rows);
  const records = Object.entries(tables).map(([name, columns]) => {
    const table = name as TableName;
    return [table, recordBatch(table, columns, counts[table] as number)] as const;
  });
  return { id: { writer: 'rows', number: 1 }, tables: Object.fromEntries(records) };
}

/** Rows as columns of the engine. */
export function markOfRows(rows: TableRowLists): Mark {
  const filled = tableNames.filter((table) => (rows[table]?.length ?? 0) > 0);
  return {
    tables: Object.fromEntries(filled.map((table) => [table, columnsOfRows(table, rows[table] ?? [])])),
    rows: Object.fromEntries(filled.map((table) => [table, rows[table]?.length ?? 0])),
  };
}

function columnsOfRows(table: TableName, rows: readonly Readonly<Record<string, unknown>>[]): TableColumns {
  const columns = columnsOf(table).map(([name, type]) => {
    const values = rows.map((row) => row[name] ?? null);
    return [name, columnOf(type, values)] as const;
  });
  return Object.fromEntries(columns);
}

function columnOf(type: ColumnType, values: readonly unknown[]): NumberColumn | ListColumn<string> {
  const column = type === 'text' || type === 'bytes' ? new ListColumn<string>() : new NumberColumn();
  for (const value of values) column.push(value as never);
  return column;
}
