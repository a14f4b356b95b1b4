import { MarqueError, show } from '../error.ts';
import { Queue } from '../queue.ts';
import type { Batch, Claim, ClaimRequest, Snapshot, Store } from '../store.ts';
import { Anchor } from './anchor.ts';
import { DuckDBFile } from './duckdb-file.ts';
import type { DuckDBLimits } from './limits.ts';
import { Reopening } from './reopening.ts';
import { storePath } from './store-path.ts';

/**
 * A history in one DuckDB file, for one process at a time. A batch is a transaction. Other programs can open the file when no process
 * has it: it holds the tables in the schema `raw` and the views. Where an error has ended DuckDB, such as a full disk while it
 * shortens its log, the next call opens the file again; what was acknowledged is in it.
 */
export class DuckDBStore implements Store {
  readonly label: string;
  readonly #path: string;
  readonly #limits: DuckDBLimits;
  readonly #anchor: Anchor;
  readonly #file = new Reopening<DuckDBFile>();
  readonly #opens = new Queue(1);
  readonly #changes = new Queue(1);
  readonly #reads = new Queue(Number.POSITIVE_INFINITY);
  #closed = false;

  /** Nothing is opened or made before it is needed. */
  constructor(path: string, limits: DuckDBLimits = {}) {
    this.#path = storePath(path);
    this.#limits = limits;
    this.#anchor = new Anchor(this.#path, this.#path, { isFinal: false });
    this.label = `DuckDBStorage(${show(this.#path, 300)})`;
  }

  async claim(request: ClaimRequest): Promise<Claim> {
    return await this.#change((file) => file.claim(request));
  }

  async write(batch: Batch): Promise<void> {
    await this.#change((file) => file.store(batch));
  }

  async snapshot(unflushed: readonly Batch[]): Promise<Snapshot> {
    this.#checkOpen();
    return await this.#reads.add(async () => (await this.#open(false)).snapshot(unflushed));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#changes.drain();
    await this.#reads.drain();
    await this.#file.close();
  }

  /** One change after another. A log that has grown long is shortened between two of them: nobody waits for that or hears of it. */
  async #change<T>(job: (file: DuckDBFile) => Promise<T>): Promise<T> {
    this.#checkOpen();
    const changing = this.#changes.add(async () => {
      const file = await this.#open(true);
      return { file, result: await job(file) };
    });
    void this.#changes.add(() => changing.then(({ file }) => file.shortenLog()).catch(() => undefined));
    return (await changing).result;
  }

  /** One opening after another: who only reads does not make the file, and must not keep from it who does. */
  async #open(create: boolean): Promise<DuckDBFile> {
    return await this.#opens.add(() => this.#file.get(() => DuckDBFile.open(this.#path, create, this.#limits, this.#anchor)));
  }

  #checkOpen(): void {
    if (this.#closed) throw new MarqueError('STORE_CLOSED', `${this.label} is closed: make a new storage object to use it again`);
  }
}
