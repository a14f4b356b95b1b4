import { resolve } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { Queue } from '../queue.ts';
import type { Batch, Claim, ClaimRequest, Snapshot, Store } from '../store.ts';
import { DuckDBFile } from './duckdb-file.ts';
import { Reopening } from './reopening.ts';

/**
 * A history in one DuckDB file, for one process at a time. A batch is a transaction. Other programs can open the file when no process
 * has it: it holds the tables in the schema `raw` and the views. Where an error has ended DuckDB, such as a full disk while it
 * shortens its log, the next call opens the file again; what was acknowledged is in it.
 */
export class DuckDBStore implements Store {
  readonly label: string;
  readonly #path: string;
  readonly #file = new Reopening<DuckDBFile>();
  readonly #opens = new Queue(1);
  readonly #writes = new Queue(1);
  #closed = false;

  /** Nothing is opened or made before it is needed. */
  constructor(path: string) {
    this.#path = resolve(path);
    this.label = `DuckDBStorage(${show(this.#path, 300)})`;
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
    this.#closed = true;
    await this.#writes.drain();
    await this.#opens.drain();
    await this.#file.close();
  }

  /** One change after another. A log that has grown long is dealt with between two of them: nobody waits for that or hears of it. */
  async #change<T>(job: (file: DuckDBFile) => Promise<T>): Promise<T> {
    this.#checkOpen();
    const changing = this.#writes.add(async () => {
      const file = await this.#file.get(() => DuckDBFile.open(this.#path, true));
      return { file, result: await job(file) };
    });
    void this.#writes.add(async () => await changing.then(({ file }) => file.shortenLog()).catch(() => undefined));
    return (await changing).result;
  }

  /** One at a time, for who only reads must not make the file that another is about to make. */
  #open(create: boolean): Promise<DuckDBFile> {
    return this.#opens.add(() => this.#file.get(() => DuckDBFile.open(this.#path, create)));
  }
}
