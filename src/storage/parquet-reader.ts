import { join } from 'node:path';
import { type Connection, Database, quoteName } from '../duckdb.ts';
import { columnsOf, type TableName, tableNames } from '../schema.ts';
import { SqlSnapshot } from '../snapshot.ts';
import { rawViewsSql, viewsSql } from '../sql.ts';
import type { Batch, Snapshot, Statement } from '../store.ts';
import { damagedSegment } from './damage.ts';
import type { LogState, Segment } from './delta-log.ts';
import type { DuckDBLimits } from './limits.ts';

/** Every table at one version of its log. `scopes` was taken first and `runs` last, so the others hold at least as much. */
export type LogStates = Readonly<Record<TableName, LogState>>;

/** Answers queries over a store's segments with a DuckDB that can reach nothing but the store's folder. */
export class ParquetReader {
  readonly #folder: string;
  readonly #database: Database;
  readonly #connection: Connection;
  readonly #selects: Connection;

  private constructor(folder: string, database: Database, connection: Connection, selects: Connection) {
    this.#folder = folder;
    this.#database = database;
    this.#connection = connection;
    this.#selects = selects;
  }

  /** `states` are any states of the store: to make the views DuckDB has to look at a segment of each table. */
  static async open(folder: string, limits: DuckDBLimits, states: LogStates): Promise<ParquetReader> {
    const database = await Database.open({ ...limits, allowed: [...new Set([folder, pattern(folder)])] });
    const connection = await database.connect();
    const segments: Segments = (table) => states[table].segments.slice(0, 1);
    try {
      // A view is bound when it is made, on this connection; each query binds it again, to the files of its own snapshot.
      const { text, values } = pinning(folder, segments, null, null);
      await connection.run(text, values);
      await connection.script(`${rawViewsSql(sourceOf)}\n${viewsSql()}`);
      return new ParquetReader(folder, database, connection, await database.connect());
    } catch (error) {
      const explained = await explain(folder, segments, connection, error);
      await database.close();
      throw explained;
    }
  }

  get isUsable(): boolean {
    return this.#database.isUsable;
  }

  /**
   * The store at these versions, and those of the unflushed batches that are not in them. A batch counts as unflushed until `scopes`
   * has it; what its writer has put into other tables by then is left out, or its rows would be seen twice.
   */
  snapshot(states: LogStates, unflushed: readonly Batch[]): Snapshot {
    const { scopes, runs } = states;
    const pending = this.#pin(unflushed.filter(({ id }) => !scopes.has(id)));
    const pendingRuns = this.#pin(unflushed.filter(({ id, tables }) => tables.runs !== undefined && !runs.has(id)));
    const committed = ({ batch }: Segment) => batch === null || scopes.has(batch);
    const segments: Segments = (table) => {
      const all = states[table].segments;
      return table === 'scopes' || table === 'runs' ? all : all.filter(committed);
    };
    return new SqlSnapshot({
      connection: this.#connection,
      selects: this.#selects,
      before: [pinning(this.#folder, segments, pending, pendingRuns)],
      release: () => {
        for (const token of [pending, pendingRuns]) if (token !== null) this.#database.unpin(token);
      },
      explain: (error) => explain(this.#folder, segments, this.#connection, error),
    });
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #pin(batches: readonly Batch[]): bigint | null {
    return batches.length === 0 ? null : this.#database.pin(batches);
  }
}

/** The segments of a state, by table. */
type Segments = (table: TableName) => readonly Segment[];

/**
 * Puts a connection into the state of a snapshot: one variable, which the views read, since each statement costs half a millisecond.
 * `runs` has unflushed batches of its own, for it is written after `scopes`.
 */
function pinning(folder: string, segments: Segments, unflushed: bigint | null, unflushedRuns: bigint | null): Statement {
  const paths = (table: TableName): string[] => segments(table).map(({ name }) => pattern(join(folder, table, name)));
  const fields = tableNames.map((table, index) => `'${table}': $${index + 1}::VARCHAR[]`);
  fields.push(`'unflushed': $${fields.length + 1}::BIGINT`, `'unflushed_runs': $${fields.length + 2}::BIGINT`);
  return {
    text: `SET VARIABLE snapshot = {${fields.join(', ')}}`,
    values: [...tableNames.map(paths), unflushed, unflushedRuns],
  };
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

async function explain(folder: string, segments: Segments, connection: Connection, error: unknown): Promise<unknown> {
  const files = tableNames.flatMap((table) => segments(table).map(({ name }) => join(table, name)));
  const text = 'SELECT max(COLUMNS(*)) FROM read_parquet($1, hive_partitioning = false)';
  return await damagedSegment(folder, files, error, (file) => connection.run(text, [pattern(join(folder, file))]));
}

/** DuckDB takes every path for a pattern, also in a list: `exp[1]` would find the files of a folder `exp1` beside it. */
function pattern(path: string): string {
  return path.replace(/[*?[]/g, '[$&]');
}
