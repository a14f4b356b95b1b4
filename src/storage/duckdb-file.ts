import { stat } from 'node:fs/promises';
import type { Connection, Database, Run } from '../duckdb.ts';
import { MarqueError, show } from '../error.ts';
import { quoteName } from '../quote.ts';
import { tableNames } from '../schema.ts';
import { lastRunNumber, runNumberOf, sidOf } from '../sid.ts';
import { SqlSnapshot } from '../snapshot.ts';
import { viewsSql } from '../sql.ts';
import type { Batch, Claim, ClaimRequest, Snapshot } from '../store.ts';
import { AcknowledgedFile } from './acknowledged.ts';
import type { Anchor } from './anchor.ts';
import { damagedFile } from './damage.ts';
import { countBatches, openDuckDB, type OpenedDuckDB } from './duckdb-opening.ts';
import { freeSlug } from './free-slug.ts';
import { type Estate, eventColumns, eventsIn, inherit, type LiveRun, liveRunsOf } from './heir.ts';
import type { DuckDBLimits } from './limits.ts';
import type { Lock } from './lock.ts';
import { currentOwner, isProvenDead } from './owner.ts';
import type { Mortal } from './reopening.ts';
import type { Spills } from './spills.ts';
import { unwritable } from './unwritable.ts';

/** A write-ahead log beyond this size goes into the file itself. It is the size at which DuckDB would do so unasked. */
const longLog = 16 * 2 ** 20;

/** A file that an older version made does not say which runs have begun in it. */
const addBegins = 'ALTER TABLE raw.claims ADD COLUMN IF NOT EXISTS begins BOOLEAN';

/**
 * A `.duckdb` file that is open and locked. It holds the tables of `sql/schema.sql` and `sql/ledger.sql`, and the views. Beside it, a
 * database in memory has the same views over the rows of the file and those of unflushed batches.
 */
export class DuckDBFile implements Mortal {
  readonly #path: string;
  readonly #lock: Lock;
  readonly #database: Database;
  readonly #catalog: string;
  readonly #writer: Connection;
  readonly #reader: Connection;
  readonly #selects: Connection;
  readonly #acknowledged: AcknowledgedFile;
  readonly #anchor: Anchor;
  #inheritance: Promise<void> | null = null;

