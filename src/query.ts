import type { Table } from 'apache-arrow';
import { compileSearch } from './compile.ts';
import { Lazy } from './lazy.ts';
import { idOf, Scope } from './scope.ts';
import type { Search } from './search.ts';
import type { ScopeRecord, Snapshot, Statement } from './store.ts';

/** Scopes are read this many at a time, so that memory does not grow with what was found. */
const pageSize = 256;

/**
 * A search that runs when it is asked for its answer, and again each time it is asked. What it sees is everything that had
 * finished by then, flushed or not. Iterate it (`for await`), or await it for an array.
 */
export class Query extends Lazy<Scope> {
  readonly #open: () => Promise<Snapshot>;
  readonly #search: Search;

  constructor(open: () => Promise<Snapshot>, search: Search) {
    super();
    this.#open = open;
    this.#search = search;
  }

  override async *[Symbol.asyncIterator](): AsyncGenerator<Scope, void, undefined> {
    for await (const page of this.#pages(this.#search)) for (const record of page) yield new Scope(record);
  }

  /** The first scope in the query's order, or undefined. */
  async first(): Promise<Scope | undefined> {
    for await (const page of this.#pages({ ...this.#search, limit: Math.min(1, this.#search.limit ?? 1) })) {
      return page[0] && new Scope(page[0]);
    }
    return undefined;
  }

  async count(): Promise<number> {
    const snapshot = await this.#open();
    try {
      return (await snapshot.find(this.#search)).length;
    } finally {
      await snapshot.release();
    }
  }

  /** `flow.step.run.path` of each scope, in order. */
  async ids(): Promise<string[]> {
    const ids: string[] = [];
    for await (const page of this.#pages(this.#search)) ids.push(...page.map(idOf));
    return ids;
  }

  /** One row a scope: its own columns, without tags, logs and artifacts. Times are in milliseconds. */
  async toArrow(): Promise<Table> {
    const records: ScopeRecord[] = [];
    for await (const page of this.#pages(this.#search)) records.push(...page);
    const { tableOf } = await import('./arrow-table.ts');
    const column = (read: (record: ScopeRecord) => unknown): unknown[] => records.map(read);
    return tableOf([
      { name: 'id', type: 'text', values: column(idOf) },
      { name: 'sid', type: 'bigint', values: column((record) => record.sid) },
      { name: 'flow', type: 'text', values: column((record) => record.flow) },
      { name: 'step', type: 'text', values: column((record) => record.step) },
      { name: 'run', type: 'text', values: column((record) => record.run) },
      { name: 'path', type: 'text', values: column((record) => record.path) },
      { name: 'attempt', type: 'integer', values: column((record) => record.attempt) },
      { name: 'status', type: 'text', values: column((record) => record.status) },
      { name: 'started_at', type: 'timestamp', values: column((record) => record.startedAt) },
      { name: 'duration_ms', type: 'double', values: column((record) => record.durationMs) },
      { name: 'params', type: 'text', values: column((record) => record.params) },
    ]);
  }

  /** The SQL that finds the sids, with its bound values; a JavaScript `where` is not part of it. */
  toSQL(): Statement {
    return compileSearch({ ...this.#search, where: null });
  }

  async *#pages(search: Search): AsyncGenerator<readonly ScopeRecord[], void, undefined> {
    const snapshot = await this.#open();
    try {
      const sids = await snapshot.find(search);
      for (let from = 0; from < sids.length; from += pageSize) yield await snapshot.read(sids.slice(from, from + pageSize));
    } finally {
      await snapshot.release();
    }
  }
}
