import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Before, Connection, Run } from './connection.ts';
import { type ColumnarResult, plainResult } from './column.ts';
import { compileSearch } from './compile.ts';
import { MarqueError } from './error.ts';
import { Explanation, type TableReading } from './explanation.ts';
import { allOf, type Extent, extentOfSearch, extentOfSids, narrow, type Within } from './extent.ts';
import { Finder } from './find.ts';
import { large, type PageSizes } from './page-sizes.ts';
import { readScopes, type ScopeTables } from './read-scopes.ts';
import { oldestAtFirst } from './recent.ts';
import { SnapshotReleased } from './released.ts';
import { type TableName, tableNames } from './schema.ts';
import { scopeTable } from './scope-table.ts';
import type { Search } from './search.ts';
import { extentOfSelect } from './select-extent.ts';
import type {
  Asking,
  Identified,
  PageAsking,
  ReadAsking,
  Result,
  ScopeRecord,
  Snapshot,
  SqlAsking,
  Staged,
  Statement,
} from './store.ts';
import { withViewNames } from './unknown-view.ts';

export interface SqlSnapshotOptions {
  /** Its schema `raw` holds the six tables, its schema `main` the views. Others may use it between two calls. */
  readonly connection: Connection;
  /** Another, or the same, for the SELECTs of users: a search then does not wait for them. */
  readonly selects: Connection;
  /**
   * Run right before each query, without anything between: they put the connection into the state of this snapshot. A function is told what
   * the query can depend on: the state of anything else does not matter. It may reject where that is damaged.
   */
  readonly before: readonly Statement[] | ((extent: Extent, signal?: AbortSignal) => Promise<readonly Statement[]>);
  /**
   * The highest number of a run that has scopes within an extent, as far as is known at once, so that a search for a recent run can begin
   * there; -1 where there is none for certain, null where nobody knows.
   */
  readonly newestRun?: (extent: Extent) => number | null;
  /** Whether a table can have rows within an extent; where it cannot, it is not read. All can by default. */
  readonly mayHold?: (table: TableName, extent: Extent) => boolean;
  /** How much of its tables is read for an extent; by default they are counted. */
  readonly reads?: (extent: Extent) => readonly TableReading[];
  /** Of the runs that have not ended, by number, those of which nobody knows whether they go on. None by default. */
  lapsed?: ((live: readonly number[]) => Promise<readonly number[]>) | undefined;
  /** Called once, after the last query has settled. */
  release(): void | Promise<void>;
  /** What to throw instead of the error that a query has failed with. */
  explain?(error: unknown): unknown;
}

/** A snapshot of any storage that DuckDB can read: searches are compiled, scopes are read with one SELECT a table. */
export class SqlSnapshot implements Snapshot {
  readonly #options: SqlSnapshotOptions;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #ending = new AbortController();
  #released: Promise<void> | null = null;

  constructor(options: SqlSnapshotOptions) {
    this.#options = options;
  }

  async find(search: Search, asking: Asking = {}): Promise<readonly number[]> {
    const found: (readonly number[])[] = [];
    for await (const sids of this.#finder(search, asking).pages(all)) found.push(sids);
    return found.length === 1 ? (found[0] as readonly number[]) : found.flat();
  }

  pages(search: Search, asking: PageAsking = {}): AsyncGenerator<readonly number[], void, undefined> {
    return this.#finder(search, asking).pages(asking.wantsAll === true ? large : undefined);
  }

  async count(search: Search, asking: Asking = {}): Promise<number> {
    return await this.#finder(search, asking).count();
  }

  async read(
    sids: readonly number[],
    { signal, artifacts = true, bytes = Number.POSITIVE_INFINITY }: ReadAsking = {},
  ): Promise<readonly ScopeRecord[]> {
    return await readScopes(this.#tables(signal), sids, { artifacts, bytes });
  }

  ids(search: Search, asking: PageAsking = {}): AsyncGenerator<Identified, void, undefined> {
    return this.#finder(search, asking).identified(asking.wantsAll === true ? large : undefined);
  }

  async slugs(): Promise<readonly string[]> {
    const text = `SELECT DISTINCT slug FROM raw.runs ANTI JOIN (FROM raw.runs WHERE event = 'deleted') AS gone USING (run_number)
      UNION SELECT DISTINCT run FROM raw.scopes`;
    const [result] = await this.#asked(allOf(['scopes', 'runs']), [{ text, values: [] }]);
    return (result as Result).values[0] as string[];
  }

  newestRun(within: Within): number | null {
    return this.#options.newestRun?.(narrow(allOf(['scopes']), within)) ?? null;
  }

  async explain(what: Search | Statement): Promise<Explanation> {
    return await this.#use(() => ('text' in what ? this.#explainSelect(what) : this.#explainSearch(what)));
  }

  async select(statement: Statement): Promise<Result> {
    return plainResult(await this.query(statement));
  }

  async query(statement: Statement, { signal, onProgress }: SqlAsking = {}): Promise<ColumnarResult> {
    const { selects } = this.#options;
    const ending = this.#ending.signal;
    const stop = signal === undefined ? ending : AbortSignal.any([signal, ending]);
    return await this.#asUser(async () => {
      const before = await this.#beforeUsers(statement, undefined, stop);
      return await this.#explained(selects.query(statement, before, { signal: stop, onProgress }), stop);
    });
  }

