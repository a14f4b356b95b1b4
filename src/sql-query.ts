import { type ColumnarResult, eachOf, rowsOf } from './column.ts';
import { MarqueError, show } from './error.ts';
import { Lazy } from './lazy.ts';
import { checkOptionNames } from './options.ts';
import { Pace } from './pace.ts';
import type { ResultTable } from './result-table.ts';
import type { Explanation } from './explanation.ts';
import type { Result, Snapshot, SqlAsking, Statement } from './store.ts';

/** What asks a snapshot first, and then says what to select from it. */
export type Composition = (snapshot: Snapshot) => Promise<Statement>;

/** How a SELECT is to be answered. */
export interface SqlOptions {
  /** When it aborts, the query stops, also in the midst, and rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called some ten times a second while DuckDB works, with the part of the work that is done, above 0 and up to 1, and the milliseconds that it has
   * taken so far. The part is null as long as DuckDB does not know it. That is often so to the end: it counts the rows of a table or of files, but
   * nothing below a UNION ALL, by which most views add what is not flushed yet. Where it throws, the query stops and rejects with that.
   */
  readonly onProgress?: ((fraction: number | null, elapsedMs: number) => void) | undefined;
}

/**
 * One SELECT over a storage's views, run when it is asked for its answer, and again each time it is asked. Await it for rows
 * as objects, iterate it, or turn it into an Arrow table.
 */
export class SqlQuery<Row extends object = Record<string, unknown>> extends Lazy<Row> {
  readonly #open: () => Promise<Snapshot>;
  readonly #statement: Statement | Composition;
  readonly #asking: SqlAsking;
  /** @internal The query that this one was made from with other options, or itself. */
  readonly origin: SqlQuery<Row>;

  constructor(
    open: () => Promise<Snapshot>,
    statement: Statement | Composition,
    asking: SqlAsking = {},
    origin: SqlQuery<Row> | null = null,
  ) {
    super();
    this.#open = open;
    this.#statement = statement;
    this.#asking = asking;
    this.origin = origin ?? this;
  }

  /**
   * The same query with other options; this one stays as it is.
   *
   * ```ts
   * const rows = await storage.sql`SELECT …`.with({ signal: AbortSignal.timeout(5_000), onProgress: (part, ms) => show(part, ms) });
   * ```
   *
   * @throws MarqueError `OPTION_INVALID`
   */
  with(options: SqlOptions): SqlQuery<Row> {
    checkOptionNames(options, ['signal', 'onProgress']);
    const { signal, onProgress } = options;
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new MarqueError('OPTION_INVALID', `signal is ${show(signal)}: give an AbortSignal`);
    if (onProgress !== undefined && typeof onProgress !== 'function')
      throw new MarqueError('OPTION_INVALID', `onProgress is ${show(onProgress)}: give a function`);
    return new SqlQuery(this.#open, this.#statement, { ...this.#asking, ...options }, this.origin);
  }

  /** Row by row; each is made when it is asked for. The result itself is in memory by then, as columns. */
  override async *[Symbol.asyncIterator](): AsyncGenerator<Row, void, undefined> {
    const pace = new Pace();
    for (const row of rowsOf(await this.#columns())) {
      yield row as Row;
      if (pace.isDue) await pace.rest();
      this.#asking.signal?.throwIfAborted();
    }
  }

  /**
   * The whole result, by column, with the names and DuckDB types of its columns. Of several columns with one name the later ones
   * get a number: `sid`, `sid_1`.
   */
  async result(): Promise<Result> {
    const { columns, rowCount } = await this.#columns();
    const values: unknown[][] = [];
    const pace = new Pace();
    for (const column of columns) {
      const all: unknown[] = [];
      for (const value of eachOf(column)) {
        all.push(value);
        if (!pace.isDue) continue;
        await pace.rest();
        this.#asking.signal?.throwIfAborted();
      }
      values.push(all);
    }
    return { columns: columns.map(({ name, type }) => ({ name, type })), values, rowCount };
  }

  /**
   * The result as an Arrow table, without a copy. Its types follow from DuckDB's, whatever the rows: dates and timestamps become milliseconds,
   * integers of up to 32 bits `Int32`, larger ones `Int64` (`Uint64` if unsigned), DECIMAL `Float64`; TIME, INTERVAL, UUID and BIT are texts, lists,
   * structs and maps what Arrow has for them, a UNION a struct of its members. VARCHAR is a dictionary where at least half of its texts repeat another.
   * @throws MarqueError `SQL_INVALID` also where a HUGEINT, such as a sum, needs more than 64 bits
   */
  async toArrow(): Promise<ResultTable> {
    const result = await this.#columns();
    const { tableOf } = await import('./arrow-table.ts');
    const table = tableOf(result);
    await new Pace().rest();
    this.#asking.signal?.throwIfAborted();
    return table;
  }

  /** How it is answered: what runs, and which part of the store it reads. Nothing of it is run. */
  async explain(): Promise<Explanation> {
    return await this.#ask(async (snapshot) => snapshot.explain(await this.statementIn(snapshot)));
  }

  /** @internal The statement that answers it from a snapshot: the text with its bound values. */
  async statementIn(snapshot: Snapshot): Promise<Statement> {
    return typeof this.#statement === 'function' ? await this.#statement(snapshot) : this.#statement;
  }

  protected override statementShown(): Statement | null {
    return typeof this.#statement === 'function' ? null : this.#statement;
  }

  async #columns(): Promise<ColumnarResult> {
    return await this.#ask(async (snapshot) => {
      const { columns, rowCount } = await snapshot.query(await this.statementIn(snapshot), this.#asking);
      const names = distinct(columns.map(({ name }) => name));
      return { columns: columns.map((column, index) => ({ ...column, name: names[index] as string })), rowCount };
    });
  }

  async #ask<T>(question: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    this.#asking.signal?.throwIfAborted();
    const snapshot = await this.#open();
    try {
      return await question(snapshot);
    } finally {
      await snapshot.release();
    }
  }
}

function distinct(names: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let copy = 1; taken.has(free); copy++) free = `${name}_${copy}`;
    taken.add(free);
    return free;
  });
}
