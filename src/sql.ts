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

/** A view of `sql/views.sql`. */
export interface View {
  /** The statement that makes it. */
  readonly text: string;
  /** The views that have to be there before it. */
  readonly views: ReadonlySet<string>;
  /** The tables of the schema `raw` that it reads, also through those. */
  readonly tables: ReadonlySet<TableName>;
}

/** The views of `sql/views.sql` by name, each after those that it reads. */
export function views(): ReadonlyMap<string, View> {
  const found = new Map<string, View>();
  for (const statement of viewsSql().replaceAll(/--.*/g, '').split(';')) {
    const [, name, body = ''] = /^\s*CREATE OR REPLACE VIEW (\w+) AS\b(.*)/s.exec(statement) ?? [];
    if (name === undefined) continue;
    const words = new Set(body.match(/[\w.]+/g));
    const [below, tables] = [new Set<string>(), new Set(tableNames.filter((table) => words.has(`raw.${table}`)))];
    for (const [other, view] of found) {
      if (!words.has(other)) continue;
      for (const each of [...view.views, other]) below.add(each);
      for (const table of view.tables) tables.add(table);
    }
    found.set(name, { text: statement, views: below, tables });
  }
  return found;
}

/**
 * The tables of the schema `raw` as views over something else: `sourceOf` gives what stands after SELECT for each,
 * such as `* FROM batch(getvariable('unflushed'), 'tags')`.
 */
export function rawViewsSql(sourceOf: (table: TableName) => string): string {
  return ['CREATE SCHEMA IF NOT EXISTS raw;', ...tableNames.map((table) => `${rawViewSql(table, sourceOf(table))};`)].join('\n');
}

/** One of them. */
export function rawViewSql(table: TableName, source: string): string {
  return `CREATE OR REPLACE VIEW raw.${table} AS SELECT ${source}`;
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

/** A question of many runs, by the name of its file: `sql/analytics/<name>.sql`. Its parameters have names, `$tag`. */
export function analysisSql(name: string): string {
  return read(`analytics/${name}`);
}

/** Beside `src/` and beside `dist/`, so the same words find it from both. */
function read(name: string): string {
  return readFileSync(new URL(`../sql/${name}.sql`, import.meta.url), 'utf8');
}