  private constructor({ path, lock, database, catalog, writer, readers }: OpenedDuckDB, anchor: Anchor) {
    this.#path = path;
    this.#lock = lock;
    this.#database = database;
    this.#catalog = quoteName(catalog);
    this.#writer = writer;
    [this.#reader, this.#selects] = readers;
    this.#acknowledged = new AcknowledgedFile(path);
    this.#anchor = anchor;
  }

  /**
   * Opens a file, and if `create` says so makes it where there is none or an empty one. An anchor that holds a file lets no other be
   * opened.
   *
   * @throws MarqueError STORE_PATH, STORE_FORMAT, STORE_LOCKED, STORE_DAMAGED, STORE_UNWRITABLE.
   */
  static async open(given: string, create: boolean, limits: DuckDBLimits, anchor: Anchor): Promise<DuckDBFile> {
    return new DuckDBFile(await openDuckDB(given, create, limits, anchor), anchor);
  }

  /** The path that all names of the file lead to. */
  get path(): string {
    return this.#path;
  }

  /**
   * Settles, once, what earlier processes left. Whoever has the file locked has it alone: every run that is not one of `own`, which this
   * process has under way, has ended.
   */
  async inherit(spills: Spills, own: ReadonlySet<number>): Promise<void> {
    this.#inheritance ??= this.#renewViews().then(() => inherit(this.#estate(spills, own)));
    await this.#inheritance;
  }

  /** Durable and acknowledged when it resolves. A batch that is there already is acknowledged once more. */
  async store(batch: Batch): Promise<void> {
    const { writer, number } = batch.id;
    const token = this.#database.pin([batch]);
    try {
      const counts = await this.#transaction(async (run) => {
        const id = [writer, BigInt(number)];
        const { rowCount } = await run('SELECT 1 FROM raw.batches WHERE writer = $1 AND number = $2', id);
        if (rowCount === 0) {
          for (const table of tableNames) {
            if (batch.tables[table] !== undefined)
              await run(`INSERT INTO raw.${table} SELECT * FROM batch($1, '${table}')`, [token]);
          }
          await run('INSERT INTO raw.batches VALUES ($1, $2)', id);
        }
        return await countBatches(run);
      });
      await this.#acknowledged.write(counts);
    } finally {
      this.#database.unpin(token);
    }
  }

  async claim(request: ClaimRequest): Promise<Claim> {
    const { counts, number, slug } = await this.#transaction(async (run) => {
      const last = (await run('SELECT coalesce(max(number), 0) FROM raw.claims')).values[0]?.[0] as number;
      const next = Math.max(last, request.after ?? 0) + 1;
      if (next > lastRunNumber)
        throw new MarqueError(
          'STORE_UNWRITABLE',
          `${show(this.#path, 300)} has used up its ${lastRunNumber} run numbers: use a new store`,
        );
      const free = await freeSlug(
        request,
        async (slug) => (await run('SELECT 1 FROM raw.claims WHERE slug = $1', [slug])).rowCount === 0,
      );
      const { uuid, flow } = request;
      const { host, pid } = currentOwner();
      await run(addBegins);
      await run('INSERT INTO raw.claims VALUES ($1, $2, $3, $4, $5, $6, $7, $8)', [
        BigInt(next),
        free,
        uuid,
        flow,
        host,
        BigInt(pid),
        new Date(),
        request.begins === true,
      ]);
      return { counts: await countBatches(run), number: next, slug: free };
    });
    await this.#acknowledged.write(counts);
    return { number, slug, release: () => Promise.resolve() };
  }

  /** Whoever has the file locked has it alone: a claim of this uuid is nobody else's. */
  async reclaim({ uuid }: ClaimRequest, mayBe: (number: number) => boolean): Promise<Claim | null> {
    const text = 'SELECT number, slug FROM raw.claims WHERE uuid = $1 ORDER BY number';
    const { values } = await this.#explained(this.#writer.run(text, [uuid]));
    const [numbers = [], slugs = []] = values as [number[]?, string[]?];
    const row = numbers.findIndex(mayBe);
    return row === -1 ? null : { number: numbers[row] as number, slug: slugs[row] as string, release: () => Promise.resolve() };
  }

  /**
   * The state is a number of rows for each table. Rows are only ever appended, so the first n of them, by rowid, stay the same
   * whatever is written later. A transaction held open would do as well, were it not that DuckDB aborts it with the first
   * query that fails.
   */
  async snapshot(unflushed: readonly Batch[]): Promise<Snapshot> {
    await this.#anchor.check();
    const counts = tableNames.map((table) => `(SELECT count(*) FROM ${this.#catalog}.raw.${table})`);
    const first = unflushed.reduce((least, { id }) => Math.min(least, id.number), Number.MAX_SAFE_INTEGER);
    const capture = this.#reader.run(
      `SELECT [${counts.join(', ')}], (
        SELECT list(writer || ' ' || number) FROM ${this.#catalog}.raw.batches WHERE number >= $1 AND writer IN (SELECT unnest($2::VARCHAR[]))
      ), (SELECT max(sid) FROM ${this.#catalog}.raw.scopes)`,
      [BigInt(first), [...new Set(unflushed.map(({ id }) => id.writer))]],
    );
    const state = await this.#explained(capture);
    const rows = state.values[0]?.[0] as readonly number[];
    const written = new Set(state.values[1]?.[0] as readonly string[] | null);
    const waiting = unflushed.filter(({ id }) => !written.has(`${id.writer} ${id.number}`));
    const last = state.values[2]?.[0] as number | null;
    const token = this.#database.pin(waiting);
    return new SqlSnapshot({
      connection: this.#reader,
      selects: this.#selects,
      before: [
        { text: 'SET VARIABLE written_rows = $1', values: [rows.map(BigInt)] },
        { text: 'SET VARIABLE unflushed = $1', values: [token] },
      ],
      newestRun: () => (last === null ? (waiting.length > 0 ? null : -1) : runNumberOf(last)), // runs that are not stored yet come after it
      release: () => this.#database.unpin(token),
      explain: (error) => damagedFile(this.#path, error),
    });
  }

  /** Moves a long write-ahead log into the file. Only `stat` is used on it: opening it would drop DuckDB's lock. */
  async shortenLog(): Promise<void> {
    const { size } = await stat(`${this.#path}.wal`).catch(() => ({ size: 0 }));
    if (size > longLog && !(await this.#anchor.isGone())) await this.#writer.run('CHECKPOINT');
  }

  get isUsable(): boolean {
    return this.#database.isUsable;
  }

  async close(): Promise<void> {
    try {
      // DuckDB removes the log by its name at a checkpoint, which may be the log of another file by now. What is in ours is durable.
      const isGone = await this.#anchor.isGone().catch(() => true);
      await this.#writer.run(isGone ? 'PRAGMA disable_checkpoint_on_shutdown' : 'CHECKPOINT').catch(() => undefined);
      await this.#database.close();
    } finally {
      await this.#lock.release();
    }
  }

  #estate(spills: Spills, own: ReadonlySet<number>): Estate {
    return {
      spills,
      write: (batch) => this.store(batch),
      liveRuns: () => this.#liveRuns(),
      diedAt: async (run) => (own.has(run.number) ? null : await this.#lastSeen(run)),
      overRuns: () => this.#overRuns(own),
    };
  }

  /** A file that an older version made has that one's views, for whoever opens it with another program. */
  async #renewViews(): Promise<void> {
    await this.#writer.run(addBegins);
    const { rowCount } = await this.#writer.run(
      `SELECT 1 FROM duckdb_views() WHERE NOT internal AND view_name = 'runs' AND sql LIKE '%merging%'`,
    );
    if (rowCount > 0) return;
    await this.#writer.script(viewsSql());
    await this.#writer.run('CHECKPOINT');
  }

  async #liveRuns(): Promise<readonly LiveRun[]> {
    const events = eventsIn(await this.#writer.run(`SELECT ${eventColumns} FROM raw.runs`));
    const silent = await this.#writer.run(
      `SELECT number, uuid, slug, flow, epoch_ms(claimed_at)
      FROM raw.claims ANTI JOIN raw.runs ON number = run_number WHERE begins`,
    );
    const [numbers, uuids, slugs, flows, times] = silent.values as [number[], string[], string[], string[], number[]];
    const claimed = Array.from({ length: silent.rowCount }, (_, row): LiveRun => {
      return {
        number: numbers[row] as number,
        uuid: uuids[row] as string,
        slug: slugs[row] as string,
        flow: flows[row] as string,
        startedAt: times[row] as number,
        starts: 0,
      };
    });
    return [...liveRunsOf(events), ...claimed];
  }

  /** A process that has closed the file may still hold rows of its runs, until it ends. */
  async #overRuns(own: ReadonlySet<number>): Promise<ReadonlySet<string>> {
    const { values, rowCount } = await this.#writer.run('SELECT number, uuid, host, pid FROM raw.claims');
    const [numbers, uuids, hosts, pids] = values as [number[], string[], string[], number[]];
    const over = new Set<string>();
    for (let row = 0; row < rowCount; row++) {
      const owner = { ...currentOwner(), host: hosts[row] as string, pid: pids[row] as number, processStartedAt: null };
      if (!own.has(numbers[row] as number) && isProvenDead(owner)) over.add(uuids[row] as string);
    }
    return over;
  }

  /** The latest time that the rows of a run tell, in epoch milliseconds. */
  async #lastSeen({ number, startedAt }: LiveRun): Promise<number> {
    const range = [BigInt(sidOf(number, 0)), BigInt(sidOf(number + 1, 0))];
    const times = await this.#writer.run(
      `SELECT greatest(
        (SELECT max(epoch_ms(started_at) + duration_ms) FROM raw.scopes WHERE sid >= $1 AND sid < $2),
        (SELECT max(epoch_ms(logged_at)) FROM raw.logs WHERE sid >= $1 AND sid < $2)
      )`,
      range,
    );
    return Math.floor((times.values[0]?.[0] as number | null) ?? startedAt);
  }

  async #transaction<T>(job: (run: Run) => Promise<T>): Promise<T> {
    const checked = async (run: Run): Promise<T> => {
      const value = await job(run);
      await this.#anchor.check(); // last of all: DuckDB writes the log by its name, whosever that is by now
      return value;
    };
    try {
      return await this.#explained(this.#writer.transaction(checked));
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }

  async #explained<T>(running: Promise<T>): Promise<T> {
    try {
      return await running;
    } catch (error) {
      throw damagedFile(this.#path, error);
    }
  }
}
