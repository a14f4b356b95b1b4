import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Connection, Database, quoteName } from '../duckdb.ts';
import { columnsOf, type Row, type TableName } from '../schema.ts';
import { settled } from '../settled.ts';
import type { Batch, BatchId, Result, SqlValue } from '../store.ts';
import { readCheckpoint, writeCheckpointSql } from './checkpoint.ts';
import { fingerprint } from './checksum.ts';
import { checkSegments } from './damage.ts';
import type { CheckpointFormat } from './delta-log.ts';
import { isThere, publish, publishIfAbsent, remove, temporaryBeside } from './files.ts';
import { eventColumns, eventsIn } from './heir.ts';
import type { DuckDBLimits } from './limits.ts';
import { patternOf } from './path-pattern.ts';
import { emptySegment, mergedName, type SegmentFile, segmentName } from './segment.ts';
import { statsOfCopy } from './statistics.ts';
import { unwritable } from './unwritable.ts';

/**
 * As old readers understand it (version 1 pages), in row groups that DuckDB reads in parallel. Each thread holds one in memory while
 * segments are merged: of DuckDB's own 122,880 rows that took 80 MB more for a million scopes, for a file 8 % smaller. Level 1 beats 3: a
 * batch is written while the flow waits for the processor, and merged later. DuckDB's own temporary files would match `*.parquet`.
 */
const format =
  'FORMAT parquet, PARQUET_VERSION v1, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 30720, USE_TMP_FILE false, RETURN_STATS true';

/** Writes Parquet segments and checkpoints with a DuckDB of its own, which no SQL of a user ever reaches. */
export class SegmentWriter implements CheckpointFormat {
  readonly #folder: string;
  readonly #database: Database;
  readonly #connection: Connection;
  /** What was written of batches that are not committed yet: an attempt that failed later need not write it again. */
  readonly #written = new Map<string, SegmentFile>();

  private constructor(folder: string, database: Database, connection: Connection) {
    this.#folder = folder;
    this.#database = database;
    this.#connection = connection;
  }

  static async open(folder: string, limits: DuckDBLimits): Promise<SegmentWriter> {
    const database = await Database.open({ ...limits, allowed: [...new Set([folder, patternOf(folder)])] });
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
        const key = keyOf(batch.id, table);
        const before = this.#written.get(key);
        const isLeft = before !== undefined && (await isThere(join(this.#folder, table, before.name)));
        const segment = isLeft
          ? before
          : await this.#copy(table, segmentName(batch.id), publish, 'batch($1, $2)', [token, table]);
        this.#written.set(key, segment);
        return [table, segment];
      });
      return new Map(await settled(written));
    } finally {
      this.#database.unpin(token);
    }
  }

