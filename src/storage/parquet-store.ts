import { join } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { rowsOf } from '../record-rows.ts';
import type { Mark } from '../recorder.ts';
import type { TableName } from '../schema.ts';
import { settled } from '../settled.ts';
import { openSql } from '../sql.ts';
import type { Batch, BatchId, Claim, ClaimRequest, ParkedBatch, Snapshot, Store, UnwrittenBatch } from '../store.ts';
import { claimRun, diedAt, lapsedRuns, overRuns, reclaimRun, silentRuns } from './claims.ts';
import { deletionOf } from './deletion.ts';
import type { Needs } from './delta-entry.ts';
import type { CheckpointFormat } from './delta-log.ts';
import { CurrentStates } from './current-states.ts';
import { makeFolder } from './files.ts';
import { type Estate, inherit, type LiveRun, liveRunsOf } from './heir.ts';
import { inLanes } from './lanes.ts';
import { type DuckDBLimits, readableFolders, type SqlFiles } from './limits.ts';
import { MemorySql } from './memory-sql.ts';
import { mergeRun } from './merge-run.ts';
import { createTables, folderPath, isStore, keepOpenSql, type Logs, logsIn, upgrade } from './parquet-folder.ts';
import type { ParquetReader } from './parquet-reader.ts';
import { checkPresent, pastStates } from './past-states.ts';
import { Reopening } from './reopening.ts';
import { childTables } from './scope-rows.ts';
import type { SegmentWriter } from './segment-writer.ts';
import { Spills, warn } from './spills.ts';
import { lastRunIn, type Tables } from './tables.ts';

/**
 * A store as a folder of Delta Lake tables: immutable Parquet segments, and for each table a log that says which of them count.
 * Any number of processes may write it and read it at once. Nothing is opened, and DuckDB not even loaded, before it is needed.
 */
export class ParquetStore implements Store {
  readonly label: string;
  readonly place: string;
  readonly #folder: string;
  readonly #limits: DuckDBLimits;
  readonly #readable: readonly string[] | 'any';
  #logs: Logs;
  #states: CurrentStates;
  readonly #underWay = new Set<Promise<unknown>>();
  /** Whoever only reads must not find a store that his own question has made. */
  #mayCreate = false;
  #exists = false;
  readonly #writer = new Reopening<SegmentWriter>();
  #openedWriter: SegmentWriter | null = null;
  /** Whether an older format was raised, or left for the next writer. */
  #isUpgraded = false;
  readonly #reader = new Reopening<ParquetReader>();
  readonly #spills: Spills;
  readonly #spillSql: MemorySql;
  #inheritance: Promise<void> | null = null;
  #closed = false;

  /** Throws STORE_PATH for what cannot be a path of a folder. */
  constructor(folder: string, { memoryLimit, threads, sqlFiles }: DuckDBLimits & SqlFiles = {}) {
    this.#folder = folderPath(folder);
    this.#limits = { memoryLimit, threads };
    this.#readable = readableFolders({ sqlFiles });
    this.#logs = this.#newLogs();
    this.#states = new CurrentStates(this.#logs);
    this.#spills = new Spills(join(this.#folder, 'spill'));
    this.#spillSql = new MemorySql({ ...this.#limits, sqlFiles }, (live) => lapsedRuns(this.#claims, live));
    this.label = `ParquetStorage(${show(folder, 300)})`;
    this.place = this.#folder;
  }

