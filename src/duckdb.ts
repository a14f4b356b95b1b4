import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { type DuckDBConnection, DuckDBInstance } from './binding.ts';
import { Connection, inFlight, type Shared } from './connection.ts';
import { MarqueError, messageOf, show } from './error.ts';
import { openOnce } from './opened.ts';
import { quoteText, refuseNul } from './quote.ts';
import { batchFunction, checkBatch } from './scan.ts';
import { SpillFolder } from './spill-folder.ts';
import type { Batch } from './store.ts';

export { Connection, type Run } from './connection.ts';
export { quoteName, quoteText } from './quote.ts';

export interface DatabaseOptions {
  /** A `.duckdb` file, created if absent. In memory by default. */
  readonly path?: string;
  /** As DuckDB writes it, such as `4GB`; 80 % of the machine's memory by default. */
  readonly memoryLimit?: string | undefined;
  /** As many as the machine has cores by default. */
  readonly threads?: number | undefined;
  /**
   * Folders that SQL may read and write. Everything else outside is then out of reach, and the settings are locked. By default
   * there are none. `'any'` leaves access and settings open.
   */
  readonly allowed?: readonly string[] | 'any';
  /**
   * More folders that the SELECTs of users may read; a SELECT writes nothing. `'any'` lets them read whatever the process can. None by default,
   * and none for a database in a file.
   */
  readonly readable?: readonly string[] | 'any' | undefined;
}

/**
 * One DuckDB instance behind which the ways to crash the process or lose rows that the bindings leave open are closed: queries
 * of a connection run one after another, nothing is interrupted, results are complete copies, and `close` waits.
 * An open database does not keep the process alive.
 */
export class Database {
  readonly #instance: DuckDBInstance;
  readonly #spill: SpillFolder;
  readonly #shared: Shared;
  readonly #pinned: Map<bigint, readonly Batch[]>;
  readonly #release: () => void;
  readonly #connections = new Set<Connection>();
  readonly #checked = new WeakSet<Batch>();
  #lastToken = 0n;
  #closing: Promise<void> | null = null;

  private constructor({ instance, spill, pinned, readsFiles }: Opened, path: string | null, release: () => void) {
    this.#instance = instance;
    this.#spill = spill;
    this.#pinned = pinned;
    this.#release = release;
    const label = path === null ? 'in memory' : JSON.stringify(path);
    this.#shared = { label, file: path !== null, readsFiles, temporary: spill.path, fatal: null };
  }

  /**
   * @throws MarqueError `STORE_LOCKED` when the file is open already, in this process or another; `DATABASE_FAILED` when DuckDB
   * cannot open it, or in a worker thread: ending a worker while a query runs aborts the whole process.
   */
  static async open(options: DatabaseOptions = {}): Promise<Database> {
    const { threads } = options;
    if (threads !== undefined && !(Number.isSafeInteger(threads) && threads > 0)) {
      throw new MarqueError('OPTION_INVALID', `threads must be a whole number above 0, not ${show(threads)}`);
    }
    if (!isMainThread) {
      throw new MarqueError(
        'DATABASE_FAILED',
        'DuckDB cannot run in a worker thread, whose end could abort the process: use the main thread',
      );
    }
    if (options.path === undefined) return new Database(await openInstance(':memory:', options), null, () => undefined);
    const path = resolve(refuseNul(options.path));
    const { value, release } = await openOnce(path, () => openInstance(path, options));
    return new Database(value, path, release);
  }

  /** False once DuckDB has stopped at a fatal error, such as a full disk while it shortens its log: then it has to be opened again. */
  get isUsable(): boolean {
    return this.#shared.fatal === null;
  }

  /** A folder of its own outside of any store, which statements may always write to. It is removed when the database is closed. */
  get temporaryFolder(): string {
    return this.#spill.path;
  }

