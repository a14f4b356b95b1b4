import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { onTestFinished } from 'vitest';
import { tableNames } from '../src/schema.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { claimRows, type RowMaker } from './store-rows.ts';

/** The folder of the project, where a process finds its packages. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** How many rows each view shows, in the order of the tables. */
export const everywhere = `SELECT ${tableNames.map((table) => `(SELECT count(*) FROM ${table})`).join(', ')}`;

/** A store that is closed when the running test has finished. */
export function opened(folder: string): ParquetStore {
  const store = new ParquetStore(folder, { threads: 1 });
  onTestFinished(() => store.close());
  return store;
}

/** The store of one run with two scopes, each with a tag, closed. */
export async function written(folder: string): Promise<RowMaker> {
  const store = new ParquetStore(folder, { threads: 1 });
  const run = await claimRows(store, 'brave-otter');
  await store.write(await run.event('started', 1_000).scope(1).tag(1, 0, 'a').scope(2).tag(2, 0, 'b').batch());
  await store.close();
  return run;
}

/** The answer of a plain DuckDB that has run the store's `open.sql`. */
export async function plainly(sql: string, openSql: string, before = ''): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    await connection.run(before + readFileSync(openSql, 'utf8'));
    return (await connection.runAndReadAll(sql)).getRowsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** The code that a promise is rejected with; null where it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => null,
    (error: { code?: unknown }) => error.code,
  );
}