  /** Forgets what was written of a batch, which is committed now. */
  committed(id: BatchId): void {
    for (const key of this.#written.keys()) if (key.startsWith(keyOf(id, ''))) this.#written.delete(key);
  }

  /**
   * Writes the rows of several segments into one, in this order, but for those of some runs; null where that leaves none. Durable when
   * it resolves.
   *
   * @throws MarqueError STORE_DAMAGED where one is not as it was written: its damage would get a fitting checksum.
   */
  async merge(
    table: TableName,
    segments: readonly SegmentFile[],
    withoutRuns: readonly number[] = [],
  ): Promise<SegmentFile | null> {
    await checkSegments(join(this.#folder, table), segments);
    const paths = segments.map(({ name }) => patternOf(join(this.#folder, table, name)));
    const runs = withoutRuns.map(BigInt);
    const runNumber = runNumberIn(table);
    const source = `read_parquet($1, hive_partitioning = false)
      WHERE ${runNumber} NOT IN (SELECT unnest($2::BIGINT[])) OR ${runNumber} IS NULL`;
    const merged = await this.#copy(table, mergedName(), publish, source, [paths, runs]);
    if (merged.rows !== 0) return merged;
    await remove(join(this.#folder, table, merged.name));
    return null;
  }

  /**
   * The events in these segments of the table `runs`, of runs whose latest start is not before their latest end.
   *
   * @throws MarqueError STORE_DAMAGED where one is not as it was written: what is concluded from its events would stay.
   */
  async openEvents(segments: readonly SegmentFile[]): Promise<readonly Row<'runs'>[]> {
    await checkSegments(join(this.#folder, 'runs'), segments);
    const text = `SELECT ${eventColumns} FROM read_parquet($1, hive_partitioning = false)
      WHERE run_number IN (
        SELECT run_number FROM read_parquet($1, hive_partitioning = false) GROUP BY run_number
        HAVING max(happened_at) FILTER (event IN ('started', 'resumed'))
          >= coalesce(max(happened_at) FILTER (event NOT IN ('started', 'resumed')), '-infinity')
          AND NOT bool_or(event = 'deleted')
      )`;
    return eventsIn(await this.ask(text, 'runs', namesOf(segments)));
  }

  /** The runs that anything has been said about. */
  async runNumbers(segments: readonly SegmentFile[]): Promise<ReadonlySet<number>> {
    const text = 'SELECT DISTINCT run_number FROM read_parquet($1, hive_partitioning = false)';
    return new Set((await this.ask(text, 'runs', namesOf(segments))).values[0] as number[]);
  }

  /** Makes sure that a table has its segment without rows. */
  async writeEmpty(table: TableName): Promise<SegmentFile> {
    // Its checksum goes into a log entry, and of two processes that make it only one's file stays: so it is never replaced.
    return await this.#copy(table, emptySegment, publishIfAbsent, 'batch($1, $2)', [null, table]);
  }

  /** The statistics, length and checksum of a segment that is there, as if it were written now. Its rows are read. */
  async describe(table: TableName, name: string): Promise<SegmentFile> {
    const path = join(this.#folder, table, name);
    const copy = await this.#copy(table, mergedName(), publish, 'read_parquet($1, hive_partitioning = false)', [patternOf(path)]);
    await remove(join(this.#folder, table, copy.name));
    return { ...copy, name, ...(await fingerprint(path)) };
  }

  /** One SELECT of ours over segments of a table, which `$1` lists. */
  async ask(text: string, table: TableName, names: readonly string[], values: readonly SqlValue[] = []): Promise<Result> {
    const paths = names.length === 0 ? [await this.#withoutRows(table)] : names.map((name) => join(this.#folder, table, name));
    return await this.#connection.run(text, [paths.map(patternOf), ...values]);
  }

  /** `read_parquet` wants at least one file. This one is outside of the store. */
  async #withoutRows(table: TableName): Promise<string> {
    const path = join(this.#database.temporaryFolder, `${table}.parquet`);
    await this.#connection.run(`COPY (SELECT ${columnListOf(table)} FROM batch(NULL, '${table}')) TO $1 (FORMAT parquet)`, [
      path,
    ]);
    return path;
  }

  /** The numbers of the runs that have rows in a segment, in order. */
  async runsIn(table: TableName, name: string): Promise<readonly number[]> {
    const text = `SELECT DISTINCT ${runNumberIn(table)} AS number FROM read_parquet($1, hive_partitioning = false) WHERE number IS NOT NULL ORDER BY number`;
    return (await this.ask(text, table, [name])).values[0] as number[];
  }

  async readCheckpoint(path: string): Promise<string> {
    return await readCheckpoint(this.#connection, path);
  }

  async writeCheckpoint(lines: string, parquet: string): Promise<void> {
    await this.#connection.run(writeCheckpointSql, [patternOf(lines), parquet]);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  async #copy(
    table: TableName,
    name: string,
    place: (temporary: string, path: string) => Promise<unknown>,
    source: string,
    values: readonly SqlValue[],
  ): Promise<SegmentFile> {
    const path = join(this.#folder, table, name);
    const temporary = temporaryBeside(path);
    try {
      const text = `COPY (SELECT ${columnListOf(table)} FROM ${source}) TO $${values.length + 1} (${format})`;
      const { columns: said, values: rows } = await this.#connection.run(text, [...values, temporary]);
      const column = (wanted: string): unknown => rows[said.findIndex((one) => one.name === wanted)]?.[0];
      const statistics = column('column_statistics') as ReadonlyMap<string, ReadonlyMap<string, string>>;
      await place(temporary, path);
      return { name, rows: column('count') as number, stats: statsOfCopy(table, statistics), ...(await fingerprint(path)) };
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined); // the first error is the one to report
      throw unwritable(this.#folder, error);
    }
  }
}

/** SQL for the run that a row belongs to. */
function runNumberIn(table: TableName): string {
  return table === 'runs' ? 'run_number' : 'sid // 4294967296';
}

/** The columns of a table, in file order, for a SELECT. */
function columnListOf(table: TableName): string {
  return columnsOf(table)
    .map(([column]) => quoteName(column))
    .join(', ');
}

function keyOf({ writer, number }: BatchId, table: TableName | ''): string {
  return `${writer} ${number} ${table}`;
}

function namesOf(segments: readonly SegmentFile[]): readonly string[] {
  return segments.map(({ name }) => name);
}
