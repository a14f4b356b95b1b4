import { MarqueError, show } from '../error.ts';
import { Queue } from '../queue.ts';
import type { Mark } from '../recorder.ts';
import type { Batch, BatchId, Claim, ClaimRequest, ParkedBatch, Snapshot, Store, UnwrittenBatch } from '../store.ts';
import { Anchor } from './anchor.ts';
import { DuckDBFile } from './duckdb-file.ts';
import type { DuckDBLimits, SqlFiles } from './limits.ts';
import { Reopening } from './reopening.ts';
import { Spills } from './spills.ts';
import { storePath } from './store-path.ts';

/**
 * A history in one DuckDB file, for one process at a time. A batch is a transaction. Other programs can open the file when no process
 * has it: it holds the tables in the schema `raw` and the views. Where an error has ended DuckDB, such as a full disk while it
 * shortens its log, the next call opens the file again; what was acknowledged is in it.
 */
export class DuckDBStore implements Store {
  readonly label: string;
  readonly place: string;
  readonly #path: string;
  readonly #limits: DuckDBLimits;
  readonly #anchor: Anchor;
  readonly #file = new Reopening<DuckDBFile>();
  readonly #opens = new Queue(1);
  readonly #changes = new Queue(1);
  readonly #reads = new Queue(Number.POSITIVE_INFINITY);
  /** The runs that were claimed here and are not over. */
  readonly #own = new Set<number>();
  #spills: Spills | null = null;
  #closed = false;

  /** Nothing is opened or made before it is needed. */
  constructor(path: string, { memoryLimit, threads, sqlFiles }: DuckDBLimits & SqlFiles = {}) {
    if (sqlFiles !== undefined) {
      const why = 'reading its own file through SQL would drop the lock that keeps other processes from writing it';
      throw new MarqueError(
        'OPTION_INVALID',
        `a DuckDBStorage takes no sqlFiles: ${why}. Use a ParquetStorage, or ask a DuckDB of your own that attaches an export`,
      );
    }
    this.#path = storePath(path);
    this.#limits = { memoryLimit, threads };
    this.#anchor = new Anchor(this.#path, this.#path, { isFinal: false });
    this.label = `DuckDBStorage(${show(this.#path, 300)})`;
    this.place = this.#path;
  }

  async claim(request: ClaimRequest): Promise<Claim> {
    return await this.#change(async (file) => {
      this.#spillsOf(file);
      return this.#hold(await file.claim(request));
    });
  }

  async reclaim(request: ClaimRequest, mayBe: (number: number) => boolean): Promise<Claim | null> {
    return await this.#change(async (file) => {
      const claim = await file.reclaim(request, mayBe);
      return claim === null ? null : this.#hold(claim);
    });
  }

  async write(batch: Batch): Promise<void> {
    await this.#change(async (file) => {
      await file.inherit(this.#spillsOf(file), this.#own);
      await file.store(batch);
    });
  }

  async snapshot(unflushed: readonly Batch[]): Promise<Snapshot> {
    this.#checkOpen();
    return await this.#reads.add(async () => {
      const file = await this.#open(false);
      const spilled = await this.#spillsOf(file).batches(unflushed); // before the file's own state: what has gone from there is in it
      return await file.snapshot([...spilled, ...unflushed]);
    });
  }

  /** Beside the file. Only who has opened it, to claim a run, has rows to spill. */
  spill(batches: readonly UnwrittenBatch[]): void {
    this.#spills?.writeSync(batches);
  }

  park(id: BatchId, mark: Mark): ParkedBatch | null {
    return this.#spills?.parkSync(id, mark) ?? null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#changes.drain();
    await this.#reads.drain();
    await this.#file.close();
  }

  #hold(claim: Claim): Claim {
    this.#own.add(claim.number);
    return {
      ...claim,
      release: () => {
        this.#own.delete(claim.number);
        return claim.release();
      },
    };
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

  #spillsOf({ path }: DuckDBFile): Spills {
    return (this.#spills ??= new Spills(`${path}.spill`));
  }

  #checkOpen(): void {
    if (this.#closed) throw new MarqueError('STORE_CLOSED', `${this.label} is closed: make a new storage object to use it again`);
  }
}
