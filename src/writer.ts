import type { RecordBatch } from 'apache-arrow';
import type { TableColumns } from './batch.ts';
import { MarqueError, messageOf } from './error.ts';
import type { FlushPolicy } from './flush-policy.ts';
import { type Mark, Recorder, rowsIn } from './recorder.ts';
import type { TableName } from './schema.ts';
import type { Batch, BatchId, Claim, ParkedBatch, UnwrittenBatch } from './store.ts';

/**
 * What a scope that has ended waits for. `window`: nothing, it is durable when the flush policy says so. `every-scope`: no step follows
 * it, on its place of the concurrency, before it is durable.
 */
export type Durability = 'window' | 'every-scope';

export interface WriterOptions {
  readonly claim: Claim;
  readonly uuid: string;
  readonly flow: string;
  readonly policy: FlushPolicy;
  readonly durability: Durability;
  /** Stores a batch, as `Store.write` does. */
  write(batch: Batch): Promise<void>;
  /** Takes a batch out of memory, as `Store.park` does. */
  park(id: BatchId, mark: Mark): ParkedBatch | null;
  /** Told of flushes in the background that fail. */
  onFailure(message: string): void;
}

interface Sealed {
  readonly number: number;
  rows: Mark | ParkedBatch;
  batch: Promise<Batch> | null;
}

/** Some of the rows of the buffer: those that a mark has, and the part before it has not. */
interface Part {
  readonly end: Mark;
  /** How many, of all tables. */
  readonly rows: number;
  readonly batch: Promise<Batch>;
}

/** Sealed batches that may wait for the store before dispatch is held up. */
const mostWaiting = 2;
/** Sealed batches that may be in memory: more come only from steps that go on recording where nobody can hold them up. */
const mostInMemory = 4;
/** Milliseconds between two attempts at a store that keeps failing, at the most. */
const longestPause = 30_000;
/** What a timer takes, in milliseconds: more would count as one. */
const longestTimer = 2 ** 31 - 1;

/**
 * Carries one run's rows from memory into the store: seals the buffer into numbered batches and writes them one after another
 * in the background. A batch that could not be written stays, with its number, and is tried again by the next flush, or after a pause:
 * as long as a row waits for the first one, and twice as long after each further failure.
 */
export class Writer {
  readonly claim: Claim;
  readonly uuid: string;
  readonly policy: FlushPolicy;
  readonly durability: Durability;
  readonly #options: WriterOptions;
  readonly #id: string;
  #recorder: Recorder;
  #nextNumber = 1;
  #sealed: Sealed[] = [];
  /** What queries were given of the buffer, from its beginning, each part much larger than the next one. */
  #parts: Part[] = [];
  #writing: Promise<void> | null = null;
  #shared: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #retry: NodeJS.Timeout | null = null;
  #failures = 0; // since a batch was last written

  constructor(options: WriterOptions) {
    this.#options = options;
    this.claim = options.claim;
    this.uuid = options.uuid;
    this.policy = options.policy;
    this.durability = options.durability;
    this.#id = `${options.uuid}/0`;
    this.#recorder = new Recorder(options.flow, options.claim.slug);
  }

  /** Where rows go. Ask anew for each row: a flush replaces it. */
  get recorder(): Recorder {
    return this.#recorder;
  }

  /** Whether dispatch should wait for `flush()` before it makes more rows. */
  get isFull(): boolean {
    return this.#sealed.length >= mostWaiting;
  }

  /** Whether a batch is being written at this moment. */
  get isWriting(): boolean {
    return this.#writing !== null;
  }

  /** Called after rows were recorded: starts a flush in the background, or the timer to one, as the policy says. */
  recorded(): void {
    const { scopes, bytes } = this.#recorder;
    if (scopes.sid.length >= this.policy.scopes || bytes >= this.policy.bytes) this.#flushInBackground(this.flush());
    else if (this.#timer === null) this.#startTimer();
  }

  /** Everything recorded before the call is durable when it resolves. Rejects if the store fails; nothing is lost by that. */
  async flush(): Promise<void> {
    this.#seal();
    const last = this.#sealed.at(-1)?.number ?? 0;
    while ((this.#sealed[0]?.number ?? Number.POSITIVE_INFINITY) <= last) {
      this.#writing ??= this.#writeFirst().finally(() => (this.#writing = null));
      await this.#writing;
    }
  }

  /** Like `flush`, for many who ask one after another: those who come while a batch is being written share the next one. */
  sharedFlush(): Promise<void> {
    this.#shared ??= this.#flushAfterWriting();
    return this.#shared;
  }

  /** Starts such a flush in the background. */
  flushSoon(): void {
    this.#flushInBackground(this.sharedFlush());
  }

  /** The rows that the store may not have yet, as they are at the moment of the call. The latest batch may come in parts, under one id. */
  async unflushed(): Promise<readonly Batch[]> {
    const open = this.#openParts();
    const sealed = this.#sealed.map((one) =>
      this.#built(one).catch((error: unknown) => {
        if (this.#sealed.includes(one)) throw error;
        return null; // it was parked, and has been stored meanwhile
      }),
    );
    const batches = await Promise.all([...sealed, ...open]);
    return batches.filter((batch) => batch !== null);
  }

