import { join } from 'node:path';
import { type Connection, Database, quoteName } from '../duckdb.ts';
import { MarqueError, messageOf, show } from '../error.ts';
import type { Extent } from '../extent.ts';
import { columnsOf, type TableName, tableNames } from '../schema.ts';
import { SqlSnapshot } from '../snapshot.ts';
import { rawViewsSql, schemaSql, viewsSql } from '../sql.ts';
import type { Batch, Snapshot, Statement } from '../store.ts';
import { lapsedRuns } from './claims.ts';
import { damagedSegment } from './damage.ts';
import { readCheckpoint } from './checkpoint.ts';
import { type CheckpointFormat, DeltaLog } from './delta-log.ts';
import { isThere } from './files.ts';
import type { DuckDBLimits } from './limits.ts';
import { patternOf } from './path-pattern.ts';
import { highestRun, mayHold } from './pruning.ts';
import type { Mortal } from './reopening.ts';
import { SegmentChecks, type Segments } from './segment-checks.ts';
import type { LogState, Segment } from './table-state.ts';

/** Every table at one version of its log. `scopes` was taken first and `runs` last, so the others hold at least as much. */
export type LogStates = Readonly<Record<TableName, LogState>>;

/**
 * Answers queries over a store's segments with a DuckDB that can reach nothing but the store's folder. Before a query only the segments are
 * opened that it can depend on, and each is checked against the log the first time.
 */
export class ParquetReader implements Pick<CheckpointFormat, 'readCheckpoint'>, Mortal {
  readonly #folder: string;
  readonly #database: Database;
  readonly #connection: Connection;
  readonly #selects: Connection;
  /** Reads them while the views are made. */
  readonly #checkpoints: Connection;
  readonly #checks: SegmentChecks;
  /** Resolves when the views are there, to a file without rows that has the columns of every table. */
  readonly #example: Promise<string>;
  #isWhole = true;

