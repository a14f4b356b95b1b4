import { type Candidate, evaluateSearch } from '../evaluate.ts';
import { matchGlob } from '../glob.ts';
import { asksFor } from '../predicate-parts.ts';
import type { Row } from '../schema.ts';
import type { RunSelection, Search } from '../search.ts';
import { ordinalOf, runNumberOf, sidOf } from '../sid.ts';
import type { Batch, ScopeRecord, Status } from '../store.ts';
import type { JsonFolder, RunFolder } from './json-folder.ts';
import { inLanes } from './lanes.ts';
import { MemoryRows } from './memory-rows.ts';
import type { RowSource } from './memory-snapshot.ts';
import { batchOfRows } from './row-batch.ts';
import { type ChildRows, childTables, joinChildren, noChildren, recordOf, type ScopeRows } from './scope-rows.ts';

/** One run with all its scopes, in files and in memory. */
interface RunScopes {
  readonly number: number;
  readonly flow: string;
  readonly run: string;
  readonly sids: number[];
}

/** One state of a JSON store: files that were there at one moment, and rows in memory that had no file yet. */
export class JsonSource implements RowSource {
  readonly #folder: JsonFolder;
  readonly #folders: readonly RunFolder[];
  readonly #unflushed: readonly Batch[];
  readonly #waiting: ReadonlyMap<number, ChildRows>;
  readonly #rows: MemoryRows;
  /** The folders that hold the scopes which have a file, by sid. */
  readonly #filed = new Map<number, string>();
  readonly #runs: readonly RunScopes[];

  /** `waiting` are rows that were written before the scope that they belong to. */
  constructor(
    folder: JsonFolder,
    folders: readonly RunFolder[],
    unflushed: readonly Batch[],
    waiting: ReadonlyMap<number, ChildRows>,
  ) {
    this.#folder = folder;
    this.#folders = folders;
    this.#unflushed = unflushed;
    this.#waiting = waiting;
    this.#rows = new MemoryRows(unflushed);
    for (const { path, run, ordinals } of folders)
      for (const ordinal of ordinals) this.#filed.set(sidOf(run.number, ordinal), path);
    this.#runs = this.#runsByNumber();
  }

