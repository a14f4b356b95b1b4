import { compileSearch } from './compile.ts';
import { MarqueError, show } from './error.ts';
import type { Explanation } from './explanation.ts';
import { textBound } from './glob.ts';
import { Lazy } from './lazy.ts';
import { orNear } from './near.ts';
import type { Reading } from './reading.ts';
import type { ResultTable } from './result-table.ts';
import { Scope, type Witness } from './scope.ts';
import type { Search } from './search.ts';
import type { ScopeRecord, Snapshot, Statement } from './store.ts';

/** Scopes are read so many at a time, at first and at most: memory does not grow with what was found. */
const fewest = 64;
const most = 1_024;

/** Pages grow while they take less than the one, in bytes, roughly, and shrink when they take more than the other. */
const lightPage = 4 * 2 ** 20;
const heavyPage = 16 * 2 ** 20;

/** Ids are read so many at a time. */
const idsAtOnce = 16_384;

/**
 * A search that runs when it is asked for its answer, and again each time it is asked. What it sees is everything that had
 * finished by then, flushed or not. Iterate it (`for await`), or await it for an array.
 */
export class Query extends Lazy<Scope> {
  readonly #open: () => Promise<Snapshot>;
  readonly #search: Search;
  readonly #witness: Witness | null;
  readonly #reading: Reading;

  /** The witness is told of every scope that is delivered, whole or as an id or a row, and not of those that are only counted. */
  constructor(
    open: () => Promise<Snapshot>,
    search: Search,
    witness: Witness | null = null,
    reading: Reading = { artifacts: true, signal: undefined },
  ) {
    super();
    this.#open = open;
    this.#search = search;
    this.#witness = witness;
    this.#reading = reading;
  }

  override async *[Symbol.asyncIterator](): AsyncGenerator<Scope, void, undefined> {
    for await (const page of this.#pages(this.#search)) for (const record of page) yield this.#deliver(record);
  }

  /** The first scope in the query's order, or undefined. */
  async first(): Promise<Scope | undefined> {
    for await (const page of this.#pages({ ...this.#search, limit: Math.min(1, this.#search.limit ?? 1) })) {
      return page[0] && this.#deliver(page[0]);
    }
    return undefined;
  }

  /** How many scopes there are, without finding each of them. */
  async count(): Promise<number> {
    return await this.#ask(async (snapshot) => {
      const count = await snapshot.count(this.#search, this.#reading);
      if (count === 0) await this.#checkRun(snapshot);
      return count;
    });
  }

  /** `flow.step.run.path` of each scope, in order. */
  async ids(): Promise<string[]> {
    return await this.#ask(async (snapshot) => {
      const ids: string[] = [];
      for await (const sids of this.#sids(snapshot, this.#search)) {
        for (let from = 0; from < sids.length; from += idsAtOnce)
          for (const id of await snapshot.ids(sids.slice(from, from + idsAtOnce), this.#reading)) ids.push(id);
        for (const sid of sids) this.#witness?.found(sid);
      }
      return ids;
    });
  }

  /** One row a scope: its own columns, without tags, logs and artifacts, which are not read. Times are in milliseconds. */
  async toArrow(): Promise<ResultTable> {
    const result = await this.#ask(async (snapshot) => {
      const all: (readonly number[])[] = [];
      for await (const sids of this.#sids(snapshot, this.#search)) all.push(sids);
      const sids = all.flat();
      const table = await snapshot.table(sids, this.#reading);
      for (const sid of sids) this.#witness?.found(sid);
      return table;
    });
    const { tableOf } = await import('./arrow-table.ts');
    return tableOf(result);
  }

  /** The SQL that finds the sids, with its bound values; a JavaScript `where` is not part of it. */
  toSQL(): Statement {
    return compileSearch({ ...this.#search, where: null });
  }

  /** How the scopes are found: what runs, and which part of the store it reads. Nothing of it is run. */
  async explain(): Promise<Explanation> {
    return await this.#ask((snapshot) => snapshot.explain(this.#search));
  }

  #deliver(record: ScopeRecord): Scope {
    this.#witness?.found(record.sid);
    return new Scope(record, this.#witness);
  }

  protected override statementShown(): Statement {
    return this.toSQL();
  }

  async *#pages(search: Search): AsyncGenerator<readonly ScopeRecord[], void, undefined> {
    const { signal } = this.#reading;
    const snapshot = await this.#opened();
    try {
      let size = fewest;
      for await (const sids of this.#sids(snapshot, search)) {
        for (let from = 0; from < sids.length;) {
          const page = await snapshot.read(sids.slice(from, from + size), this.#reading);
          signal?.throwIfAborted();
          from += size;
          const bytes = page.reduce((sum, record) => sum + weightOf(record), 0);
          if (bytes < lightPage) size = Math.min(2 * size, most);
          else if (bytes > heavyPage) size = Math.max(1, size >> 1);
          yield page;
          signal?.throwIfAborted();
        }
      }
    } finally {
      await snapshot.release();
    }
  }

  async *#sids(snapshot: Snapshot, search: Search): AsyncGenerator<readonly number[], void, undefined> {
    let isEmpty = true;
    for await (const sids of snapshot.pages(search, this.#reading)) {
      isEmpty = false;
      yield sids;
    }
    if (isEmpty) await this.#checkRun(snapshot);
  }

  async #ask<T>(question: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    const snapshot = await this.#opened();
    try {
      return await question(snapshot);
    } finally {
      await snapshot.release();
    }
  }

  async #opened(): Promise<Snapshot> {
    this.#reading.signal?.throwIfAborted();
    return await this.#open();
  }

  /** Where nothing was found: whether the run that was named is there at all. */
  async #checkRun(snapshot: Snapshot): Promise<void> {
    const { runs } = this.#search;
    if (runs.kind !== 'slug') return;
    const bound = textBound(runs.glob);
    const [slug, ...others] = bound?.kind === 'equals' ? bound.texts : [];
    if (slug === undefined || others.length > 0) return;
    const slugs = await snapshot.slugs();
    if (!slugs.includes(slug)) throw new MarqueError('RUN_UNKNOWN', `there is no run ${show(slug)}.${orNear(slug, slugs)}`);
  }
}

/** What a scope takes in memory, roughly, in bytes. */
function weightOf({ tags, logs, artifacts, params, errorStack }: ScopeRecord): number {
  let bytes = 500 + 100 * tags.length + (params?.length ?? 0) + (errorStack?.length ?? 0);
  for (const { message } of logs) bytes += 100 + message.length;
  for (const { text, bytes: data } of artifacts) bytes += 100 + (text?.length ?? 0) + (data?.length ?? 0);
  return bytes;
}
