import type { Connection, Database, DatabaseOptions } from '../duckdb.ts';
import { SqlSnapshot, type SqlSnapshotOptions } from '../snapshot.ts';
import { rawViewsSql, viewsSql } from '../sql.ts';
import type { Batch, Snapshot } from '../store.ts';
import { type DuckDBLimits, readableFolders, type SqlFiles } from './limits.ts';
import { type Mortal, Reopening } from './reopening.ts';

/** An in-memory DuckDB that answers SELECTs over batches, for storages that have no database. Opened by the first SELECT. */
export class MemorySql {
  readonly #limits: DuckDBLimits & Pick<DatabaseOptions, 'readable'>;
  readonly #lapsed: SqlSnapshotOptions['lapsed'];
  readonly #views = new Reopening<BatchViews>();

  /** `lapsed` as for a `SqlSnapshot`. */
  constructor(options: DuckDBLimits & SqlFiles = {}, lapsed?: SqlSnapshotOptions['lapsed']) {
    const { memoryLimit, threads } = options;
    this.#limits = { memoryLimit, threads, readable: readableFolders(options) };
    this.#lapsed = lapsed;
  }

  /** The views over exactly these batches, which stay pinned until it is released. */
  async snapshot(batches: readonly Batch[]): Promise<Snapshot> {
    const views = await this.#views.get(() => BatchViews.open(this.#limits));
    return views.snapshot(batches, this.#lapsed);
  }

  async close(): Promise<void> {
    await this.#views.close();
  }
}

/** The database of {@link MemorySql}, open. */
class BatchViews implements Mortal {
  readonly #database: Database;
  readonly #connection: Connection;

  private constructor(database: Database, connection: Connection) {
    this.#database = database;
    this.#connection = connection;
  }

  static async open(limits: DatabaseOptions): Promise<BatchViews> {
    const { Database } = await import('../duckdb.ts');
    const database = await Database.open(limits);
    try {
      const connection = await database.connect();
      await connection.script(`${rawViewsSql((table) => `* FROM batch(getvariable('unflushed'), '${table}')`)}\n${viewsSql()}`);
      return new BatchViews(database, connection);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  snapshot(batches: readonly Batch[], lapsed: SqlSnapshotOptions['lapsed']): Snapshot {
    const token = this.#database.pin(batches);
    return new SqlSnapshot({
      connection: this.#connection,
      selects: this.#connection,
      before: [{ text: 'SET VARIABLE unflushed = $1', values: [token] }],
      lapsed,
      release: () => this.#database.unpin(token),
    });
  }

  get isUsable(): boolean {
    return this.#database.isUsable;
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}
