import { MarqueError, messageOf, show } from '../error.ts';
import { lastWords, onExit } from '../exit.ts';
import { flushPolicy, type FlushPolicy } from '../flush-policy.ts';
import { checkOptionNames } from '../options.ts';
import { type CurrentRun, planSearch, type SearchOptions } from '../plan.ts';
import { Query } from '../query.ts';
import { Queue } from '../queue.ts';
import { planReading } from '../reading.ts';
import { SnapshotReleased } from '../released.ts';
import { Scope, type Witness } from '../scope.ts';
import { settled } from '../settled.ts';
import { slugDraws } from '../slug.ts';
import type { Composition, SqlQuery } from '../sql-query.ts';
import type { StepLike } from '../step.ts';
import type { Batch, Claim, Snapshot, Statement, Store } from '../store.ts';
import { type Durability, Writer } from '../writer.ts';
import type { Destination } from './bring-in.ts';
import type { RunChoice } from './chosen-runs.ts';
import type { ExportOptions, ExportResult, ExportSource } from './export.ts';
import type { PythonImport } from './import-python.ts';
import { History } from './history.ts';
import { checkLimits, type DuckDBLimits, type SqlFiles } from './limits.ts';
import { canonicalPath } from './lock.ts';
import type { MergeResult } from './merge.ts';

/** What every storage takes. */
export interface StorageOptions extends DuckDBLimits, SqlFiles {
  /** When finished scopes leave memory for the store: at 10,000 scopes, 32 MiB or 500 ms, whichever comes first. */
  readonly flush?: Partial<FlushPolicy> | undefined;
  /**
   * `every-scope`: no step follows another, on its place of the concurrency, before the other's scope is durable; steps that run at the
   * same time share a flush. Default `window`: what has ended is durable when `flush` says so, at the latest.
   */
  readonly durability?: Durability | undefined;
}

/**
 * A run history. Flows write to it; `search` and `sql` read it, also without any flow, and see what the flows of this process
 * have finished but not yet flushed. Opens on first use; `close` it, or declare it with `await using`.
 */
export abstract class Storage extends History implements AsyncDisposable {
  readonly #store: Store;
  readonly #policy: FlushPolicy;
  readonly #durability: Durability;
  readonly #writers = new Set<Writer>();
  readonly #ended = new Set<Writer>(); // of #writers, those whose run is over: they leave with their last rows
  readonly #claiming = new Set<Promise<Claim>>(); // of runs that begin
  readonly #snapshots = new Set<Snapshot>();
  readonly #queries = new WeakSet<object>(); // that this storage has made
  readonly #imports = new Queue(1);
  readonly #limits: DuckDBLimits;
  #closing: Promise<void> | null = null;
  #takesRows = true;
  #offExit: () => void = () => {};

