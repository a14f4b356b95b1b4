import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type TableName, tableNames } from '../src/schema.ts';
import type { Tables } from '../src/storage/tables.ts';
import { ParquetStorage } from '../src/storage/parquet.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { claimRows, type RowMaker } from './store-rows.ts';

/** A storage that is closed when the running test has finished. */
export function storageIn(folder: string): ParquetStorage {
  const storage = new ParquetStorage(folder, { threads: 1 });
  onTestFinished(() => storage.close());
  return storage;
}

/** A store that is closed when the running test has finished. */
export function storeIn(folder: string): ParquetStore {
  const store = new ParquetStore(folder, { threads: 1 });
  onTestFinished(() => store.close());
  return store;
}

/**
 * Writes a run of so many batches into a store, each of two scopes with a row in every table, and a tag and a log of the run itself.
 * It ends where that is said: the store then merges its segments.
 */
export async function writeRun(store: ParquetStore, slug: string, batches: number, { ends = false } = {}): Promise<RowMaker> {
  const run = await claimRows(store, slug);
  run
    .event('started', 1_000 + run.number)
    .tag(0, 0, 'of the run')
    .log(0, 0, 'of the run');
  for (let batch = 1; batch <= batches; batch++) {
    for (const ordinal of [2 * batch - 1, 2 * batch]) {
      run.scope(ordinal).tag(ordinal, 0, 'loss', ordinal).log(ordinal, 0, 'done').edge(ordinal, run.sid(1));
      run.artifact(ordinal, 0, 'data', { text: JSON.stringify({ slug, ordinal }) });
    }
    if (ends && batch === batches) run.event('ended', 2_000 + run.number, { state: 'finished', durationMs: 1_000 });
    await store.write(await run.batch());
  }
  return run;
}

/** Everything that the views show, in an order that does not depend on files. */
export async function everything(storage: Pick<ParquetStorage, 'sql'>): Promise<unknown> {
  return {
    scopes: await storage.sql`SELECT * FROM scopes ORDER BY sid`,
    artifacts: await storage.sql`SELECT * FROM artifacts ORDER BY sid, seq`,
    tags: await storage.sql`SELECT * FROM tags ORDER BY sid, seq`,
    logs: await storage.sql`SELECT * FROM logs ORDER BY sid, seq`,
    edges: await storage.sql`SELECT * FROM edges ORDER BY ALL`,
    runs: await storage.sql`SELECT * FROM runs ORDER BY run_number`,
  };
}

/** How many segments each table has, of those that count. */
export async function segmentCounts(store: ParquetStore): Promise<Readonly<Record<TableName, number>>> {
  const states = await store.maintain((tables: Tables) => tables.states());
  return Object.fromEntries(tableNames.map((table) => [table, states[table].segments.length])) as Record<TableName, number>;
}

/** The names of a table's Parquet files, whether they count or not. */
export function filesOf(folder: string, table: TableName): string[] {
  return readdirSync(join(folder, table)).filter((name) => name.endsWith('.parquet'));
}