  private constructor(folder: string, database: Database, connections: readonly [Connection, Connection, Connection]) {
    this.#folder = folder;
    this.#database = database;
    [this.#connection, this.#selects, this.#checkpoints] = connections;
    this.#checks = new SegmentChecks(folder);
    this.#example = this.#makeViews();
    this.#example.catch(() => (this.#isWhole = false)); // whoever needs them is told
  }

  static async open(folder: string, limits: DuckDBLimits): Promise<ParquetReader> {
    const database = await Database.open({ ...limits, allowed: [...new Set([folder, patternOf(folder)])] });
    try {
      return new ParquetReader(folder, database, [await database.connect(), await database.connect(), await database.connect()]);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  async readCheckpoint(path: string): Promise<string> {
    return await readCheckpoint(this.#checkpoints, path);
  }

  get isUsable(): boolean {
    return this.#isWhole && this.#database.isUsable;
  }

  /**
   * The store at these versions, and those of the unflushed batches that are not in them. A batch counts as unflushed until `scopes`
   * has it; what its writer has put into other tables by then is left out, or its rows would be seen twice.
   */
  snapshot(states: LogStates, unflushed: readonly Batch[]): Snapshot {
    const { scopes, runs } = states;
    const waiting = unflushed.filter(({ id }) => !scopes.has(id));
    const pending = this.#pin(waiting);
    const pendingRuns = this.#pin(unflushed.filter(({ id, tables }) => tables.runs !== undefined && !runs.has(id)));
    const committed = ({ batch }: Segment) => batch === null || scopes.has(batch);
    const segmentsOf = (table: TableName): readonly Segment[] => {
      const all = states[table].segments;
      return table === 'scopes' || table === 'runs' ? all : all.filter(committed);
    };
    const segments: Segments = new Map(tableNames.map((table) => [table, segmentsOf(table)]));
    return new SqlSnapshot({
      connection: this.#connection,
      selects: this.#selects,
      before: async (extent, signal) => {
        const needed = within(extent, segments);
        await this.#check(needed, signal);
        const example = await this.#example;
        return [pinning((table) => this.#pathsOf(needed, table) ?? [example], pending, pendingRuns)];
      },
      newestRun: (extent) => {
        const newest = newestRun(within(extent, segments).get('scopes') ?? []);
        return newest === -1 && waiting.length > 0 ? null : newest;
      },
      lapsed: (live) => lapsedRuns(join(this.#folder, '_runs'), live),
      release: () => {
        for (const token of [pending, pendingRuns]) if (token !== null) this.#database.unpin(token);
      },
      explain: (error) => this.#explain(segments, error),
    });
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #pin(batches: readonly Batch[]): bigint | null {
    return batches.length === 0 ? null : this.#database.pin(batches);
  }

  async #check(segments: Segments, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#checks.check(segments, signal);
    } catch (error) {
      throw await this.#sinceRemoved(segments, error);
    }
  }

  /**
   * A view is bound when it is made, and again by each query, then to the files of its own snapshot. Binding views over views over files takes
   * three times as long as over tables, so they are made over empty tables, which then give way to views over files.
   */
  async #makeViews(): Promise<string> {
    const connection = this.#connection;
    const example = await writeExample(connection, this.#database.temporaryFolder);
    const { text, values } = pinning(() => [example], null, null);
    await connection.run(text, values);
    const dropped = tableNames.map((table) => `DROP TABLE raw.${table};`);
    await connection.script([schemaSql(), viewsSql(), ...dropped, rawViewsSql(sourceOf)].join('\n'));
    return example;
  }

  /** Null where there are none, though DuckDB reads at least one file a table. */
  #pathsOf(segments: Segments, table: TableName): readonly string[] | null {
    const paths = (segments.get(table) ?? []).map(({ name }) => patternOf(join(this.#folder, table, name)));
    return paths.length === 0 ? null : paths;
  }

  async #explain(segments: Segments, error: unknown): Promise<unknown> {
    const files = [...segments].flatMap(([table, all]) => all.map(({ name }) => join(table, name)));
    const text = 'SELECT max(COLUMNS(*)) FROM read_parquet($1, hive_partitioning = false)';
    const read = (file: string) => this.#connection.run(text, [patternOf(join(this.#folder, file))]);
    return await this.#sinceRemoved(segments, await damagedSegment(this.#folder, files, error, read));
  }

  /** The error for a segment that is missing, in other words where that is no damage: where it has left the table since. */
  async #sinceRemoved(segments: Segments, error: unknown): Promise<unknown> {
    if (!(error instanceof MarqueError && error.code === 'STORE_DAMAGED')) return error;
    const said = `${messageOf(error)} ${messageOf(error.cause)}`;
    for (const [table, all] of segments) {
      const named = all.find(({ name }) => said.includes(name));
      if (named === undefined) continue;
      const path = join(this.#folder, table, named.name);
      if (await isThere(path)) return error;
      const { segments: current } = await new DeltaLog(table, join(this.#folder, table), this).refresh();
      if (current.some(({ name }) => name === named.name)) return error;
      const what = `${show(path, 300)} is missing: this state of the store is older than the retention of a vacuum, which has removed the file`;
      return new MarqueError('STORE_DAMAGED', `${what}. Ask for a later state`, { cause: error });
    }
    return error;
  }
}

/** Those segments that can hold something of an extent. */
function within(extent: Extent, segments: Segments): Segments {
  return new Map(Array.from(segments, ([table, all]) => [table, all.filter(({ stats }) => mayHold(table, stats, extent))]));
}

/** The highest number of a run with rows in these segments: -1 where there are none, null where nobody knows. */
function newestRun(segments: readonly Segment[]): number | null {
  const highest = segments.map(({ stats }) => highestRun(stats));
  return highest.reduce((a, b) => (a === null || b === null ? null : Math.max(a, b)), -1);
}

/**
 * Puts a connection into the state of a snapshot: one variable, which the views read, since each statement costs half a millisecond.
 * `runs` has unflushed batches of its own, for it is written after `scopes`.
 */
function pinning(
  pathsOf: (table: TableName) => readonly string[],
  unflushed: bigint | null,
  unflushedRuns: bigint | null,
): Statement {
  const fields = tableNames.map((table, index) => `'${table}': $${index + 1}::VARCHAR[]`);
  fields.push(`'unflushed': $${fields.length + 1}::BIGINT`, `'unflushed_runs': $${fields.length + 2}::BIGINT`);
  const values = [...tableNames.map(pathsOf), unflushed, unflushedRuns];
  return { text: `SET VARIABLE snapshot = {${fields.join(', ')}}`, values };
}

/** A Parquet file with the columns of all tables and no rows. Making one for each table takes six times as long. */
async function writeExample(connection: Connection, folder: string): Promise<string> {
  const path = join(folder, 'example.parquet');
  const columns = new Map(tableNames.flatMap((table) => columnsOf(table).map(([name]) => [name, `${table}.${quoteName(name)}`])));
  const tables = tableNames.map((table) => `batch(NULL, '${table}') AS ${table}`);
  await connection.run(`COPY (SELECT ${[...columns.values()].join(', ')} FROM ${tables.join(', ')}) TO $1 (FORMAT parquet)`, [
    path,
  ]);
  return path;
}

/** A folder called `run=5` on the way to the store is just a folder: DuckDB would take it for the value of a column. */
function sourceOf(table: TableName): string {
  const columns = columnsOf(table)
    .map(([name]) => quoteName(name))
    .join(', ');
  const unflushed = table === 'runs' ? 'unflushed_runs' : 'unflushed';
  return `${columns} FROM read_parquet(getvariable('snapshot').${table}, hive_partitioning = false)
    UNION ALL SELECT ${columns} FROM batch(getvariable('snapshot').${unflushed}, '${table}')`;
}
