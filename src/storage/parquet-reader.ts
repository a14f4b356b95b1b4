import { join } from 'node:path';
import { type Connection, Database, quoteName } from '../duckdb.ts';
import { columnsOf, type TableName, tableNames } from '../schema.ts';
import { SqlSnapshot } from '../snapshot.ts';
import { rawViewsSql, viewsSql } from '../sql.ts';
import type { Batch, Snapshot, Statement } from '../store.ts';
import type { LogState, Segment } from './delta-log.ts';
import type { DuckDBLimits } from './segment-writer.ts';

/** Every table at one version of its log. `scopes` was taken first and `runs` last, so the others hold at least as much. */
export type LogStates = Readonly<Record<TableName, LogState>>;

/** Two snapshots can be queried at once; more would keep libuv's threads from files. */
const connectionCount = 2;

/** Answers queries over a store's segments with a DuckDB that can reach nothing but the store's folder. */
export class ParquetReader {
  readonly #folder: string;
  readonly #database: Database;
  readonly #connections: readonly Connection[];
  #next = 0;
  #hasFailed = false;

  private constructor(folder: string, database: Database, connections: readonly Connection[]) {
    this.#folder = folder;
    this.#database = database;
    this.#connections = connections;
  }

  /** `states` are any states of the store: to make the views DuckDB has to look at a segment of each table. */
  static async open(folder: string, limits: DuckDBLimits, states: LogStates): Promise<ParquetReader> {
    const database = await Database.open({ ...limits, allowed: [...new Set([folder, pattern(folder)])] });
    try {
      const opened: Connection[] = [];
      for (let count = 0; count < connectionCount; count++) opened.push(await database.connect());
      const [first] = opened as [Connection];
      // A view is bound when it is made, on this connection; each query binds it again, to the files of its own snapshot.
      const { text, values } = pinning((table) => pathsOf(folder, table, states[table].segments.slice(0, 1)), null, null);
      await first.run(text, values);
      await first.script(`${rawViewsSql(sourceOf)}\n${viewsSql()}`);
      return new ParquetReader(folder, database, opened);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /** False once DuckDB has stopped at a fatal error, as an internal error makes it: then it has to be opened again. */
  async isUsable(): Promise<boolean> {
    if (!this.#hasFailed) return true;
    const [first] = this.#connections as [Connection];
    this.#hasFailed = !(await first.run('SELECT 1').then(
      () => true,
      () => false,
    ));
    return !this.#hasFailed;
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
    const segments = (table: TableName): string[] => {
      const all = states[table].segments;
      return pathsOf(this.#folder, table, table === 'scopes' || table === 'runs' ? all : all.filter(committed));
    };
    return new SqlSnapshot({
      connection: this.#connections[this.#next++ % this.#connections.length] as Connection,
      before: [pinning(segments, pending, pendingRuns)],
      release: () => {
        for (const token of [pending, pendingRuns]) if (token !== null) this.#database.unpin(token);
      },
      failed: () => {
        this.#hasFailed = true;
      },
    });
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #pin(batches: readonly Batch[]): bigint | null {
    return batches.length === 0 ? null : this.#database.pin(batches);
  }
}

/**
 * Puts a connection into the state of a snapshot: one variable, which the views read, since each statement costs half a millisecond.
 * `runs` has unflushed batches of its own, for it is written after `scopes`.
 */
function pinning(segments: (table: TableName) => string[], unflushed: bigint | null, unflushedRuns: bigint | null): Statement {
  const fields = tableNames.map((table, index) => `'${table}': $${index + 1}::VARCHAR[]`);
  fields.push(`'unflushed': $${fields.length + 1}::BIGINT`, `'unflushed_runs': $${fields.length + 2}::BIGINT`);
  return {
    text: `SET VARIABLE snapshot = {${fields.join(', ')}}`,
    values: [...tableNames.map(segments), unflushed, unflushedRuns],
  };
}

function sourceOf(table: TableName): string {
  const columns = columnsOf(table)
    .map(([name]) => quoteName(name))
    .join(', ');
  const unflushed = table === 'runs' ? 'unflushed_runs' : 'unflushed';
  return `${columns} FROM read_parquet(getvariable('snapshot').${table})
    UNION ALL SELECT ${columns} FROM batch(getvariable('snapshot').${unflushed}, '${table}')`;
}

function pathsOf(folder: string, table: TableName, segments: readonly Segment[]): string[] {
  return segments.map(({ name }) => pattern(join(folder, table, name)));
}

/** DuckDB takes every path for a pattern, also in a list: `exp[1]` would find the files of a folder `exp1` beside it. */
function pattern(path: string): string {
  return path.replace(/[*?[]/g, '[$&]');
}
