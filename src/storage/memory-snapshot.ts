import { MarqueError } from '../error.ts';
import type { Search } from '../search.ts';
import type { Batch, Result, ScopeRecord, Snapshot, Staged, Statement } from '../store.ts';
import type { MemorySql } from './memory-sql.ts';

/** One state of a storage that has no database: it searches and reads by itself, and for SQL gives out its rows as batches. */
export interface RowSource {
  find(search: Search): Promise<readonly number[]>;
  read(sids: readonly number[]): Promise<readonly ScopeRecord[]>;
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

  async find(search: Search): Promise<readonly number[]> {
    this.#checkReleased();
    return await this.#source.find(search);
  }

  async read(sids: readonly number[]): Promise<readonly ScopeRecord[]> {
    this.#checkReleased();
    return await this.#source.read(sids);
  }

  async select(statement: Statement): Promise<Result> {
    return await (await this.#inDuckDB()).select(statement);
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

  #checkReleased(): void {
    if (this.#released) throw new MarqueError('STORE_CLOSED', 'this snapshot of the store has been released: take a new one');
  }
}
