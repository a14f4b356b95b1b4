import { MarqueError, messageOf, show } from './error.ts';
import { matchGlob } from './glob.ts';
import type { RunSelection, Search } from './search.ts';
import { runNumberOf } from './sid.ts';
import type { Status } from './store.ts';
import type { Tag } from './tag.ts';

/** A scope as far as a search looks at it. `tags` is asked for only where the search has a `where`. */
export interface Candidate {
  readonly sid: number;
  readonly flow: string;
  readonly step: string;
  readonly run: string;
  readonly path: string;
  readonly status: Status;
  tags(): readonly Tag[];
}

/**
 * A search over rows in memory: the sids it finds, in its order, its limit applied. Linear in the rows. `compile.ts` gives the same
 * answer in SQL.
 *
 * @throws MarqueError WHERE_INVALID if `search.where` throws or is async.
 */
export function evaluateSearch(search: Search, scopes: Iterable<Candidate>): number[] {
  const matching: Candidate[] = [];
  for (const scope of scopes) if (matches(search, scope)) matching.push(scope);
  const sids = recent(search.runs, passing(search.where, matching)).sort((a, b) => (search.order === 'newest' ? b - a : a - b));
  return search.limit === null ? sids : sids.slice(0, search.limit);
}

/**
 * The tags that a user's predicate accepts. It is called once per distinct tag, so it must depend on nothing but the tag; -0 and 0
 * are the same value, and so are NaN and NaN.
 *
 * @throws MarqueError WHERE_INVALID, naming the tag, if the predicate throws or returns a promise.
 */
export function acceptTags(where: (tag: Tag) => boolean, tags: Iterable<Tag>): Tag[] {
  const seen = new TagSet();
  const accepted: Tag[] = [];
  for (const { content, value } of tags) {
    const tag = Object.freeze({ content, value: value === 0 ? 0 : value });
    if (seen.add(tag) && judge(where, tag)) accepted.push(tag);
  }
  return accepted;
}

function matches({ flow, step, glob, runs, status }: Search, scope: Candidate): boolean {
  if (flow !== null && scope.flow !== flow) return false;
  if (step !== null && scope.step !== step) return false;
  if (!status.includes(scope.status) || !inRuns(runs, scope)) return false;
  return glob === null || matchGlob(glob, `${scope.flow}.${scope.step}.${scope.run}.${scope.path}`);
}

function inRuns(runs: RunSelection, { sid, run }: Candidate): boolean {
  switch (runs.kind) {
    case 'number':
      return runNumberOf(sid) === runs.number;
    case 'slug':
      return matchGlob(runs.glob, run);
    case 'recent':
      return runs.before === null || runNumberOf(sid) < runs.before;
    case 'all':
      return true;
  }
}

function passing(where: Search['where'], scopes: readonly Candidate[]): readonly Candidate[] {
  if (where === null) return scopes;
  const accepted = new TagSet();
  for (const tag of acceptTags(where, tagsOf(scopes))) accepted.add(tag);
  return scopes.filter((scope) => scope.tags().some((tag) => accepted.has(tag)));
}

function* tagsOf(scopes: readonly Candidate[]): Generator<Tag> {
  for (const scope of scopes) yield* scope.tags();
}

/** The sids, and where a recent run is asked for, those of that run only. */
function recent(runs: RunSelection, scopes: readonly Candidate[]): number[] {
  const sids = scopes.map((scope) => scope.sid);
  if (runs.kind !== 'recent') return sids;
  const numbers = [...new Set(sids.map(runNumberOf))].sort((a, b) => b - a);
  return sids.filter((sid) => runNumberOf(sid) === numbers[runs.back]);
}

function judge(where: (tag: Tag) => boolean, tag: Tag): boolean {
  let verdict: unknown;
  try {
    verdict = where(tag);
  } catch (cause) {
    throw new MarqueError('WHERE_INVALID', `where threw on the tag ${describe(tag)}: ${messageOf(cause)}`, { cause });
  }
  if (!isThenable(verdict)) return Boolean(verdict);
  void Promise.resolve(verdict).catch(() => {}); // its own failure would end the process as an unhandled rejection
  throw new MarqueError(
    'WHERE_INVALID',
    `where returned a promise for the tag ${describe(tag)}: it must be a synchronous function`,
  );
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

function describe({ content, value }: Tag): string {
  return value === null ? show(content) : `${show(content)} with the value ${show(value)}`;
}

/** Distinct tags. Like DuckDB, a Map takes NaN for NaN and -0 for 0. */
class TagSet {
  readonly #values = new Map<string, Set<number | null>>();

  /** Whether the tag was new. */
  add({ content, value }: Tag): boolean {
    const values = this.#values.get(content);
    if (values?.has(value)) return false;
    if (values === undefined) this.#values.set(content, new Set([value]));
    else values.add(value);
    return true;
  }

  has({ content, value }: Tag): boolean {
    return this.#values.get(content)?.has(value) ?? false;
  }
}
