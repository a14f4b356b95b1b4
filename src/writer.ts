import type { RecordBatch } from 'apache-arrow';
import { messageOf } from './error.ts';
import { type Mark, Recorder, rowsIn } from './recorder.ts';
import type { TableName } from './schema.ts';
import type { Batch, Claim } from './store.ts';

/** When rows leave memory for the store, whichever comes first. */
export interface FlushPolicy {
  /** Finished scopes. Default 10,000. */
  readonly scopes: number;
  /** Roughly the bytes of text and data held. Default 32 MiB. */
  readonly bytes: number;
  /** Milliseconds after the oldest row not yet flushed. Default 500. */
  readonly ms: number;
}

interface Sealed {
  readonly number: number;
  readonly mark: Mark;
  batch: Promise<Batch> | null;
}

/** Sealed batches that may wait for the store before dispatch is held up. */
const mostWaiting = 2;

/**
 * Carries one run's rows from memory into the store: seals the buffer into numbered batches and writes them one after another
 * in the background. A batch that could not be written stays, with its number, and is tried again by the next flush.
 */
export class Writer {
  readonly claim: Claim;
  readonly uuid: string;
  readonly #write: (batch: Batch) => Promise<void>;
  readonly policy: FlushPolicy;
  readonly #flow: string;
  readonly #id: string;
  readonly #onFailure: (message: string) => void;
  #recorder: Recorder;
  #nextNumber = 1;
  #sealed: Sealed[] = [];
  #writing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    write: (batch: Batch) => Promise<void>,
    claim: Claim,
    uuid: string,
    flow: string,
    policy: FlushPolicy,
    onFailure: (message: string) => void,
  ) {
    this.#write = write;
    this.claim = claim;
    this.uuid = uuid;
    this.#flow = flow;
    this.policy = policy;
    this.#onFailure = onFailure;
    this.#id = `${uuid}/0`;
    this.#recorder = new Recorder(flow, claim.slug);
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
    if (scopes.sid.length >= this.policy.scopes || bytes >= this.policy.bytes) this.#flushInBackground();
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

  /** The rows that the store may not have yet, as they are at the moment of the call. */
  async unflushed(): Promise<readonly Batch[]> {
    const open = this.#recorder.mark();
    const number = this.#nextNumber;
    const sealed = this.#sealed.map((one) => this.#built(one));
    return Promise.all(rowsIn(open) === 0 ? sealed : [...sealed, this.#build(number, open)]);
  }

  #seal(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const mark = this.#recorder.mark();
    if (rowsIn(mark) === 0) return;
    this.#sealed.push({ number: this.#nextNumber++, mark, batch: null });
    this.#recorder = new Recorder(this.#flow, this.claim.slug);
  }

  async #writeFirst(): Promise<void> {
    const first = this.#sealed[0] as Sealed;
    const batch = await this.#built(first);
    await this.#write(batch);
    this.#sealed.shift();
  }

  /** The batch, built once; a build that failed is tried again. */
  #built(sealed: Sealed): Promise<Batch> {
    sealed.batch ??= this.#build(sealed.number, sealed.mark).catch((error: unknown) => {
      sealed.batch = null;
      throw error;
    });
    return sealed.batch;
  }

  async #build(number: number, mark: Mark): Promise<Batch> {
    const { recordBatch } = await import('./batch.ts');
    const tables: Partial<Record<TableName, RecordBatch>> = {};
    for (const [table, columns] of Object.entries(mark.tables)) {
      const rows = mark.rows[table as TableName] ?? 0;
      if (rows > 0) tables[table as TableName] = recordBatch(table as TableName, columns, rows);
    }
    return { id: { writer: this.#id, number }, tables };
  }

  #startTimer(): void {
    // Not a reason to keep the process alive: whoever runs out of events with rows unflushed is flushed by the flow.
    this.#timer = setTimeout(() => this.#flushInBackground(), this.policy.ms).unref();
  }

  #flushInBackground(): void {
    this.flush().catch((error: unknown) => this.#onFailure(messageOf(error)));
  }
}