  /** The same for when nothing asynchronous runs any more: the batch that is being written is one of them. */
  unwritten(): readonly UnwrittenBatch[] {
    const open = this.#recorder.mark();
    const all = rowsIn(open) === 0 ? this.#sealed : [...this.#sealed, { number: this.#nextNumber, rows: open }];
    return all.map(({ number, rows }) => ({ id: { writer: this.#id, number }, rows }));
  }

  /** The store takes no rows any more: nothing is tried again in the background. */
  stopTrying(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#timer = null;
    this.#retry = null;
  }

  #seal(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const mark = this.#recorder.mark();
    if (rowsIn(mark) === 0) return;
    const sealed: Sealed = { number: this.#nextNumber++, rows: mark, batch: null };
    this.#recorder = new Recorder(this.#options.flow, this.claim.slug);
    this.#parts = [];
    if (this.#sealed.length >= mostInMemory) this.#park(sealed, mark);
    this.#sealed.push(sealed);
  }

  /** A step that records on and on without coming back to us would fill the memory, faster than any store takes it. */
  #park(sealed: Sealed, mark: Mark): void {
    try {
      sealed.rows = this.#options.park({ writer: this.#id, number: sealed.number }, mark) ?? mark;
    } catch (error) {
      this.#options.onFailure(`a batch stays in memory: ${messageOf(error)}`);
    }
  }

  async #flushAfterWriting(): Promise<void> {
    do
      await this.#writing?.catch(() => undefined); // whoever started that is told
    while (this.#writing !== null);
    this.#shared = null;
    await this.flush();
  }

  async #writeFirst(): Promise<void> {
    const first = this.#sealed[0] as Sealed;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    try {
      await this.#options.write(await this.#built(first));
    } catch (error) {
      if (!(error instanceof MarqueError && error.code === 'STORE_CLOSED')) this.#retryLater();
      throw error;
    }
    this.#failures = 0;
    this.#sealed.shift();
    if (isParked(first.rows)) await first.rows.remove();
  }

  /** The batch, built once; a build that failed is tried again. */
  #built(sealed: Sealed): Promise<Batch> {
    const { number, rows } = sealed;
    if (isParked(rows)) return rows.read();
    sealed.batch ??= this.#build(number, rows).catch((error: unknown) => {
      sealed.batch = null;
      throw error;
    });
    return sealed.batch;
  }

  /**
   * The buffer as parts, of which only what came since the last query is built: with all of it built anew, queries of a long run would take
   * time in its square. A part that is no larger than what follows goes into one with it, so there are few, and each row is built a few times.
   */
  #openParts(): readonly Promise<Batch>[] {
    const end = this.#recorder.mark();
    let rows = rowsIn(end) - this.#parts.reduce((sum, part) => sum + part.rows, 0);
    if (rows > 0) {
      for (let last = this.#parts.at(-1); last !== undefined && last.rows <= rows; last = this.#parts.at(-1)) {
        rows += last.rows;
        this.#parts.pop();
      }
      const batch = this.#build(this.#nextNumber, end, this.#parts.at(-1)?.end);
      const part: Part = { end, rows, batch };
      this.#parts.push(part);
      batch.catch(() => {
        const index = this.#parts.indexOf(part);
        if (index !== -1) this.#parts.length = index; // tried again by the next query
      });
    }
    return this.#parts.map(({ batch }) => batch);
  }

  /** The rows that a mark has, or those of them that one before has not. */
  async #build(number: number, mark: Mark, before?: Mark): Promise<Batch> {
    const { recordBatch } = await import('./batch.ts');
    const tables: Partial<Record<TableName, RecordBatch>> = {};
    for (const [table, columns] of Object.entries(mark.tables) as [TableName, TableColumns][]) {
      const [first, end] = [before?.rows[table] ?? 0, mark.rows[table] ?? 0];
      if (end > first) tables[table] = recordBatch(table, columns, end, first);
    }
    return { id: { writer: this.#id, number }, tables };
  }

  #startTimer(): void {
    const { ms } = this.policy;
    if (ms === Number.POSITIVE_INFINITY) return;
    // Not a reason to keep the process alive: whoever runs out of events with rows unflushed is flushed by the flow.
    this.#timer = setTimeout(() => this.#flushInBackground(this.flush()), Math.min(ms, longestTimer)).unref();
  }

  /** Nobody may record anything for a long time, and what has been recorded is to be durable all the same. */
  #retryLater(): void {
    const pause = Math.min(this.policy.ms * 2 ** this.#failures++, longestPause);
    this.#retry = setTimeout(() => this.#flushInBackground(this.flush()), pause).unref();
  }

  #flushInBackground(flush: Promise<void>): void {
    flush.catch((error: unknown) => this.#options.onFailure(messageOf(error)));
  }
}

function isParked(rows: Mark | ParkedBatch): rows is ParkedBatch {
  return 'read' in rows;
}