  async table(sids: readonly number[], { signal }: Asking = {}): Promise<ColumnarResult> {
    return await this.#use(async () => {
      signal?.throwIfAborted();
      const before = await this.#before(extentOfSids(sids), signal);
      return await this.#explained(this.#options.connection.columns(scopeTable(sids), before, signal));
    });
  }

  async stage(statement: Statement): Promise<Staged> {
    const { selects } = this.#options;
    const path = join(selects.temporary, `${randomUUID()}.parquet`);
    try {
      return await this.#asUser(async () => {
        const before = await this.#beforeUsers(statement);
        return await this.#explained(selects.copy(statement, path, before, this.#ending.signal));
      });
    } catch (error) {
      await rm(path, { force: true }).catch(() => undefined); // the first error is the one to report
      throw error;
    }
  }

  async release(): Promise<void> {
    this.#ending.abort(new MarqueError('STORE_CLOSED', 'the query was stopped: the store was closed while it ran'));
    this.#released ??= Promise.allSettled(this.#underWay).then(() => this.#options.release());
    await this.#released;
  }

  #finder(search: Search, { signal }: Asking): Finder {
    return new Finder({ run: this.#tables(signal).run, newestRun: this.#options.newestRun }, search);
  }

  #tables(signal: AbortSignal | undefined): ScopeTables {
    const { mayHold } = this.#options;
    const run = (extent: Extent, statements: readonly Statement[]) => this.#asked(extent, statements, signal);
    return mayHold === undefined ? { run } : { run, mayHold };
  }

  async #asked(extent: Extent, statements: readonly Statement[], signal?: AbortSignal): Promise<readonly Result[]> {
    return await this.#use(() => this.#run(extent, statements, signal));
  }

  async #explainSearch(search: Search): Promise<Explanation> {
    const { newestRun } = this.#options;
    const oldest = newestRun === undefined ? 0 : oldestAtFirst(search, newestRun);
    const statement = compileSearch({ ...search, where: null }, undefined, oldest);
    const extent = extentOfSearch(search, oldest);
    const [result] = await this.#run(extent, [{ ...statement, text: `EXPLAIN ${statement.text}` }]);
    return new Explanation({
      engine: 'DuckDB',
      statement,
      tables: await this.#reads(extent),
      javascript: search.where !== null,
      oldestRun: oldest === 0 ? null : oldest,
      plan: String((result as Result).values[1]?.[0]),
    });
  }

  async #explainSelect(statement: Statement): Promise<Explanation> {
    const { selects } = this.#options;
    let extent = allOf([]);
    const before = await this.#beforeUsers(statement, (found) => (extent = found));
    const plan = await this.#explained(selects.plan(statement, before, this.#ending.signal));
    return new Explanation({ engine: 'DuckDB', statement, tables: await this.#reads(extent), plan });
  }

  async #reads(extent: Extent): Promise<readonly TableReading[]> {
    const { reads } = this.#options;
    if (reads !== undefined) return reads(extent);
    const tables = tableNames.filter((table) => extent.tables.has(table));
    const counts = tables.map((table) => ({ text: `SELECT count(*) FROM raw.${table}`, values: [] }));
    const results = await this.#run(allOf(tables), counts);
    return tables.map((table, index): TableReading => {
      const rows = results[index]?.values[0]?.[0] as number;
      return { table, segments: null, rows: { read: rows, all: rows }, unflushed: 0 };
    });
  }

  /** What puts a connection into the state that a user's statement sees. Only the view `runs` asks which of them have lapsed. */
  async #beforeUsers(
    { text, values, within }: Statement,
    onExtent?: (extent: Extent) => void,
    signal: AbortSignal = this.#ending.signal,
  ): Promise<Before> {
    const { lapsed } = this.#options;
    const more: Statement[] = [];
    if (lapsed !== undefined && /(?<!\braw\.)\bruns\b/i.test(text)) {
      const [live] = await this.#run(allOf(['runs'], ['live_runs']), [{ text: 'SELECT run_number FROM live_runs', values: [] }]);
      const numbers = await lapsed((live as Result).values[0] as number[]);
      more.push({ text: 'SET VARIABLE lapsed_runs = $1::BIGINT[]', values: [numbers.map(BigInt)] });
    }
    return async (serialized) => {
      const told = extentOfSelect(serialized, values);
      const extent = within === undefined ? told : narrow(told, within);
      onExtent?.(extent);
      return [...(await this.#before(extent, signal)), ...more];
    };
  }

  /** Runs statements of ours one after another, in the state of this snapshot as far as the extent goes. */
  async #run(extent: Extent, statements: readonly Statement[], signal?: AbortSignal): Promise<readonly Result[]> {
    const before = await this.#before(extent, signal);
    const job = async (run: Run): Promise<readonly Result[]> => {
      const results: Result[] = [];
      for (const { text, values } of statements) results.push(await run(text, values));
      return results;
    };
    const running = this.#options.connection.exclusive(job, signal, before);
    return await this.#explained(running, signal);
  }

  async #before(extent: Extent, signal?: AbortSignal): Promise<readonly Statement[]> {
    const { before } = this.#options;
    return typeof before === 'function' ? await before(extent, signal) : before;
  }

  /** A job that runs text from a user, who is told the names of the views where one is wrong. */
  async #asUser<T>(job: () => Promise<T>): Promise<T> {
    try {
      return await this.#use(job);
    } catch (error) {
      throw withViewNames(error);
    }
  }

  async #use<T>(job: () => Promise<T>): Promise<T> {
    if (this.#released !== null) throw new SnapshotReleased();
    const running = job();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }

  async #explained<T>(running: Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await running;
    } catch (error) {
      signal?.throwIfAborted(); // whatever the interruption has led to
      throw (await this.#options.explain?.(error)) ?? error;
    }
  }
}

/** One page with all that is found, at least where tags need not be judged row by row. */
const all: PageSizes = { first: Number.POSITIVE_INFINITY, most: Number.POSITIVE_INFINITY };
