import { matchGlob, matchId } from './glob.ts';
import { Verdicts, WhereFailure } from './judge.ts';
import { matchPredicate } from './predicate-match.ts';
import type { RunSelection, Search } from './search.ts';
import { runNumberOf } from './sid.ts';
import type { Status } from './store.ts';
import type { Tag } from './tag.ts';

/** A scope as far as a search looks at it. What only some searches look at is asked for by them alone: tags, params, times. */
export interface Candidate {
  readonly sid: number;
  readonly flow: string;
  readonly step: string;
  readonly run: string;
  readonly path: string;
  readonly status: Status;
  /** JSON, or null. */
  readonly params: string | null;
  /** In epoch milliseconds. */
  readonly startedAt: number;
  readonly durationMs: number;
  tags(): readonly Tag[];
}

/** The scopes of those runs that are asked for by their number, in the order of their sids. They are looked at one by one, up to the last needed. */
export type Scopes = (order: Search['order'], isAsked: (run: number) => boolean) => Iterable<Candidate>;

/**
 * A search over rows in memory: the sids it finds, in its order, its limit applied. At most linear in the rows: it ends where the answer
 * is known, so that a search for a recent run neither pays for those before it nor asks a predicate about their tags. `compile.ts` gives
 * the same answer in SQL.
 *
 * @throws MarqueError WHERE_INVALID, naming the tag and its scope, if `search.where` throws or is async.
 */
export function evaluateSearch(search: Search, scopes: Scopes): number[] {
  const { runs, order, limit } = search;
  if (limit === 0) return [];
  const passes = passing(search.where);
  if (runs.kind === 'recent') return inRecentRun(search, runs, passes, scopes);
  const found: number[] = [];
  for (const scope of scopes(order, (run) => runs.kind !== 'number' || run === runs.number)) {
    if (matches(search, scope) && passes(scope)) found.push(scope.sid);
    if (found.length === limit) break;
  }
  return found;
}

/** From the newest on, up to the end of the run that is meant. */
function inRecentRun(
  search: Search,
  { back, before }: Extract<RunSelection, { kind: 'recent' }>,
  passes: (scope: Candidate) => boolean,
  scopes: Scopes,
): number[] {
  const { order, limit } = search;
  const found: number[] = [];
  let last: number | null = null; // of the runs with a match, the last one seen
  let missing = back;
  for (const scope of scopes('newest', (run) => before === null || run < before)) {
    const run = runNumberOf(scope.sid);
    if (last !== null && run !== last && missing === 0) break;
    if (run === last && missing > 0) continue; // one match is enough to know that this run counts
    if (!matches(search, scope) || !passes(scope)) continue;
    if (last !== null && run !== last) missing--;
    last = run;
    if (missing === 0) found.push(scope.sid);
    if (order === 'newest' && found.length === limit) break;
  }
  if (order === 'oldest') found.reverse();
  return limit === null ? found : found.slice(0, limit);
}

function matches({ flow, step, glob, predicate, runs, status }: Search, scope: Candidate): boolean {
  if (flow !== null && scope.flow !== flow) return false;
  if (step !== null && scope.step !== step) return false;
  if (!status.includes(scope.status)) return false;
  if (runs.kind === 'slug' && !matchGlob(runs.glob, scope.run)) return false;
  if (glob !== null && !matchId(glob, scope)) return false;
  return predicate === null || matchPredicate(predicate, scope);
}

/** Every tag is judged, also of a scope that has passed already: a predicate that throws does so wherever it is asked. */
function passing(where: Search['where']): (scope: Candidate) => boolean {
  if (where === null) return () => true;
  const verdicts = new Verdicts(where);
  return (scope) => {
    try {
      const passed = scope
        .tags()
        .filter(({ content, value }) => verdicts.ofContent(content, value) ?? verdicts.ofTag(content, value));
      return passed.length > 0;
    } catch (error) {
      throw error instanceof WhereFailure ? error.of(`${scope.flow}.${scope.step}.${scope.run}.${scope.path}`) : error;
    }
  };
}
