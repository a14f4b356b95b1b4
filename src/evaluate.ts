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

/**
 * A search over rows in memory: the sids it finds, in its order, its limit applied. Linear in the rows. `compile.ts` gives the same
 * answer in SQL.
 *
 * @throws MarqueError WHERE_INVALID, naming the tag and its scope, if `search.where` throws or is async.
 */
export function evaluateSearch(search: Search, scopes: Iterable<Candidate>): number[] {
  const matching: Candidate[] = [];
  for (const scope of scopes) if (matches(search, scope)) matching.push(scope);
  const sids = recent(search.runs, passing(search.where, matching)).sort((a, b) => (search.order === 'newest' ? b - a : a - b));
  return search.limit === null ? sids : sids.slice(0, search.limit);
}

function matches({ flow, step, glob, predicate, runs, status }: Search, scope: Candidate): boolean {
  if (flow !== null && scope.flow !== flow) return false;
  if (step !== null && scope.step !== step) return false;
  if (!status.includes(scope.status) || !inRuns(runs, scope)) return false;
  if (glob !== null && !matchId(glob, scope)) return false;
  return predicate === null || matchPredicate(predicate, scope);
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

/** Every tag is judged, also of a scope that has passed already: a predicate that throws does so wherever it is asked. */
function passing(where: Search['where'], scopes: readonly Candidate[]): readonly Candidate[] {
  if (where === null) return scopes;
  const verdicts = new Verdicts(where);
  return scopes.filter((scope) => {
    try {
      return (
        scope.tags().filter(({ content, value }) => verdicts.ofContent(content, value) ?? verdicts.ofTag(content, value)).length >
        0
      );
    } catch (error) {
      throw error instanceof WhereFailure ? error.of(`${scope.flow}.${scope.step}.${scope.run}.${scope.path}`) : error;
    }
  });
}

/** The sids, and where a recent run is asked for, those of that run only. */
function recent(runs: RunSelection, scopes: readonly Candidate[]): number[] {
  const sids = scopes.map((scope) => scope.sid);
  if (runs.kind !== 'recent') return sids;
  const numbers = [...new Set(sids.map(runNumberOf))].sort((a, b) => b - a);
  return sids.filter((sid) => runNumberOf(sid) === numbers[runs.back]);
}
