import { type Row, type TableName, tableNames } from '../src/schema.ts';
import type { Search } from '../src/search.ts';
import { sidOf } from '../src/sid.ts';
import type { Batch, Claim, ScopeRecord, Store } from '../src/store.ts';
import { batchOfRows } from '../src/storage/row-batch.ts';

/** Rows by table, as a test makes them up. */
export type Rows = { [T in TableName]: Partial<Row<T>>[] };

/** A run whose rows a test makes up: it says what matters to it, and columns that must not be null have a value anyway. */
export class RowMaker {
  readonly number: number;
  readonly slug: string;
  readonly flow: string;
  readonly uuid: string;
  readonly #rows: Rows = { artifacts: [], tags: [], logs: [], edges: [], scopes: [], runs: [] };
  #lastBatch = 0;

  constructor({ number, slug }: Pick<Claim, 'number' | 'slug'>, flow = 'flow') {
    this.number = number;
    this.slug = slug;
    this.flow = flow;
    this.uuid = `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`;
  }

  sid(ordinal: number): number {
    return sidOf(this.number, ordinal);
  }

  scope(ordinal: number, columns: Partial<Row<'scopes'>> = {}): this {
    const defaults = {
      path: `0-${ordinal}`,
      attempt: 1,
      status: 'ok',
      started_at: 1_750_000_000_000 + ordinal,
      duration_ms: ordinal / 8,
    };
    return this.#add('scopes', { ...this.#place(ordinal), ...defaults, ...columns });
  }

  tag(ordinal: number, seq: number, content: string, value: number | null = null, columns: Partial<Row<'tags'>> = {}): this {
    return this.#add('tags', { ...this.#place(ordinal), seq, content, value, ...columns });
  }

  log(ordinal: number, seq: number, message: string, columns: Partial<Row<'logs'>> = {}): this {
    return this.#add('logs', {
      ...this.#place(ordinal),
      seq,
      level: 'info',
      message,
      logged_at: 1_750_000_000_500 + seq,
      ...columns,
    });
  }

  artifact(ordinal: number, seq: number, name: string, columns: Partial<Row<'artifacts'>>): this {
    return this.#add('artifacts', { ...this.#place(ordinal), seq, name, codec: 'json', ...columns });
  }

  edge(ordinal: number, target: number, columns: Partial<Row<'edges'>> = {}): this {
    return this.#add('edges', { ...this.#place(ordinal), kind: 'recalled', target_sid: target, name: 'data', ...columns });
  }

  event(event: string, at: number, details: object | null = null): this {
    const { number, uuid, slug, flow } = this;
    return this.#add('runs', {
      run_number: number,
      uuid,
      slug,
      flow,
      event,
      happened_at: at,
      details: details === null ? null : JSON.stringify(details),
    });
  }

  /** Everything made up since the last batch, under the next number. */
  async batch(): Promise<Batch> {
    const batch = await batchOfRows(this.#rows);
    for (const table of tableNames) this.#rows[table].length = 0;
    return { id: { writer: `${this.uuid}/0`, number: ++this.#lastBatch }, tables: batch.tables };
  }

  #place(ordinal: number): { sid: number; flow: string; run: string; step: string | null } {
    return { sid: this.sid(ordinal), flow: this.flow, run: this.slug, step: ordinal === 0 ? null : 'step' };
  }

  #add<T extends TableName>(table: T, columns: Partial<Row<T>>): this {
    (this.#rows[table] as Partial<Row<T>>[]).push(columns);
    return this;
  }
}

/** Claims a run and makes rows of it up. */
export async function claimRows(store: Store, slug: string, flow = 'flow'): Promise<RowMaker> {
  const claim = await store.claim({ uuid: crypto.randomUUID(), flow, drawSlug: () => slug });
  await claim.release();
  return new RowMaker(claim, flow);
}

/** A search for everything, but for what a test says. */
export function searchFor(parts: Partial<Search> = {}): Search {
  const everything = {
    glob: null,
    flow: null,
    step: null,
    predicate: null,
    where: null,
    runs: { kind: 'all' },
    order: 'oldest',
    limit: null,
  } as const;
  return { ...everything, status: ['ok', 'error', 'retried', 'skipped'], ...parts };
}

/** What a store shows with these batches unflushed: sids by search, then the scopes themselves. */
export async function findIn(
  store: Store,
  search: Partial<Search> = {},
  unflushed: readonly Batch[] = [],
): Promise<readonly number[]> {
  return await withSnapshot(store, unflushed, (snapshot) => snapshot.find(searchFor(search)));
}

export async function readIn(
  store: Store,
  sids: readonly number[],
  unflushed: readonly Batch[] = [],
): Promise<readonly ScopeRecord[]> {
  return await withSnapshot(store, unflushed, (snapshot) => snapshot.read(sids));
}

/** Rows of a SELECT as lists of values. */
export async function selectIn(store: Store, text: string, unflushed: readonly Batch[] = []): Promise<unknown[][]> {
  return await withSnapshot(store, unflushed, async (snapshot) => {
    const { values, rowCount } = await snapshot.select({ text, values: [] });
    return Array.from({ length: rowCount }, (_, row) => values.map((column) => column[row]));
  });
}

async function withSnapshot<T>(
  store: Store,
  unflushed: readonly Batch[],
  job: (snapshot: Awaited<ReturnType<Store['snapshot']>>) => Promise<T>,
): Promise<T> {
  const snapshot = await store.snapshot(unflushed);
  try {
    return await job(snapshot);
  } finally {
    await snapshot.release();
  }
}
