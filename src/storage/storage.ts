import { MarqueError, show } from '../error.ts';
import { withDefaults } from '../options.ts';
import { type CurrentRun, planSearch, type SearchOptions } from '../plan.ts';
import { Query } from '../query.ts';
import { Scope } from '../scope.ts';
import { slugDraws } from '../slug.ts';
import { SqlQuery, statementOf } from '../sql-query.ts';
import type { StepLike } from '../step.ts';
import type { Batch, Snapshot, Store } from '../store.ts';
import { type FlushPolicy, Writer } from '../writer.ts';
import { checkLimits, type DuckDBLimits } from './limits.ts';

/** What every storage takes. */
export interface StorageOptions extends DuckDBLimits {
  /** When finished scopes leave memory for the store: at 10,000 scopes, 32 MiB or 500 ms, whichever comes first. */
  readonly flush?: Partial<FlushPolicy> | undefined;
}

/**
 * A run history. Flows write to it; `search` and `sql` read it, also without any flow, and see what the flows of this process
 * have finished but not yet flushed. Opens on first use; `close` it, or declare it with `await using`.
 */
export abstract class Storage implements AsyncDisposable {
  readonly #store: Store;
  readonly #policy: FlushPolicy;
  readonly #writers = new Set<Writer>();
  readonly #ended = new Set<Writer>(); // of #writers, those whose run is over: they leave with their last rows
  readonly #snapshots = new Set<Snapshot>();
  #closing: Promise<void> | null = null;
  #takesRows = true;

