import { join } from 'node:path';
import { type Connection, Database } from '../duckdb.ts';
import { MarqueError, messageOf, show } from '../error.ts';
import type { TableReading } from '../explanation.ts';
import type { Extent, SidRange } from '../extent.ts';
import { type TableName, tableNames } from '../schema.ts';
import { SqlSnapshot } from '../snapshot.ts';
import type { Batch, Snapshot } from '../store.ts';
import { lapsedRuns } from './claims.ts';
import { damagedSegment } from './damage.ts';
import { readCheckpoint } from './checkpoint.ts';
import { openDeletions } from './deletion.ts';
import { type CheckpointFormat, DeltaLog } from './delta-log.ts';
import { isThere } from './files.ts';
import type { DuckDBLimits } from './limits.ts';
import { patternOf } from './path-pattern.ts';
import { highestRun, mayHold } from './pruning.ts';
import type { Mortal } from './reopening.ts';
import { SegmentChecks, type Segments } from './segment-checks.ts';
import { pinning, SegmentViews } from './segment-views.ts';
import type { LogState, Segment } from './table-state.ts';
import { runRangeOf } from './tables.ts';

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
  /** Of its own: neither waits for a query. */
  readonly #checkpoints: Connection;
  readonly #views: SegmentViews;
  readonly #checks: SegmentChecks;

  private constructor(folder: string, database: Database, connections: readonly [Connection, Connection, Connection]) {
    this.#folder = folder;
    this.#database = database;
    [this.#connection, this.#selects, this.#checkpoints] = connections;
    this.#views = new SegmentViews(this.#checkpoints, database.temporaryFolder);
    this.#checks = new SegmentChecks(folder);
  }

  /** `readable` as for a `Database`. */
  static async open(folder: string, limits: DuckDBLimits, readable: readonly string[] | 'any' = []): Promise<ParquetReader> {
    const database = await Database.open({ ...limits, allowed: [...new Set([folder, patternOf(folder)])], readable });
    try {
      const connections = [await database.connect(), await database.connect(), await database.connect()] as const;
      return new ParquetReader(folder, database, connections);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  async readCheckpoint(path: string): Promise<string> {
    return await readCheckpoint(this.#checkpoints, path);
  }

  get isUsable(): boolean {
    return this.#database.isUsable;
  }

  /**
   * The store at these versions, and those of the unflushed batches that are not in them. A batch counts as unflushed until `scopes`
   * has it; what its writer has put into other tables by then is left out, or its rows would be seen twice. Of a run that is deleted, no
   * scope is there any more, also where its rows have not gone yet.
   *
   * @param damaged why the state of a table is not known; only queries that depend on it fail
   */
  snapshot(states: LogStates, unflushed: readonly Batch[], damaged: ReadonlyMap<TableName, MarqueError> = new Map()): Snapshot {
    const { scopes, runs } = states;
    const waiting = unflushed.filter(({ id }) => !scopes.has(id));
    const pending = this.#pin(waiting);
    const waitingRuns = unflushed.filter(({ id, tables }) => tables.runs !== undefined && !runs.has(id));
    const pendingRuns = this.#pin(waitingRuns);
    const unflushedRows = (table: TableName) =>
      (table === 'runs' ? waitingRuns : waiting).reduce((sum, { tables }) => sum + (tables[table]?.numRows ?? 0), 0);
    // Asked last, and of few: a batch is told by the name of its segment.
    const counts = (table: TableName, { batch }: Segment) =>
      table === 'scopes' || table === 'runs' || batch === null || scopes.has(batch);
    const isWithin = (extent: Extent, table: TableName) => (segment: Segment) =>
      mayHold(table, segment.stats, extent) && counts(table, segment);
    const within = (extent: Extent, table: TableName) => states[table].segments.filter(isWithin(extent, table));
    const all = (): Segments =>
      new Map(tableNames.map((table) => [table, states[table].segments.filter((segment) => counts(table, segment))]));
    const deleted = openDeletions(runs.segments).filter(
      (run) => waiting.length > 0 || scopes.segments.some((segment) => mayHoldRun(segment, run)),
    );
    const require = ({ tables }: Extent) => {
      // Which batches count in the others is for `scopes` to say.
      const needed = [...tables].some((table) => table !== 'runs') ? new Set<TableName>(['scopes', ...tables]) : tables;
      for (const table of needed) if (damaged.has(table)) throw damaged.get(table) as MarqueError;
    };
    return new SqlSnapshot({
      connection: this.#connection,
      selects: this.#selects,
      before: async (extent, signal) => {
        require(extent);
        const needed: Segments = new Map(Array.from(extent.tables, (table) => [table, within(extent, table)]));
        await this.#check(needed, signal);
        const isWithoutFiles = [...extent.tables].some((table) => needed.get(table)?.length === 0);
        const example = isWithoutFiles ? [await this.#views.example()] : [];
        const pathsOf = (table: TableName) => this.#pathsOf(needed, table, example);
        const pinned = pinning(pathsOf, pending, pendingRuns, deleted, hullOf(extent.sids));
        await this.#views.make(extent, pinned).catch(async (error: unknown) => {
          throw await this.#explain(all(), error);
        });
        return [pinned];
      },
      newestRun: (extent) => {
        require(extent);
        const newest = newestRun(extent.tables.has('scopes') ? within(extent, 'scopes') : []);
        return newest === -1 && waiting.length > 0 ? null : newest;
      },
      mayHold: (table, extent) =>
        damaged.has(table) ||
        waiting.some(({ tables }) => tables[table] !== undefined) ||
        states[table].segments.some(isWithin(extent, table)),
      reads: (extent) =>
        tableNames
          .filter((table) => extent.tables.has(table))
          .map((table): TableReading => {
            const [some, every] = [within(extent, table), states[table].segments.filter((segment) => counts(table, segment))];
            const [read, all] = [rowsIn(some), rowsIn(every)];
            return {
              table,
              segments: { read: some.map(({ name }) => name), all: every.length },
              rows: read === null || all === null ? null : { read, all },
              unflushed: unflushedRows(table),
            };
          }),
      lapsed: (live) => lapsedRuns(join(this.#folder, '_runs'), live),
      release: () => {
        for (const token of [pending, pendingRuns]) if (token !== null) this.#database.unpin(token);
      },
      explain: (error) => this.#explain(all(), error),
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

  /** The files of a table; `example` where there are none. */
  #pathsOf(segments: Segments, table: TableName, example: readonly string[]): readonly string[] {
    const paths = (segments.get(table) ?? []).map(({ name }) => patternOf(join(this.#folder, table, name)));
    return paths.length === 0 ? example : paths;
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

/** From the first key to the last; null for all. */
function hullOf(sids: Extent['sids']): SidRange | null {
  return sids === null ? null : { first: sids[0]?.first ?? 0, last: sids.at(-1)?.last ?? -1 };
}

/** Null where another program has written one of them and does not say. */
function rowsIn(segments: readonly Segment[]): number | null {
  return segments.reduce<number | null>((sum, { rows }) => (sum === null || rows === null ? null : sum + rows), 0);
}

function mayHoldRun(segment: Segment, run: number): boolean {
  if (segment.rows === 0) return false;
  const range = runRangeOf('scopes', segment);
  return range === null || (range.first <= run && run <= range.last);
}

/** The highest number of a run with rows in these segments: -1 where there are none, null where nobody knows. */
function newestRun(segments: readonly Segment[]): number | null {
  const highest = segments.map(({ stats }) => highestRun(stats));
  return highest.reduce((a, b) => (a === null || b === null ? null : Math.max(a, b)), -1);
}