  async claim(request: ClaimRequest): Promise<Claim> {
    return await this.#use(async () => {
      await this.#logs.scopes.checkPlace();
      const isThere = await isStore(this.#folder, this.#logs); // refuses what cannot become one, before anything is put there
      // Claims may be lost, and two runs of one number would be one: what is read for it, the first flush needs anyway.
      const last = isThere ? lastRunIn((await this.#states.readable()).states) : 0;
      const claim = await claimRun(this.#claims, { ...request, after: Math.max(last, request.after ?? 0) });
      this.#mayCreate = true;
      return claim;
    });
  }

  async reclaim(request: ClaimRequest, mayBe: (number: number) => boolean): Promise<Claim | null> {
    return await this.#use(async () => {
      await this.#logs.scopes.checkPlace();
      const claim = await reclaimRun(this.#claims, request, mayBe);
      this.#mayCreate ||= claim !== null;
      return claim;
    });
  }

  /**
   * Segments first, then the logs: those of the children, then `scopes`, with which the batch is there, then `runs`. What an
   * attempt before has done is not done again.
   */
  async write(batch: Batch): Promise<void> {
    checkId(batch.id);
    await this.#use(async () => {
      await this.#logs.scopes.checkPlace(); // another store's segments must not be added to what is known of this one
      this.#mayCreate = true;
      this.#inheritance ??= inherit(this.#estate());
      await this.#inheritance;
      await this.#write(batch);
    });
  }

  async snapshot(unflushed: readonly Batch[]): Promise<Snapshot> {
    return await this.#use(async () => {
      await this.#logs.scopes.checkPlace();
      const spilled = await this.#spills.batches(unflushed); // before the logs: what has gone from there is in them
      if (!this.#exists) {
        // Of a process that ended before its first flush a spill is all there is, and who only reads must not make tables of it.
        const isSpillOnly = spilled.length > 0 && !this.#mayCreate && !(await isStore(this.#folder, this.#logs));
        if (isSpillOnly) return await this.#spillSql.snapshot([...spilled, ...unflushed]);
        await this.#requireStore();
      }
      await import('./parquet-reader.ts'); // first, for from here on DuckDB opens on threads of its own, while the logs are read on this one
      const opening = this.#reader.get(() => this.#openReader());
      opening.catch(() => undefined); // whoever waits for it is told
      const { states, damaged } = await this.#states.readable();
      const left = spilled.filter(({ id }) => !states.runs.has(deletionOf(uuidOf(id))));
      return (await opening).snapshot(states, [...left, ...unflushed], damaged);
    });
  }

  /** What can be read of the store as it was at a version, or at a time. */
  async past(point: number | Date): Promise<Snapshot> {
    return await this.#use(async () => {
      await this.#logs.scopes.checkPlace();
      await this.#requireStore();
      const past = await pastStates(this.#folder, this.#logs, point);
      await checkPresent(this.#folder, past, (await this.#states.readable()).states);
      const reader = await this.#reader.get(() => this.#openReader());
      return reader.snapshot(past, []);
    });
  }

  /** Hands the tables to whoever looks after them. The store has to be there, and is written. */
  async maintain<T>(job: (tables: Tables) => Promise<T>): Promise<T> {
    return await this.#use(async () => {
      await this.#logs.scopes.checkPlace();
      await this.#requireStore();
      this.#inheritance ??= inherit(this.#estate());
      await this.#inheritance;
      const tables = await this.#tables();
      const result = await job(tables);
      this.#inBackground(() => this.#checkpoint(tables.writer));
      return result;
    });
  }

  /** Hands the logs to whoever needs nothing else: DuckDB is not loaded, and nothing written by this. The store has to be there. */
  async inspect<T>(job: (folder: string, logs: Logs) => Promise<T>): Promise<T> {
    return await this.#use(async () => {
      await this.#logs.scopes.checkPlace();
      await this.#requireStore();
      return await job(this.#folder, this.#logs);
    });
  }

  /** Hands the files to whoever takes them in whatever state they are. */
  async apart<T>(job: (folder: string, limits: DuckDBLimits) => Promise<T>): Promise<T> {
    return await this.#use(() => job(this.#folder, this.#limits));
  }

  /** What this object knows of the logs is not true any more: it learns it anew. */
  forget(): void {
    this.#logs = this.#newLogs();
    this.#states = new CurrentStates(this.#logs);
    this.#exists = false;
  }

  spill(batches: readonly UnwrittenBatch[]): void {
    this.#spills.writeSync(batches);
  }

  park(id: BatchId, mark: Mark): ParkedBatch {
    return this.#spills.parkSync(id, mark);
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay); // a write leaves work in the background
    await settled([this.#writer.close(), this.#reader.close(), this.#spillSql.close()]);
  }

  async #write(batch: Batch): Promise<void> {
    const { id } = batch;
    const writer = await this.#writer.get(() => this.#openWriter());
    const states = await this.#states.refresh(); // where a log is damaged, nothing may take the place of what is missing
    if (!this.#isUpgraded) await upgrade(this.#logs, this.#claims);
    this.#isUpgraded = true;
    const tables = (Object.keys(batch.tables) as TableName[]).filter((table) => (batch.tables[table]?.numRows ?? 0) > 0);
    const segments = await writer.write(
      batch,
      tables.filter((table) => !states[table].has(id)),
    );
    const append = async (table: TableName, needs?: Needs): Promise<number> =>
      await this.#logs[table].append(id, segments.get(table) ?? null, needs);

    const needs = Object.fromEntries(
      await settled(
        childTables.map(async (table) => [table, tables.includes(table) ? await append(table) : states[table].version]),
      ),
    );
    await append('scopes', needs);
    if (tables.includes('runs')) await append('runs');
    writer.committed(id);
    this.#inBackground(() => this.#checkpoint(writer));
    const { runs } = batch.tables;
    const hasEnded = runs !== undefined && [...rowsOf('runs', runs)].some(({ event }) => event === 'ended');
    if (hasEnded) this.#inBackground(() => this.#mergeRun(id));
  }

  /** Nobody waits for it but `close`, and no run fails for it. */
  async #mergeRun(ended: BatchId): Promise<void> {
    try {
      await mergeRun(await this.#tables(), uuidOf(ended));
    } catch (error) {
      warn(`the segments of a run that has ended stay small, until ${this.label} is compacted: ${messageOf(error)}`);
    }
  }

  async #tables(): Promise<Tables> {
    const writer = await this.#writer.get(() => this.#openWriter());
    return {
      folder: this.#folder,
      logs: this.#logs,
      writer,
      states: () => this.#states.refresh(),
      write: (batch) => this.#write(batch),
    };
  }

  #newLogs(): Logs {
    return logsIn(this.#folder, { readCheckpoint: async (path) => (await this.#anyReader()).readCheckpoint(path) });
  }

  #estate(): Estate {
    return {
      spills: this.#spills,
      write: (batch) => this.#write(batch),
      liveRuns: () => this.#liveRuns(),
      isDeleted: async (uuid) => {
        await this.#writer.get(() => this.#openWriter()); // of a process that ended before its first flush there are no tables yet
        return (await this.#logs.runs.refresh()).has(deletionOf(uuid));
      },
      diedAt: ({ number, uuid }) => diedAt(this.#claims, number, uuid),
      overRuns: () => overRuns(this.#claims),
    };
  }

  /** None where events are damaged: what would be concluded from them would stay. */
  async #liveRuns(): Promise<readonly LiveRun[]> {
    const writer = await this.#writer.get(() => this.#openWriter());
    const { segments } = await this.#logs.runs.refresh();
    try {
      const live = liveRunsOf(await writer.openEvents(segments)); // checks them first
      return [...live, ...(await silentRuns(this.#claims, await writer.runNumbers(segments)))];
    } catch (error) {
      if (!(error instanceof MarqueError && error.code === 'STORE_DAMAGED')) throw error;
      warn(`which runs of ${this.label} have died cannot be told, so none is recorded as aborted: ${messageOf(error)}`);
      return [];
    }
  }

  get #claims(): string {
    return join(this.#folder, '_runs');
  }

  /** Makes the store if it is not there. */
  async #openWriter(): Promise<SegmentWriter> {
    const exists = await isStore(this.#folder, this.#logs);
    await makeFolder(this.#folder);
    const [{ SegmentWriter }, { quoteText }] = await Promise.all([import('./segment-writer.ts'), import('../duckdb.ts')]);
    const writer = await SegmentWriter.open(this.#folder, this.#limits);
    try {
      this.#openedWriter = writer;
      if (!exists) await createTables(this.#logs, async (table) => await writer.writeEmpty(table));
      await this.#states.refresh();
      await this.#checkpoint(writer); // open.sql begins with one
      await keepOpenSql(this.#folder, openSql(quoteText(this.#folder)));
    } catch (error) {
      await writer.close();
      throw error;
    }
    this.#exists = true;
    return writer;
  }

  async #openReader(): Promise<ParquetReader> {
    const { ParquetReader } = await import('./parquet-reader.ts');
    return await ParquetReader.open(this.#folder, this.#limits, this.#readable);
  }

  /** What is open already reads a checkpoint as well. */
  async #anyReader(): Promise<Pick<CheckpointFormat, 'readCheckpoint'>> {
    const writer = this.#openedWriter;
    return writer?.isUsable === true ? writer : await this.#reader.get(() => this.#openReader());
  }

  async #checkpoint(writer: SegmentWriter): Promise<void> {
    await inLanes(Object.values(this.#logs), (log) => log.checkpoint(writer));
  }

  /** Work that makes later work cheaper, and that whoever comes next does where it fails. `close` waits for it. */
  #inBackground(job: () => Promise<void>): void {
    const running = job().catch(() => undefined);
    this.#underWay.add(running);
    void running.finally(() => this.#underWay.delete(running));
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

/** The run that a batch belongs to. */
function uuidOf({ writer }: BatchId): string {
  return writer.slice(0, writer.lastIndexOf('/'));
}

/** The name of a segment is made from it: it has to be a file name, and tell one writer from another. */
function checkId({ writer, number }: BatchId): void {
  if (/^[A-Za-z0-9_-]+\/\d+$/.test(writer) && Number.isSafeInteger(number) && number >= 1) return;
  throw new MarqueError(
    'OPTION_INVALID',
    `${show(writer)} cannot write batch ${number}: writers are called <uuid>/<epoch>, batches 1, 2, 3, …`,
  );
}
