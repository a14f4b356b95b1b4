import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Before, Connection } from './connection.ts';
import { compileSearch, compileTagCandidates } from './compile.ts';
import { MarqueError } from './error.ts';
import { acceptTags } from './evaluate.ts';
import { allOf, type Extent, extentOfSearch, extentOfSids } from './extent.ts';
import { findRecent, judgedOnce } from './recent.ts';
import type { TableName } from './schema.ts';
import type { Search } from './search.ts';
import { extentOfSelect } from './select-extent.ts';
import type { EncodedArtifact, Result, ScopeRecord, Snapshot, Staged, Statement, Status } from './store.ts';
import type { Tag } from './tag.ts';

export interface SqlSnapshotOptions {
  /** Its schema `raw` holds the six tables, its schema `main` the views. Others may use it between two calls. */
  readonly connection: Connection;
  /** Another, or the same, for the SELECTs of users: a search then does not wait for them. */
  readonly selects: Connection;
  /**
   * Run right before each query, without anything between: they put the connection into the state of this snapshot. A function is told what
   * the query can depend on: the state of anything else does not matter. It may reject where that is damaged.
   */
  readonly before: readonly Statement[] | ((extent: Extent, signal?: AbortSignal) => Promise<readonly Statement[]>);
  /**
   * The highest number of a run that has scopes within an extent, as far as is known at once, so that a search for a recent run can begin
   * there; -1 where there is none for certain, null where nobody knows.
   */
  readonly newestRun?: (extent: Extent) => number | null;
  /** Whether a table can have rows within an extent; where it cannot, it is not read. All can by default. */
  readonly mayHold?: (table: TableName, extent: Extent) => boolean;
  /** Of the runs that have not ended, by number, those of which nobody knows whether they go on. None by default. */
  lapsed?: ((live: readonly number[]) => Promise<readonly number[]>) | undefined;
  /** Called once, after the last query has settled. */
  release(): void | Promise<void>;
  /** What to throw instead of the error that a query has failed with. */
  explain?(error: unknown): unknown;
}

/** A snapshot of any storage that DuckDB can read: searches are compiled, scopes are read with one SELECT a table. */
export class SqlSnapshot implements Snapshot {
  readonly #options: SqlSnapshotOptions;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #ending = new AbortController();
  #released: Promise<void> | null = null;

  constructor(options: SqlSnapshotOptions) {
    this.#options = options;
  }

  async find(search: Search): Promise<readonly number[]> {
    const { newestRun } = this.#options;
    const { where } = search;
    return await this.#use(async () => {
      if (newestRun === undefined || search.runs.kind !== 'recent') return await this.#find(search, 0);
      const each = where === null ? search : { ...search, where: judgedOnce(where) };
      return await findRecent(each, newestRun, (fewer, oldest) => this.#find(fewer, oldest));
    });
  }

  async read(sids: readonly number[]): Promise<readonly ScopeRecord[]> {
    if (sids.length === 0) return [];
    const [scopes, tags, logs, artifacts] = await this.#use(() => this.#readings(sids));
    const tagsOf = grouped(tags, ([, content, value]) => ({ content, value }) as Tag);
    const logsOf = grouped(logs, ([, level, message, at]) => ({ level, message, at }) as ScopeRecord['logs'][number]);
    const artifactsOf = grouped(artifacts, ([, name, codec, text, bytes]) => ({ name, codec, text, bytes }) as EncodedArtifact);
    const found = new Map<number, ScopeRecord>();
    for (const row of rowsOf(scopes)) {
      const sid = row[0] as number;
      found.set(sid, {
        ...scopeOf(row),
        tags: tagsOf.get(sid) ?? [],
        logs: logsOf.get(sid) ?? [],
        artifacts: latestByName(artifactsOf.get(sid) ?? []),
      });
    }
    return sids.flatMap((sid) => found.get(sid) ?? []);
  }

  async select(statement: Statement): Promise<Result> {
    const { selects } = this.#options;
    return await this.#use(async () => {
      const before = await this.#beforeUsers(statement);
      return await this.#explained(selects.select(statement, before, this.#ending.signal));
    });
  }

  async stage(statement: Statement): Promise<Staged> {
    const { selects } = this.#options;
    const path = join(selects.temporary, `${randomUUID()}.parquet`);
    try {
      return await this.#use(async () => {
        const before = await this.#beforeUsers(statement);
        return await this.#explained(selects.copy(statement, path, before, this.#ending.signal));
      });
    } catch (error) {
      await rm(path, { force: true }).catch(() => undefined); // the first error is the one to report
      throw error;
    }
  }

  async release(): Promise<void> {
    this.#ending.abort(new MarqueError('STORE_CLOSED', 'the query was stopped: the store was closed while it ran'));
    this.#released ??= Promise.allSettled(this.#underWay).then(() => this.#options.release());
    await this.#released;
  }

  /** Finds among the scopes of runs with this number or a higher one. */
  async #find(search: Search, oldest: number): Promise<readonly number[]> {
    const extent = extentOfSearch(search, oldest);
    let accepted: readonly Tag[] | undefined;
    if (search.where !== null) {
      const [candidates] = await this.#run(extent, [compileTagCandidates(search, oldest)]);
      accepted = acceptTags(search.where, tagsIn(candidates as Result));
    }
    const [result] = await this.#run(extent, [compileSearch(search, accepted, oldest)]);
    return (result as Result).values[0] as number[];
  }

  /** The rows of scopes, tags, logs and artifacts with these keys. */
  async #readings(sids: readonly number[]): Promise<readonly [Result, Result, Result, Result]> {
    const extent = extentOfSids(sids);
    const { mayHold } = this.#options;
    const all = readings(sids);
    const asked = all.filter(({ table }) => mayHold?.(table, extent) ?? true);
    const results = await this.#run({ ...extent, tables: new Set(asked.map(({ table }) => table)) }, asked);
    return all.map((one) => results[asked.indexOf(one)] ?? nothing) as unknown as readonly [Result, Result, Result, Result];
  }

  /** What puts a connection into the state that a user's statement sees. Only the view `runs` asks which of them have lapsed. */
  async #beforeUsers({ text, values }: Statement): Promise<Before> {
    const { lapsed } = this.#options;
    const more: Statement[] = [];
    if (lapsed !== undefined && /\bruns\b/i.test(text)) {
      const [live] = await this.#run(allOf(['runs'], ['live_runs']), [{ text: 'SELECT run_number FROM live_runs', values: [] }]);
      const numbers = await lapsed((live as Result).values[0] as number[]);
      more.push({ text: 'SET VARIABLE lapsed_runs = $1::BIGINT[]', values: [numbers.map(BigInt)] });
    }
    return async (serialized) => [...(await this.#before(extentOfSelect(serialized, values), this.#ending.signal)), ...more];
  }

  /** Runs statements of ours one after another, in the state of this snapshot as far as the extent goes. */
  async #run(extent: Extent, statements: readonly Statement[]): Promise<readonly Result[]> {
    const before = await this.#before(extent);
    const running = this.#options.connection.exclusive(async (run) => {
      for (const { text, values } of before) await run(text, values);
      const results: Result[] = [];
      for (const { text, values } of statements) results.push(await run(text, values));
      return results;
    });
    return await this.#explained(running);
  }

  async #before(extent: Extent, signal?: AbortSignal): Promise<readonly Statement[]> {
    const { before } = this.#options;
    return typeof before === 'function' ? await before(extent, signal) : before;
  }

  async #use<T>(job: () => Promise<T>): Promise<T> {
    if (this.#released !== null)
      throw new MarqueError('STORE_CLOSED', 'this snapshot of the store has been released: take a new one');
    const running = job();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }

  async #explained<T>(running: Promise<T>): Promise<T> {
    try {
      return await running;
    } catch (error) {
      throw (await this.#options.explain?.(error)) ?? error;
    }
  }
}

