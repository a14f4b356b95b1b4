import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Connection, Database, quoteName } from '../duckdb.ts';
import { columnsOf, type TableName } from '../schema.ts';
import { settled } from '../settled.ts';
import type { Batch } from '../store.ts';
import type { SegmentFile } from './delta-entry.ts';
import { segmentName } from './delta-log.ts';
import { publish, publishIfAbsent, temporaryBeside } from './files.ts';
import type { DuckDBLimits } from './limits.ts';
import { emptySegment } from './parquet-folder.ts';
import { unwritable } from './unwritable.ts';

/**
 * As old readers understand it (version 1 pages), in row groups that DuckDB reads in parallel. Level 1 beats 3: a batch is written
 * while the flow waits for the processor, and merged later. DuckDB's own temporary files would match `*.parquet`.
 */
const format =
  'FORMAT parquet, PARQUET_VERSION v1, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 122880, USE_TMP_FILE false';

/** Writes Parquet segments with a DuckDB of its own, which no SQL of a user ever reaches. */
export class SegmentWriter {
  readonly #folder: string;
  readonly #database: Database;
  readonly #connection: Connection;

  private constructor(folder: string, database: Database, connection: Connection) {
    this.#folder = folder;
    this.#database = database;
    this.#connection = connection;
  }

  static async open(folder: string, limits: DuckDBLimits): Promise<SegmentWriter> {
    const database = await Database.open({ ...limits, allowed: [folder] });
    return new SegmentWriter(folder, database, await database.connect());
  }

  get isUsable(): boolean {
    return this.#database.isUsable;
  }

  /** Writes the rows that a batch has of some tables, one segment a table. They are durable when it resolves. */
  async write(batch: Batch, tables: readonly TableName[]): Promise<ReadonlyMap<TableName, SegmentFile>> {
    const token = this.#database.pin([batch]);
    try {
      const written = tables.map(async (table): Promise<[TableName, SegmentFile]> => {
        const path = join(this.#folder, table, segmentName(batch.id));
        const rows = batch.tables[table]?.numRows ?? 0;
        const bytes = await this.#copy(token, table, path, async (temporary) => await publish(temporary, path));
        return [table, { name: segmentName(batch.id), bytes, rows }];
      });
      return new Map(await settled(written));
    } finally {
      this.#database.unpin(token);
    }
  }

  /** Makes sure that a table has its segment without rows. */
  async writeEmpty(table: TableName): Promise<SegmentFile> {
    const path = join(this.#folder, table, emptySegment);
    // Its size goes into a log entry, and of two processes that make it only one's file stays: so it is never replaced.
    const bytes = await this.#copy(null, table, path, async (temporary) => await publishIfAbsent(temporary, path));
    return { name: emptySegment, bytes, rows: 0 };
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  async #copy(
    token: bigint | null,
    table: TableName,
    path: string,
    place: (temporary: string) => Promise<unknown>,
  ): Promise<number> {
    const columns = columnsOf(table).map(([name]) => quoteName(name));
    const temporary = temporaryBeside(path);
    try {
      await this.#connection.run(`COPY (SELECT ${columns.join(', ')} FROM batch($1, $2)) TO $3 (${format})`, [
        token,
        table,
        temporary,
      ]);
      await place(temporary);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined); // the first error is the one to report
      throw unwritable(this.#folder, error);
    }
    return (await stat(path)).size;
  }
}