  async connect(): Promise<Connection> {
    this.#refuseClosed();
    const native = await inFlight.add(() => this.#instance.connect());
    const connection: Connection = new Connection(native, this.#shared, () => void this.#connections.delete(connection));
    this.#connections.add(connection);
    return connection;
  }

  /**
   * Makes batches readable as `batch(token, 'table')` on every connection until `unpin`; a query that has begun by then keeps
   * them itself. The batches must not change any more.
   */
  pin(batches: readonly Batch[]): bigint {
    this.#refuseClosed();
    for (const batch of batches) {
      if (!this.#checked.has(batch)) checkBatch(batch);
      this.#checked.add(batch);
    }
    const token = ++this.#lastToken;
    this.#pinned.set(token, [...batches]);
    return token;
  }

  unpin(token: bigint): void {
    this.#pinned.delete(token);
  }

  /** Waits for what is under way on every connection, then closes. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => connection.close()));
    this.#instance.closeSync();
    this.#pinned.clear();
    this.#release();
    await this.#spill.remove();
  }

  #refuseClosed(): void {
    if (this.#closing !== null)
      throw new MarqueError('STORE_CLOSED', `the database ${this.#shared.label} was used after it was closed`);
  }
}

interface Opened {
  readonly instance: DuckDBInstance;
  readonly spill: SpillFolder;
  readonly pinned: Map<bigint, readonly Batch[]>;
  readonly readsFiles: boolean;
}

async function openInstance(path: string, options: DatabaseOptions): Promise<Opened> {
  const spill = await SpillFolder.create();
  let instance: DuckDBInstance | undefined;
  try {
    const created = await inFlight.add(() => DuckDBInstance.create(path, configuration(options, spill)));
    instance = created;
    const pinned = new Map<bigint, readonly Batch[]>();
    const connection = await inFlight.add(() => created.connect());
    try {
      connection.registerTableFunction(batchFunction((token) => pinned.get(token)));
      await lock(connection, options, spill);
    } finally {
      connection.closeSync();
    }
    return { instance: created, spill, pinned, readsFiles: (options.readable ?? []).length > 0 };
  } catch (error) {
    instance?.closeSync();
    await spill.remove();
    if (error instanceof MarqueError) throw error;
    const message = messageOf(error);
    if (message.includes('Could not set lock'))
      throw new MarqueError('STORE_LOCKED', `${show(path)} is open in another process: ${message}`, { cause: error });
    throw new MarqueError('DATABASE_FAILED', `DuckDB could not open ${show(path)}: ${message}`, { cause: error });
  }
}

function configuration({ memoryLimit, threads }: DatabaseOptions, spill: SpillFolder): Record<string, string> {
  return {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    allow_persistent_secrets: 'false',
    temp_directory: spill.path,
    // A checkpoint that fails by itself inside a commit kills the instance although the commit is durable: ours are explicit.
    checkpoint_threshold: '1TB',
    ...(memoryLimit === undefined ? {} : { memory_limit: memoryLimit }),
    ...(threads === undefined ? {} : { threads: String(threads) }),
  };
}

/** Allowed also once the settings are locked. */
const unlocked = `['enable_progress_bar', 'enable_progress_bar_print']`;

async function lock(
  connection: DuckDBConnection,
  { allowed = [], readable = [] }: DatabaseOptions,
  spill: SpillFolder,
): Promise<void> {
  const settings = [
    `SET GLOBAL TimeZone = 'UTC'`, // stored timestamps are UTC, so now() compares with them only in UTC
    // The footers of a thousand files cost more than their rows. An entry counts only for a file of the same time of change.
    'SET GLOBAL parquet_metadata_cache = true',
  ];
  if (allowed !== 'any') {
    if (readable !== 'any') {
      const folders = await Promise.all([...allowed, ...readable, spill.path].map(spellings));
      settings.push(
        `SET GLOBAL allowed_directories = [${folders.flat().map(quoteText).join(', ')}]`,
        'SET GLOBAL enable_external_access = false',
      );
    }
    settings.push(`SET GLOBAL allowed_configs = ${unlocked}`, 'SET GLOBAL lock_configuration = true');
  }
  await inFlight.add(() => connection.run(settings.join(';\n')));
}

/** DuckDB compares paths as text, so a folder reached through a link is allowed under both names. */
async function spellings(folder: string): Promise<string[]> {
  const path = resolve(folder);
  return [...new Set([path, await realpath(path).catch(() => path)])];
}
