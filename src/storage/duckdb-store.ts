import { resolve } from 'node:path';
import { Queue } from '../queue.ts';
import type { Batch, Claim, ClaimRequest, Snapshot, Store } from '../store.ts';
import { DuckDBFile } from './duckdb-file.ts';

/**
 * A history in one DuckDB file, for one process at a time. A batch is a transaction. Other programs can open the file when no process
 * has it: it holds the tables in the schema `raw` and the views.
 */
export class DuckDBStore implements Store {
  readonly label: string;
  readonly #path: string;
  readonly #opens = new Queue(1);
  readonly #writes = new Queue(1);
  #file: DuckDBFile | null = null;

  /** Nothing is opened or made before it is needed. */
  constructor(path: string) {
    this.#path = resolve(path);
    this.label = `DuckDB file ${this.#path}`;
  }

  claim(request: ClaimRequest): Promise<Claim> {
    return this.#change((file) => file.claim(request));
  }

  write(batch: Batch): Promise<void> {
    return this.#change((file) => file.store(batch));
  }

  async snapshot(unflushed: readonly Batch[]): Promise<Snapshot> {
    const file = await this.#open(false);
    return await file.snapshot(unflushed);
  }

  async close(): Promise<void> {
    await this.#writes.drain();
    await this.#opens.drain();
    await this.#file?.close();
  }

  /** One change after another. A log that has grown long is dealt with between two of them, at nobody's expense. */
  async #change<T>(job: (file: DuckDBFile) => Promise<T>): Promise<T> {
    const result = await this.#writes.add(async () => await this.#surviving(await this.#open(true), job));
    void this.#writes.add(async () => {
      if (this.#file !== null) await this.#surviving(this.#file, (file) => file.shortenLog()).catch(() => undefined); // a log may be long
    });
    return result;
  }

  /** Closes the file where an error has ended DuckDB, so that the next call opens it again. What was acknowledged is in it. */
  async #surviving<T>(file: DuckDBFile, job: (file: DuckDBFile) => Promise<T>): Promise<T> {
    try {
      return await job(file);
    } catch (error) {
      if (!(await file.isAlive())) {
        this.#file = null;
        await file.close();
      }
      throw error;
    }
  }

  #open(create: boolean): Promise<DuckDBFile> {
    return this.#opens.add(async () => (this.#file ??= await DuckDBFile.open(this.#path, create)));
  }
}
