import { join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import type { TableName } from '../schema.ts';
import { settled } from '../settled.ts';
import { openSql } from '../sql.ts';
import type { Batch, BatchId, Claim, ClaimRequest, Snapshot, Store } from '../store.ts';
import { claimRun } from './claims.ts';
import { makeFolder } from './files.ts';
import type { DuckDBLimits } from './limits.ts';
import { createTables, folderPath, isStore, keepOpenSql, type Logs, logsIn } from './parquet-folder.ts';
import type { LogStates, ParquetReader } from './parquet-reader.ts';
import { Reopening } from './reopening.ts';
import { childTables } from './scope-rows.ts';
import type { SegmentWriter } from './segment-writer.ts';

/**
 * A store as a folder of Delta Lake tables: immutable Parquet segments, and for each table a log that says which of them count.
 * Any number of processes may write it and read it at once. Nothing is opened, and DuckDB not even loaded, before it is needed.
 */
export class ParquetStore implements Store {
  readonly label: string;
  readonly #folder: string;
  readonly #limits: DuckDBLimits;
  readonly #logs: Logs;
  readonly #underWay = new Set<Promise<unknown>>();
  /** Whoever only reads must not find a store that his own question has made. */
  #mayCreate = false;
  #exists = false;
  readonly #writer = new Reopening<SegmentWriter>();
  readonly #reader = new Reopening<ParquetReader>();
  #closed = false;

  /** Throws STORE_PATH for what cannot be a path of a folder. */
  constructor(folder: string, { memoryLimit, threads }: DuckDBLimits = {}) {
    this.#folder = folderPath(folder);
    this.#limits = { memoryLimit, threads };
    this.#logs = logsIn(this.#folder);
    this.label = `ParquetStorage(${show(folder, 300)})`;
  }

  async claim(request: ClaimRequest): Promise<Claim> {
    return await this.#use(async () => {
      await this.#logs.scopes.checkPlace();
      await isStore(this.#folder, this.#logs); // refuses what cannot become one, before anything is put there
      const claim = await claimRun(join(this.#folder, '_runs'), request);
      this.#mayCreate = true;
      return claim;
    });
  }

  /**
   * Segments first, then the logs: those of the children, then `scopes`, with which the batch is there, then `runs`. What an
   * attempt before has done is not done again.
   */
  async write(batch: Batch): Promise<void> {
    const { id } = batch;
    checkId(id);
    await this.#use(async () => {
      await this.#logs.scopes.checkPlace(); // another store's segments must not be added to what is known of this one
      this.#mayCreate = true;
      const writer = await this.#writer.get(() => this.#openWriter());
      const states = await this.#refresh();
      const tables = (Object.keys(batch.tables) as TableName[]).filter((table) => (batch.tables[table]?.numRows ?? 0) > 0);
      const segments = await writer.write(
        batch,
        tables.filter((table) => !states[table].has(id)),
      );
      const append = async (table: TableName, needs?: Readonly<Record<string, number>>): Promise<number> =>
        await this.#logs[table].append(id, segments.get(table) ?? null, needs);

      const needs = Object.fromEntries(
        await settled(
          childTables.map(async (table) => [table, tables.includes(table) ? await append(table) : states[table].version]),
        ),
      );
      await append('scopes', needs);
      if (tables.includes('runs')) await append('runs');
    });
  }

  async snapshot(unflushed: readonly Batch[]): Promise<Snapshot> {
    return await this.#use(async () => {
      await this.#logs.scopes.checkPlace();
      if (!this.#exists) await this.#requireStore();
      const states = await this.#refresh();
      const reader = await this.#reader.get(() => this.#openReader(states));
      return reader.snapshot(states, unflushed);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    await settled([this.#writer.close(), this.#reader.close()]);
  }

  /** `scopes` first: a batch that it has is then in the other tables as well. `runs` last, for it is written last. */
  async #refresh(): Promise<LogStates> {
    const logs = this.#logs;
    const scopes = await logs.scopes.refresh();
    const [artifacts, tags, logMessages, edges] = await Promise.all([
      logs.artifacts.refresh(),
      logs.tags.refresh(),
      logs.logs.refresh(),
      logs.edges.refresh(),
    ]);
    return { scopes, artifacts, tags, logs: logMessages, edges, runs: await logs.runs.refresh() };
  }

  /** Makes the store if it is not there. */
  async #openWriter(): Promise<SegmentWriter> {
    const exists = await isStore(this.#folder, this.#logs);
    await makeFolder(this.#folder);
    const [{ SegmentWriter }, { quoteText }] = await Promise.all([import('./segment-writer.ts'), import('../duckdb.ts')]);
    const writer = await SegmentWriter.open(this.#folder, this.#limits);
    try {
      if (!exists) await createTables(this.#logs, async (table) => await writer.writeEmpty(table));
      await keepOpenSql(this.#folder, openSql(quoteText(this.#folder)));
    } catch (error) {
      await writer.close();
      throw error;
    }
    this.#exists = true;
    return writer;
  }

  async #openReader(states: LogStates): Promise<ParquetReader> {
    const { ParquetReader } = await import('./parquet-reader.ts');
    return await ParquetReader.open(this.#folder, this.#limits, states);
  }

  async #requireStore(): Promise<void> {
    this.#exists = await isStore(this.#folder, this.#logs);
    if (this.#exists) return;
    if (this.#mayCreate) await this.#writer.get(() => this.#openWriter());
    else throw new MarqueError('STORE_PATH', `there is no store in ${show(this.#folder, 300)}: nothing has been written yet`);
  }

  async #use<T>(job: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new MarqueError('STORE_CLOSED', `${this.label} is closed`);
    const running = job();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }
}

/** The name of a segment is made from it: it has to be a file name, and tell one writer from another. */
function checkId({ writer, number }: BatchId): void {
  if (/^[A-Za-z0-9_-]+\/\d+$/.test(writer) && Number.isSafeInteger(number) && number >= 1) return;
  throw new MarqueError(
    'OPTION_INVALID',
    `${show(writer)} cannot write batch ${number}: writers are called <uuid>/<epoch>, batches 1, 2, 3, …`,
  );
}