const nothing: Result = { columns: [], values: [], rowCount: 0 };

/** One SELECT each for scopes, tags, logs and artifacts. The range prunes files and row groups, which the list does not. */
function readings(sids: readonly number[]): readonly (Statement & { readonly table: TableName })[] {
  const values = [sids.map(BigInt), BigInt(least(sids)), BigInt(greatest(sids))];
  const reading = (table: TableName, columns: string, order: string) => {
    const text = `SELECT ${columns} FROM raw.${table} WHERE sid BETWEEN $2 AND $3 AND sid IN (SELECT unnest($1::BIGINT[]))${order}`;
    return { table, text, values };
  };
  const scopeColumns = `sid, flow, run, step, path, attempt, parent_sid, ref_sid, status, epoch_ms(started_at), duration_ms,
    error_message, error_stack, params`;
  return [
    reading('scopes', scopeColumns, ''),
    reading('tags', 'sid, content, value', ' ORDER BY sid, seq'),
    reading('logs', 'sid, level, message, epoch_ms(logged_at)', ' ORDER BY sid, seq'),
    reading('artifacts', 'sid, name, codec, text, bytes', ' ORDER BY sid, seq'),
  ];
}

function scopeOf(row: readonly unknown[]): Omit<ScopeRecord, 'tags' | 'logs' | 'artifacts'> {
  const [
    sid,
    flow,
    run,
    step,
    path,
    attempt,
    parentSid,
    refSid,
    status,
    startedAt,
    durationMs,
    errorMessage,
    errorStack,
    params,
  ] = row;
  return {
    sid: sid as number,
    flow: flow as string,
    run: run as string,
    step: step as string,
    path: path as string,
    attempt: attempt as number,
    parentSid: parentSid as number | null,
    refSid: refSid as number | null,
    status: status as Status,
    startedAt: startedAt as number,
    durationMs: durationMs as number,
    errorMessage: errorMessage as string | null,
    errorStack: errorStack as string | null,
    params: params as string | null,
  };
}

/** The rows of a result by their first column, a sid, in the order of the result. */
function grouped<T>(result: Result, make: (row: readonly unknown[]) => T): ReadonlyMap<number, readonly T[]> {
  const groups = new Map<number, T[]>();
  for (const row of rowsOf(result)) {
    const sid = row[0] as number;
    const group = groups.get(sid);
    if (group === undefined) groups.set(sid, [make(row)]);
    else group.push(make(row));
  }
  return groups;
}

/** Of artifacts with the same name the last one, where the first of them stood. */
function latestByName(artifacts: readonly EncodedArtifact[]): readonly EncodedArtifact[] {
  return [...new Map(artifacts.map((artifact) => [artifact.name, artifact])).values()];
}

function* tagsIn({ values: [contents = [], numbers = []] }: Result): Generator<Tag> {
  for (let row = 0; row < contents.length; row++)
    yield { content: contents[row] as string, value: numbers[row] as number | null };
}

function* rowsOf(result: Result): Generator<readonly unknown[]> {
  for (let row = 0; row < result.rowCount; row++) yield result.values.map((column) => column[row]);
}

/** Not `Math.min(...sids)`: a call takes only so many arguments. */
function least(sids: readonly number[]): number {
  return sids.reduce((a, b) => Math.min(a, b));
}

function greatest(sids: readonly number[]): number {
  return sids.reduce((a, b) => Math.max(a, b));
}