  constructor(store: Store, options: StorageOptions = {}) {
    super();
    checkOptionNames(options, ['flush', 'durability', 'memoryLimit', 'threads', 'sqlFiles']);
    checkLimits(options);
    this.#store = store;
    this.#limits = { memoryLimit: options.memoryLimit, threads: options.threads };
    this.#policy = flushPolicy(options.flush);
    this.#durability = options.durability ?? 'window';
    if (!['window', 'every-scope'].includes(this.#durability)) {
      throw new MarqueError('OPTION_INVALID', `durability is ${show(this.#durability)}: give 'window' or 'every-scope'`);
    }
  }

  protected override newQuery<Row extends object>(statement: Statement | Composition): SqlQuery<Row> {
    const query = super.newQuery<Row>(statement);
    this.#queries.add(query);
    return query;
  }

  /** When it resolves, everything that had finished before the call is durable. Rejects if that failed; another flush tries again. */
  async flush(): Promise<void> {
    await Promise.all([...this.#writers].map((writer) => this.flushRun(writer)));
  }

  /**
   * Flushes, waits for what searches are reading, stops SELECTs, which reject with `STORE_CLOSED`, and lets go of files and locks. A loop
   * over a search that needs more than it has read by then ends with `STORE_CLOSED` as well. Safe at any time, also twice.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Writes scopes into one file, one row each, with their tags, artifacts and logs as lists; or one view, or the answer to a query:
   *
   * ```ts
   * await storage.export('history.parquet');
   * await storage.export('losses.csv', { query: storage.sql`SELECT run, value FROM tags WHERE content = 'loss'` });
   * ```
   *
   * The extension says the format: `.parquet`, `.arrow`, `.arrows`, `.csv`, `.jsonl`, or `.duckdb` for a store of the whole. The file appears
   * when it is whole, in a folder that is made if need be; until then its rows take room in the system's temporary folder as well.
   *
   * @throws MarqueError `OPTION_INVALID`, `SQL_INVALID`, `STORE_PATH` where there is a file already and `overwrite` is not said, or inside the
   * store; `STORE_UNWRITABLE`, `STORE_DAMAGED`.
   */
  async export(path: string, options: ExportOptions = {}): Promise<ExportResult> {
    this.#checkOpen();
    const query = (options as ExportOptions | null)?.query;
    if (query !== undefined && !this.#queries.has((query as SqlQuery | null)?.origin ?? this)) {
      throw new MarqueError('OPTION_INVALID', `query is ${show(query)}: give one of this storage's, such as sql\`…\` makes`);
    }
    const { exportStore } = await import('./export.ts');
    return await this.#unlessClosed(exportStore(this.#asSource(), path, options));
  }

  /**
   * Copies the runs of another storage into this one, of any kind, with everything that belongs to them. They get new run numbers, and
   * keep their slugs where these are free; the event `started` of each then says in its details where it comes from, as `origin`.
   * Runs that are here already, by uuid, and runs that have not ended are skipped and named. Killed at any moment, it is simply called
   * again. What a scope has to do with a run that is neither here nor copied, as reference or edge, is lost.
   *
   * @throws MarqueError `OPTION_INVALID` for a storage of the same store; whatever reading the other or writing this one raises.
   */
  async merge(other: Storage, options: RunChoice = {}): Promise<MergeResult> {
    this.#checkOpen();
    if (!(other instanceof Storage)) throw new MarqueError('OPTION_INVALID', `${show(other)} is no storage: merge takes one`);
    const [{ mergeRuns }, { checkRunChoice }] = await Promise.all([import('./merge.ts'), import('./chosen-runs.ts')]);
    checkRunChoice(options);
    const [here, there] = [this.#store.place, other.#store.place];
    const isSame = here !== undefined && there !== undefined && (await canonicalPath(here)) === (await canonicalPath(there));
    if (other === this || isSame) throw new MarqueError('OPTION_INVALID', `${this} cannot be merged into itself`);
    return await this.#alone(() => mergeRuns(this.#asDestination(), other.#asSource(), options));
  }

  /**
   * Copies the runs of a store of the original marque, the Python package: the `.parquet` file of its PolarsStorage or the folder of its
   * JsonStorage. `notes` says what those do not hold or could not be taken over. What was imported before is skipped.
   *
   * @throws MarqueError `STORE_PATH` for anything else, `STORE_DAMAGED` for a file that cannot be read.
   */
  async importPython(path: string): Promise<PythonImport> {
    this.#checkOpen();
    const { importPython } = await import('./import-python.ts');
    return await this.#alone(() => importPython(this.#asDestination(), path, this.#limits));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  override toString(): string {
    return this.#store.label;
  }

  /** @internal A search from inside a run, whose scopes are then the default. The witness is told what it finds. */
  searchFrom(
    current: CurrentRun | null,
    target: string | StepLike,
    options: SearchOptions = {},
    witness: Witness | null = null,
  ): Query {
    return new Query(() => this.#snapshot(), planSearch(target, options, current), witness, planReading(options));
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
    const claiming = this.#store.claim({ uuid, flow, drawSlug: slugDraws(), begins: true });
    this.#claiming.add(claiming);
    const claim = await claiming.finally(() => this.#claiming.delete(claiming));
    const writer = new Writer({
      claim,
      uuid,
      flow,
      policy: this.#policy,
      durability: this.#durability,
      write: (batch) => this.#write(batch),
      park: (id, mark) => this.#store.park(id, mark),
      onFailure,
    });
    if (this.#writers.size === 0) this.#offExit = onExit((mayLiveOn) => this.#spill(mayLiveOn));
    this.#writers.add(writer);
    return writer;
  }

  /** @internal Flushes the last rows of a run. If that fails the writer stays, so that `flush` can try again. */
  async end(writer: Writer): Promise<void> {
    this.#ended.add(writer);
    await this.flushRun(writer);
  }

  /** @internal What a run has recorded so far is durable when it resolves. */
  async flushRun(writer: Writer): Promise<void> {
    await writer.flush();
    if (!this.#ended.delete(writer)) return;
    this.#writers.delete(writer);
    if (this.#writers.size === 0) this.#offExit();
    await writer.claim.release();
  }

  /**
   * Called when the process ends with runs that have not: what is in memory only goes to where the next process finds it. Where the process
   * may live on, that is only what never changes any more: a run that goes on hears the signal itself, and a parked batch that has become a
   * spill would be gone for its writer. Such spills stay for the next process, which finds that their batches are stored.
   */
  #spill(mayLiveOn: boolean): void {
    for (const writer of mayLiveOn ? this.#ended : this.#writers) {
      try {
        const batches = writer.unwritten();
        const parked = mayLiveOn ? batches.findIndex(({ rows }) => 'read' in rows) : -1;
        this.#store.spill(parked === -1 ? batches : batches.slice(0, parked));
      } catch (error) {
        lastWords(`${this} could not keep the last rows of run ${writer.claim.slug}: ${messageOf(error)}\n`);
      }
    }
  }

  /** One at a time, so that what one brings in the next one finds. */
  async #alone<T>(job: () => Promise<T>): Promise<T> {
    return await this.#unlessClosed(this.#imports.add(job));
  }

  /** Closing stops it, which shows in many ways. */
  async #unlessClosed<T>(running: Promise<T>): Promise<T> {
    try {
      return await running;
    } catch (error) {
      throw this.#closing === null ? error : this.#closedError();
    }
  }

  #asSource(): ExportSource {
    return { label: this.toString(), place: this.#store.place, limits: this.#limits, snapshot: () => this.#snapshot() };
  }

  #asDestination(): Destination {
    return {
      claim: (request) => this.#store.claim(request),
      reclaim: async (request, mayBe) => (await this.#store.reclaim?.(request, mayBe)) ?? null,
      write: (batch) => this.#write(batch),
      snapshot: async () => {
        try {
          return await this.#snapshot();
        } catch (error) {
          if (error instanceof MarqueError && error.code === 'STORE_PATH') return null; // not there yet; claiming a run tells if it cannot be
          throw error;
        }
      },
    };
  }

  protected override openSnapshot(): Promise<Snapshot> {
    return this.#snapshot();
  }

  async #snapshot(): Promise<Snapshot> {
    this.#checkOpen();
    await Promise.allSettled(this.#claiming); // a new store is there once its first run is: whoever asks meanwhile is told so
    const unflushed: readonly (readonly Batch[])[] = await Promise.all([...this.#writers].map((writer) => writer.unflushed()));
    return await this.ending(await this.#store.snapshot(unflushed.flat()));
  }

  /** A snapshot that ends with this storage, where it is not released before. */
  protected async ending(snapshot: Snapshot): Promise<Snapshot> {
    if (!this.#takesRows) {
      await snapshot.release();
      throw this.#closedError(); // nobody would stop what is asked of it now
    }
    this.#snapshots.add(snapshot);
    const told = async <T>(answer: Promise<T>): Promise<T> => await answer.catch((error: unknown) => this.#rethrow(error));
    const rethrow = (error: unknown) => this.#rethrow(error);
    async function* toldEach<T>(pages: AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
      try {
        yield* pages;
      } catch (error) {
        rethrow(error);
      }
    }
    return {
      find: (search, asking) => told(snapshot.find(search, asking)),
      pages: (search, asking) => toldEach(snapshot.pages(search, asking)),
      count: (search, asking) => told(snapshot.count(search, asking)),
      read: (sids, asking) => told(snapshot.read(sids, asking)),
      ids: (search, asking) => toldEach(snapshot.ids(search, asking)),
      slugs: () => told(snapshot.slugs()),
      newestRun: (within) => snapshot.newestRun(within),
      explain: (what) => told(snapshot.explain(what)),
      select: (statement) => told(snapshot.select(statement)),
      query: (statement, asking) => told(snapshot.query(statement, asking)),
      table: (sids, asking) => told(snapshot.table(sids, asking)),
      stage: (statement) => told(snapshot.stage(statement)),
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
    try {
      await this.flush();
    } finally {
      this.#takesRows = false; // a flow that still runs fails, rather than to find its rows gone
      for (const writer of this.#writers) writer.stopTrying();
      // A run that goes on without its storage will never be recorded to end, unless rows of it are left that a spill may still save.
      // The claim of such a one beats as long as the process lives: others would take what is parked for a dead one's.
      const over = [...this.#writers].filter((writer) => writer.unwritten().length === 0);
      await settled(over.map((writer) => writer.claim.release({ abandoned: true })));
      await Promise.all([...this.#snapshots].map((snapshot) => snapshot.release()));
      await this.#store.close();
    }
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw this.#closedError();
  }

  /** Whoever reads hears that the storage is closed, and not of the snapshots that went with it. */
  #rethrow(error: unknown): never {
    throw error instanceof SnapshotReleased && !this.#takesRows ? this.#closedError() : error;
  }

  #closedError(): MarqueError {
    return new MarqueError('STORE_CLOSED', `${this} is closed: make a new storage object to use it again`);
  }
}
