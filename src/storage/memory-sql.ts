import type { Connection, Database } from '../duckdb.ts';
import { SqlSnapshot } from '../snapshot.ts';
import { rawViewsSql, viewsSql } from '../sql.ts';
import type { Batch, Snapshot } from '../store.ts';

/** An in-memory DuckDB that answers SELECTs over batches, for storages that have no database. Opened by the first SELECT. */
export class MemorySql {
  #opening: Promise<{ database: Database; connection: Connection }> | null = null;

  /** The views over exactly these batches, which stay pinned until it is released. */
  async snapshot(batches: readonly Batch[]): Promise<Snapshot> {
    this.#opening ??= open();
    const { database, connection } = await this.#opening;
    const token = database.pin(batches);
    return new SqlSnapshot({
      connection,
      before: [{ text: 'SET VARIABLE unflushed = $1', values: [token] }],
      release: () => database.unpin(token),
    });
  }

  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => null); // whoever asked has been told
    await opened?.database.close();
  }
}

async function open(): Promise<{ database: Database; connection: Connection }> {
  const { Database } = await import('../duckdb.ts');
  const database = await Database.open();
  const connection = await database.connect();
  await connection.script(`${rawViewsSql((table) => `* FROM batch(getvariable('unflushed'), '${table}')`)}\n${viewsSql()}`);
  return { database, connection };
}