  constructor(store: Store, options: StorageOptions = {}) {
    checkLimits(options);
    this.#store = store;
    this.#policy = withDefaults<FlushPolicy>({ scopes: 10_000, bytes: 32 * 2 ** 20, ms: 500 }, options.flush ?? {});
    for (const [name, value] of Object.entries(this.#policy)) {
      if (typeof value === 'number' && value >= 1) continue;
      throw new MarqueError('OPTION_INVALID', `flush option ${name} is ${show(value)}: give a number of at least 1`);
    }
  }

  /**
   * Finds scopes by a glob over their ids `flow.step.run.path`, or by step. Newest first; by default those of the most recent
   * run that has a match. Nothing happens until the query is iterated or awaited.
   */
  search(target: string | StepLike, options: SearchOptions = {}): Query {
    return this.searchFrom(null, target, options);
  }

  /**
   * One SELECT over the views `scopes`, `tags`, `artifacts`, `logs`, `edges` and `runs`, every value bound:
   *
   * ```ts
   * await storage.sql<{ step: string; n: number }>`SELECT step, count(*) AS n FROM scopes WHERE run = ${run} GROUP BY step`;
   * ```
   *
   * A number is bound as DOUBLE, which `LIMIT ${10}` takes. Where SQL wants a whole number, bind a bigint: `range(${10n})`.
   * Functions that DuckDB can crash in are refused, and casts to VARIANT.
   *
   * @throws MarqueError `SQL_INVALID` for what cannot be run, `STORE_DAMAGED` where a file of the store cannot be read,
   * `DATABASE_FAILED` where DuckDB fails, and `STORE_CLOSED` where the storage is closed meanwhile.
   */
  sql<Row extends object = Record<string, unknown>>(strings: TemplateStringsArray, ...values: readonly unknown[]): SqlQuery<Row> {
    return new SqlQuery<Row>(() => this.#snapshot(), statementOf(strings, values));
  }

  /**
   * The scope with an id: its last attempt, or the n-th with `id#n`. Throws `SCOPE_UNKNOWN`.
   */
  async load(id: string): Promise<Scope> {
    const [, position = '', attempt] = /^([^#]*)(?:#(\d+))?$/.exec(id) ?? [];
    if (/^[\p{L}\p{M}\p{N}_-]+(\.[\p{L}\p{M}\p{N}_~-]+){3}$/u.test(position)) {
      const found = this.search(position, { runs: 'all', status: ['ok', 'error', 'retried', 'skipped'] });
      for await (const scope of found) if (attempt === undefined || scope.attempt === Number(attempt)) return scope;
    }
    throw new MarqueError(
      'SCOPE_UNKNOWN',
      `there is no scope ${show(id)} in ${this.toString()}: ids(pattern) lists those there are`,
    );
  }

  /** The ids of all scopes of all runs that match a glob, newest first. */
  ids(pattern = '*'): Promise<string[]> {
    return this.search(pattern, { runs: 'all' }).ids();
  }

  /** When it resolves, everything that had finished before the call is durable. Rejects if that failed; another flush tries again. */
  async flush(): Promise<void> {
    await Promise.all([...this.#writers].map((writer) => this.#flush(writer)));
  }

  /**
   * Flushes, waits for searches that are under way, stops SELECTs, which reject with `STORE_CLOSED`, and lets go of files and
   * locks. Safe at any time, also twice.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  toString(): string {
    return this.#store.label;
  }

  /** @internal A search from inside a run, whose scopes are then the default. */
  searchFrom(current: CurrentRun | null, target: string | StepLike, options: SearchOptions = {}): Query {
    return new Query(() => this.#snapshot(), planSearch(target, options, current));
  }

  /** @internal The scope with a key, which must be there. */
  async scopeOf(sid: number): Promise<Scope> {
    const snapshot = await this.#snapshot();
    try {
      const [record] = await snapshot.read([sid]);
      if (record === undefined)
        throw new MarqueError('STORE_DAMAGED', `${this} has no scope of key ${sid}, which was flushed to it`);
      return new Scope(record);
    } finally {
      await snapshot.release();
    }
  }

  /** @internal Claims a run and returns what carries its rows into the store. */
  async begin(flow: string, uuid: string, onFailure: (message: string) => void): Promise<Writer> {
    this.#checkOpen();
    const claim = await this.#store.claim({ uuid, flow, drawSlug: slugDraws() });
    const writer = new Writer((batch) => this.#write(batch), claim, uuid, flow, this.#policy, onFailure);
    this.#writers.add(writer);
    return writer;
  }

  /** @internal Flushes the last rows of a run. If that fails the writer stays, so that `flush` can try again. */
  async end(writer: Writer): Promise<void> {
    this.#ended.add(writer);
    await this.#flush(writer);
  }

  async #flush(writer: Writer): Promise<void> {
    await writer.flush();
    if (!this.#ended.delete(writer)) return;
    this.#writers.delete(writer);
    await writer.claim.release();
  }

  async #snapshot(): Promise<Snapshot> {
    this.#checkOpen();
    const unflushed: readonly (readonly Batch[])[] = await Promise.all([...this.#writers].map((writer) => writer.unflushed()));
    const snapshot = await this.#store.snapshot(unflushed.flat());
    if (!this.#takesRows) {
      await snapshot.release();
      throw this.#closedError(); // nobody would stop what is asked of it now
    }
    this.#snapshots.add(snapshot);
    return {
      find: (search) => snapshot.find(search),
      read: (sids) => snapshot.read(sids),
      select: (statement) => snapshot.select(statement),
      release: async () => {
        this.#snapshots.delete(snapshot);
        await snapshot.release();
      },
    };
  }

  async #write(batch: Batch): Promise<void> {
    if (!this.#takesRows) throw this.#closedError();
    await this.#store.write(batch);
  }

  async #close(): Promise<void> {
    const writers = [...this.#writers];
    try {
      await this.flush();
    } finally {
      this.#takesRows = false; // a flow that still runs fails, rather than to find its rows gone
      await Promise.all(writers.map((writer) => writer.claim.release()));
      await Promise.all([...this.#snapshots].map((snapshot) => snapshot.release()));
      await this.#store.close();
    }
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw this.#closedError();
  }

  #closedError(): MarqueError {
    return new MarqueError('STORE_CLOSED', `${this} is closed: make a new storage object to use it again`);
  }
}
