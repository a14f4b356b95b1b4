import type { ColumnarResult } from '../column.ts';
import { Explanation } from '../explanation.ts';
import { SnapshotReleased } from '../released.ts';
import { type BareScope, scopeTableOf } from '../scope-table.ts';
import type { Search } from '../search.ts';
import type {
  ArtifactChoice,
  Asking,
  Batch,
  Identified,
  ReadAsking,
  Result,
  ScopeRecord,
  Snapshot,
  SqlAsking,
  Staged,
  Statement,
} from '../store.ts';
import type { MemorySql } from './memory-sql.ts';

/** One state of a storage that has no database: it searches and reads by itself, and for SQL gives out its rows as batches. */
export interface RowSource {
  find(search: Search, signal?: AbortSignal): Promise<readonly number[]>;
  read(sids: readonly number[], signal?: AbortSignal): Promise<readonly ScopeRecord[]>;
  /** The same without what belongs to them. */
  readBare(sids: readonly number[], signal?: AbortSignal): Promise<readonly BareScope[]>;
  /** `flow.step.run.path` of these scopes. */
  ids(sids: readonly number[], signal?: AbortSignal): Promise<readonly string[]>;
  /** The slugs of all runs that are there. */
  slugs(): Promise<readonly string[]>;
  /** How many scopes a search looks at, of how many there are. */
  looksAt(search: Search): { readonly read: number; readonly all: number };
  batches(): Promise<readonly Batch[]>;
}

/** The snapshot of such a storage. Its rows go to DuckDB with the first SELECT, and not at all without one. */
export class MemorySnapshot implements Snapshot {
  readonly #source: RowSource;
  readonly #sql: MemorySql;
  #views: Promise<Snapshot> | null = null;
  #released = false;

  constructor(source: RowSource, sql: MemorySql) {
    this.#source = source;
    this.#sql = sql;
  }

  async find(search: Search, { signal }: Asking = {}): Promise<readonly number[]> {
    this.#checkReleased(signal);
    return await this.#source.find(search, signal);
  }

  async *pages(search: Search, asking: Asking = {}): AsyncGenerator<readonly number[], void, undefined> {
    const sids = await this.find(search, asking);
    if (sids.length > 0) yield sids; // numbers: everything else about a scope is read later
  }

  async count(search: Search, asking: Asking = {}): Promise<number> {
    return (await this.find(search, asking)).length;
  }

  async read(sids: readonly number[], { signal, artifacts = true }: ReadAsking = {}): Promise<readonly ScopeRecord[]> {
    this.#checkReleased(signal);
    const records = await this.#source.read(sids, signal);
    return artifacts === true ? records : records.map((record) => withArtifacts(record, artifacts));
  }

  async *ids(search: Search, asking: Asking = {}): AsyncGenerator<Identified, void, undefined> {
    for await (const sids of this.pages(search, asking)) yield { sids, ids: await this.#source.ids(sids, asking.signal) };
  }

  async slugs(): Promise<readonly string[]> {
    this.#checkReleased();
    return await this.#source.slugs();
  }

  /** To look at all rows costs nothing here. */
  newestRun(): null {
    return null;
  }

  async explain(what: Search | Statement): Promise<Explanation> {
    if ('text' in what) return await (await this.#inDuckDB()).explain(what);
    this.#checkReleased();
    const scopes = { table: 'scopes', segments: null, rows: this.#source.looksAt(what), unflushed: 0 } as const;
    return new Explanation({ engine: 'memory', tables: [scopes], javascript: what.where !== null });
  }

  async select(statement: Statement): Promise<Result> {
    return await (await this.#inDuckDB()).select(statement);
  }

  async query(statement: Statement, asking: SqlAsking = {}): Promise<ColumnarResult> {
    asking.signal?.throwIfAborted();
    return await (await this.#inDuckDB()).query(statement, asking);
  }

  async table(sids: readonly number[], { signal }: Asking = {}): Promise<ColumnarResult> {
    this.#checkReleased(signal);
    return scopeTableOf(await this.#source.readBare(sids, signal));
  }

  async stage(statement: Statement): Promise<Staged> {
    return await (await this.#inDuckDB()).stage(statement);
  }

  async release(): Promise<void> {
    this.#released = true;
    const views = await this.#views?.catch(() => null); // whoever asked for the views has been told
    await views?.release();
  }

  async #inDuckDB(): Promise<Snapshot> {
    this.#checkReleased();
    this.#views ??= this.#source.batches().then((batches) => this.#sql.snapshot(batches));
    return await this.#views;
  }

  #checkReleased(signal?: AbortSignal): void {
    signal?.throwIfAborted();
    if (this.#released) throw new SnapshotReleased();
  }
}

/** The values of these artifacts only. */
function withArtifacts(record: ScopeRecord, artifacts: ArtifactChoice): ScopeRecord {
  const isRead = (name: string): boolean => typeof artifacts !== 'boolean' && artifacts.includes(name);
  return {
    ...record,
    artifacts: record.artifacts.map((one) => (isRead(one.name) ? one : { name: one.name, codec: null, text: null, bytes: null })),
  };
}