  /** Run by run, in the order of the search, so that files of runs beyond the last one needed are not read. */
  async find(search: Search, signal?: AbortSignal): Promise<readonly number[]> {
    const { runs, limit } = search;
    if (limit === 0) return [];
    const chosen = this.#runs.filter((run) => mayHold(search, run));
    if (runs.kind === 'recent') {
      let matches = 0;
      for (const run of chosen.toReversed()) {
        const sids = await this.#findIn(run, search, limit, signal);
        if (sids.length > 0) matches++;
        if (matches > runs.back) return sids;
      }
      return [];
    }
    const found: number[] = [];
    for (const run of search.order === 'newest' ? chosen.toReversed() : chosen) {
      if (found.length === limit) break;
      found.push(...(await this.#findIn(run, search, limit === null ? null : limit - found.length, signal)));
    }
    return found;
  }

  async read(sids: readonly number[], signal?: AbortSignal): Promise<readonly ScopeRecord[]> {
    return await this.#loadInOrder(sids, recordOf, signal);
  }

  async readBare(sids: readonly number[], signal?: AbortSignal): Promise<readonly ScopeRecord[]> {
    return await this.#loadInOrder(sids, ({ scope }) => recordOf({ scope, children: noChildren }), signal);
  }

  async ids(sids: readonly number[], signal?: AbortSignal): Promise<readonly string[]> {
    const idOf = ({ scope: { flow, step, run, path } }: ScopeRows): string => `${flow}.${step}.${run}.${path}`;
    return await this.#loadInOrder(sids, idOf, signal);
  }

  async slugs(): Promise<readonly string[]> {
    const filed = this.#runs.map(({ run }) => run);
    return [...new Set([...filed, ...this.#rows.slugs()])];
  }

  /** Files of runs that cannot hold what is looked for are not read. */
  looksAt(search: Search): { readonly read: number; readonly all: number } {
    const count = (runs: readonly RunScopes[]) => runs.reduce((sum, { sids }) => sum + sids.length, 0);
    return { read: count(this.#runs.filter((run) => mayHold(search, run))), all: count(this.#runs) };
  }

  async batches(): Promise<readonly Batch[]> {
    const scopes: Row<'scopes'>[] = [];
    const children: ChildRows[] = this.#folders.map(({ run }) => run.children);
    await this.#load(
      this.#runs.flatMap((run) => run.sids),
      (rows) => {
        scopes.push(rows.scope);
        children.push(rows.children);
      },
    );
    // Rows of steps that are still running, and those of runs themselves that their files do not have yet.
    const runLevel = this.#unfiledRuns();
    const scopeSids = new Set(scopes.map((row) => row.sid));
    const ahead = new Set([...this.#waiting.keys(), ...childTables.flatMap((table) => [...this.#rows.sids(table)])]);
    for (const sid of ahead) {
      if (ordinalOf(sid) === 0) children.push(runLevel.children(sid));
      else if (!scopeSids.has(sid)) children.push(this.#memoryChildren(sid));
    }
    const runs = [...this.#folders.flatMap(({ run }) => run.events), ...runLevel.all('runs')];
    const all = <T extends keyof ChildRows>(table: T) => children.flatMap((rows): ChildRows[T] => rows[table]);
    return [
      await batchOfRows({ scopes, runs, artifacts: all('artifacts'), tags: all('tags'), logs: all('logs'), edges: all('edges') }),
    ];
  }

  async #findIn({ sids }: RunScopes, search: Search, limit: number | null, signal: AbortSignal | undefined): Promise<number[]> {
    const candidates: Candidate[] = [];
    await this.#load(sids, (rows) => candidates.push(candidateOf(rows, search)), signal);
    const inOrder = (order: Search['order']) => candidates.sort((a, b) => (order === 'newest' ? b.sid - a.sid : a.sid - b.sid));
    return evaluateSearch({ ...search, runs: { kind: 'all' }, limit }, inOrder);
  }

  /** What is made of each of the scopes that is there. */
  async #loadInOrder<T>(sids: readonly number[], make: (rows: ScopeRows) => T, signal: AbortSignal | undefined): Promise<T[]> {
    const made = new Map<number, T>();
    await this.#load(new Set(sids), (rows) => made.set(rows.scope.sid as number, make(rows)), signal);
    return sids.flatMap((sid) => (made.has(sid) ? [made.get(sid) as T] : []));
  }

  /** Hands over each of the scopes that is there, in no order. A file counts before memory: it may hold more. */
  async #load(sids: Iterable<number>, take: (rows: ScopeRows) => void, signal?: AbortSignal): Promise<void> {
    await inLanes(sids, async (sid) => {
      signal?.throwIfAborted();
      const path = this.#filed.get(sid);
      if (path !== undefined) return take(await this.#folder.readScope(path, ordinalOf(sid)));
      const scope = this.#rows.scope(sid);
      if (scope !== null) take({ scope, children: this.#memoryChildren(sid) });
    });
  }

  #memoryChildren(sid: number): ChildRows {
    return joinChildren(this.#waiting.get(sid) ?? noChildren, this.#rows.children(sid));
  }

  /** Of the rows in memory those of batches that no run's file has taken in. */
  #unfiledRuns(): MemoryRows {
    const filed = new Map(this.#folders.flatMap(({ run }) => Object.entries(run.written)));
    return new MemoryRows(this.#unflushed.filter(({ id }) => id.number > (filed.get(id.writer) ?? 0)));
  }

  #runsByNumber(): readonly RunScopes[] {
    const runs = new Map<number, RunScopes>();
    for (const { run, ordinals } of this.#folders) {
      const { number, flow } = run;
      runs.set(number, { number, flow, run: run.run, sids: ordinals.map((ordinal) => sidOf(number, ordinal)) });
    }
    for (const { sid, flow, run } of this.#rows.candidates()) {
      if (this.#filed.has(sid)) continue;
      const number = runNumberOf(sid);
      const known = runs.get(number);
      if (known === undefined) runs.set(number, { number, flow, run, sids: [sid] });
      else known.sids.push(sid);
    }
    return [...runs.values()].sort((a, b) => a.number - b.number);
  }
}

/** Whether a run can hold what a search looks for, as far as its names and its number tell. */
function mayHold({ flow, glob, runs }: Search, run: RunScopes): boolean {
  if (flow !== null && flow !== run.flow) return false;
  if (glob !== null && glob.flow !== null && glob.flow !== run.flow) return false;
  if (glob !== null && glob.run !== null && glob.run !== run.run) return false;
  return isChosen(runs, run);
}

function isChosen(runs: RunSelection, { number, run }: RunScopes): boolean {
  switch (runs.kind) {
    case 'number':
      return number === runs.number;
    case 'slug':
      return matchGlob(runs.glob, run);
    case 'recent':
      return runs.before === null || number < runs.before;
    case 'all':
      return true;
  }
}

/** Tags and params are kept only where the search asks for them: a run's artifacts need not be in memory all at once. */
function candidateOf({ scope, children }: ScopeRows, { where, predicate }: Search): Candidate {
  const withTags = where !== null || asksFor(predicate, 'tag');
  const tags = withTags ? children.tags.map(({ content, value }) => ({ content: content as string, value })) : [];
  return {
    sid: scope.sid as number,
    flow: scope.flow as string,
    step: scope.step as string,
    run: scope.run as string,
    path: scope.path as string,
    status: scope.status as Status,
    params: asksFor(predicate, 'param') ? scope.params : null,
    startedAt: scope.started_at as number,
    durationMs: scope.duration_ms as number,
    tags: () => tags,
  };
}
