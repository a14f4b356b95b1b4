import { compileSearch } from './compile.ts';
import { MarqueError, show } from './error.ts';
import type { Explanation } from './explanation.ts';
import { segmentBound, textBound } from './glob.ts';
import { Lazy } from './lazy.ts';
import { near, orNear } from './near.ts';
import { idGlobs } from './predicate-parts.ts';
import type { Reading } from './reading.ts';
import type { ResultTable } from './result-table.ts';
import { Scope, type Witness } from './scope.ts';
import type { Search } from './search.ts';
import type { ScopeRecord, Snapshot, Statement } from './store.ts';

/** Scopes are read so many at a time, at first and at most: memory does not grow with what was found. */
const fewest = 256;
const most = 16_384;

/** Pages grow while they take less than the one, in bytes, roughly, and shrink when they take more than the other. */
const lightPage = 4 * 2 ** 20;
const heavyPage = 16 * 2 ** 20;

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
    const { signal } = this.#reading;
    for await (const page of this.#pages(this.#search)) {
      for (const record of page) {
        yield this.#deliver(record);
        signal?.throwIfAborted();
      }
    }
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
      for await (const page of snapshot.ids(this.#search, { ...this.#reading, wantsAll: true })) {
        for (const id of page.ids) ids.push(id);
        for (const sid of page.sids) this.#witness?.found(sid);
      }
      if (ids.length === 0) await this.#checkRun(snapshot);
      return ids;
    });
  }

  /** One row a scope: its own columns, without tags, logs and artifacts, which are not read. Times are in milliseconds. */
  async toArrow(): Promise<ResultTable> {
    const result = await this.#ask(async (snapshot) => {
      const all: (readonly number[])[] = [];
      for await (const sids of this.#sids(snapshot, this.#search, true)) all.push(sids);
      const sids = all.flat();
      const table = await snapshot.table(sids, this.#reading);
      for (const sid of sids) this.#witness?.found(sid);
      return table;
    });
    const { tableOf } = await import('./arrow-table.ts');
    return tableOf(result);
  }

  /**
   * The SQL that finds the sids, with its bound values in order; a JavaScript `where` is not part of it. It runs in any DuckDB over the
   * tables of the schema `raw`, as `open.sql` in the folder of a ParquetStorage and the file of a DuckDBStorage have them.
   */
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
          const asked = sids.slice(from, from + size);
          const page = await snapshot.read(asked, { ...this.#reading, bytes: heavyPage });
          signal?.throwIfAborted();
          const last = page.at(-1);
          from += last === undefined ? asked.length : asked.lastIndexOf(last.sid) + 1;
          const bytes = page.reduce((sum, record) => sum + weightOf(record), 0);
          if (bytes < lightPage) size = Math.min(4 * size, most);
          else if (bytes > heavyPage) size = Math.max(1, size >> 1);
          yield page;
        }
      }
    } finally {
      await snapshot.release();
    }
  }

  async *#sids(snapshot: Snapshot, search: Search, wantsAll = false): AsyncGenerator<readonly number[], void, undefined> {
    let isEmpty = true;
    for await (const sids of snapshot.pages(search, { ...this.#reading, wantsAll })) {
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

  /** Where nothing was found: whether the runs that were named, by `runs` or as the third segment of an id, are there at all. */
  async #checkRun(snapshot: Snapshot): Promise<void> {
    const { runs } = this.#search;
    const bounds = idGlobs(this.#search).map((glob) => segmentBound(glob, 'run'));
    if (runs.kind === 'slug') bounds.push(textBound(runs.glob));
    const named = bounds.flatMap((bound) => (bound?.kind === 'equals' && bound.texts.length > 0 ? [bound.texts] : []));
    if (named.length === 0) return;
    const slugs = await snapshot.slugs();
    const known = new Set(slugs);
    const unknown = named.find((texts) => !texts.some((text) => known.has(text)));
    if (unknown !== undefined) throw unknownRun(unknown, slugs);
  }
}

/** None of these is there. */
function unknownRun(named: readonly string[], slugs: readonly string[]): MarqueError {
  const [first = '', ...others] = named;
  const nearest = named.find((one) => near(one, slugs).length > 0) ?? first;
  const more = others.length > 2 ? ` and ${others.length - 1} more` : '';
  const shown = named.slice(0, others.length > 2 ? 2 : 3).map((one) => show(one));
  const which = others.length === 0 ? `no run ${show(first)}` : `none of the runs ${shown.join(', ')}${more}`;
  return new MarqueError('RUN_UNKNOWN', `there is ${which}.${orNear(nearest, slugs)}`);
}

/** What a scope takes in memory, roughly, in bytes. */
function weightOf({ tags, logs, artifacts, params, errorStack }: ScopeRecord): number {
  let bytes = 500 + 100 * tags.length + (params?.length ?? 0) + (errorStack?.length ?? 0);
  for (const { message } of logs) bytes += 100 + message.length;
  for (const { text, bytes: data } of artifacts) bytes += 100 + (text?.length ?? 0) + (data?.length ?? 0);
  return bytes;
}
