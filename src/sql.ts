import { readFileSync } from 'node:fs';
import { type TableName, tableNames } from './schema.ts';

/** The six tables, in the schema `raw`: `sql/schema.sql`. */
export function schemaSql(): string {
  return read('schema');
}

/** What a `.duckdb` file keeps beside the six tables: `sql/ledger.sql`. */
export function ledgerSql(): string {
  return read('ledger');
}

/** The views that people query, over the tables or views of the schema `raw`: `sql/views.sql`. */
export function viewsSql(): string {
  return read('views');
}

/** The tables of the schema `raw` that each view of `sql/views.sql` reads, also through other views. */
export function tablesOfViews(): ReadonlyMap<string, ReadonlySet<TableName>> {
  const views = new Map<string, ReadonlySet<TableName>>();
  const [, ...definitions] = viewsSql()
    .replaceAll(/--.*/g, '')
    .split(/\bCREATE OR REPLACE VIEW\s+/);
  for (const definition of definitions) {
    const [name = '', ...words] = definition.match(/[\w.]+/g) ?? [];
    const tables = words.flatMap((word) => {
      const table = tableNames.find((one) => word === `raw.${one}`);
      return table === undefined ? [...(views.get(word) ?? [])] : [table];
    });
    views.set(name, new Set(tables));
  }
  return views;
}

/**
 * The tables of the schema `raw` as views over something else: `sourceOf` gives what stands after SELECT for each,
 * such as `* FROM batch(getvariable('unflushed'), 'tags')`.
 */
export function rawViewsSql(sourceOf: (table: TableName) => string): string {
  const views = tableNames.map((table) => `CREATE OR REPLACE VIEW raw.${table} AS SELECT ${sourceOf(table)};`);
  return ['CREATE SCHEMA IF NOT EXISTS raw;', ...views].join('\n');
}

/**
 * What plain DuckDB runs to read a Parquet store: `sql/open.sql` for the store at this place, with the views. The place is a
 * SQL literal, as `quoteText` makes it.
 */
export function openSql(store: string): string {
  const placeholder = "'/where/the/store/is'";
  const template = read('open');
  if (!template.includes(placeholder)) throw new Error(`sql/open.sql does not say ${placeholder}`);
  return `${template.replace(placeholder, () => store)}\n${viewsSql()}`;
}

/** Beside `src/` and beside `dist/`, so the same words find it from both. */
function read(name: string): string {
  return readFileSync(new URL(`../sql/${name}.sql`, import.meta.url), 'utf8');
}
