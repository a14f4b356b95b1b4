import { MarqueError, show } from './error.ts';
import { compileGlob, type Glob } from './glob.ts';
import type { RunSelection, Search } from './search.ts';
import { type StepLike, toStep } from './step.ts';
import type { Status } from './store.ts';
import type { Tag } from './tag.ts';

/** How to narrow a search. */
export interface SearchOptions {
  /**
   * Finds only scopes of which at least one tag passes. It is called once for each distinct tag, so it must depend on nothing
   * but the tag; it must not be async.
   */
  readonly where?: ((tag: Tag) => boolean) | undefined;
  /**
   * Which runs. `latest` (the default): inside a flow this run, or, if the pattern's first segment is literally another flow, that
   * flow's most recent run with a match; outside, the most recent run with a match. `previous`: the one before that. `all`; or a
   * glob over slugs. A pattern whose third segment says something about the run is not narrowed by the default.
   */
  readonly runs?: 'latest' | 'previous' | 'all' | (string & {}) | undefined;
  /** `newest` first is the default: by run number, then by the order in which attempts started. */
  readonly order?: 'newest' | 'oldest' | undefined;
  /** At most so many scopes. */
  readonly limit?: number | undefined;
  /** Which statuses. By default all but `retried`, the failed attempts that another one followed. */
  readonly status?: Status | readonly Status[] | undefined;
}

/** The run from inside of which a search is made. */
export interface CurrentRun {
  readonly flow: string;
  readonly number: number;
}

const statuses: readonly Status[] = ['ok', 'error', 'retried', 'skipped'];

/**
 * Completes what the user asked for into a search. Throws `GLOB_INVALID`, `STEP_INVALID`, `STEP_UNNAMED`, `WHERE_INVALID`,
 * `OPTION_INVALID`.
 */
export function planSearch(target: string | StepLike, options: SearchOptions, current: CurrentRun | null): Search {
  const byStep = typeof target !== 'string';
  const glob = byStep ? null : compileGlob(target);
  const { where = null, order = 'newest', limit = null } = options;
  if (where !== null) checkWhere(where);
  if (order !== 'newest' && order !== 'oldest') invalid('order', order, "'newest' or 'oldest'");
  if (limit !== null && limit !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(limit) && limit >= 0)) {
    invalid('limit', limit, 'a whole number of scopes');
  }
  const otherFlow = current !== null && glob !== null && glob.flow !== null && glob.flow !== current.flow;
  const ownFlow = current !== null && !otherFlow;
  return {
    glob,
    flow: ownFlow && (byStep || options.runs === 'previous') ? current.flow : null,
    step: byStep ? toStep(target).name : null,
    predicate: null,
    where,
    runs: planRuns(options.runs ?? 'latest', glob, ownFlow ? current : null, current),
    order,
    limit: limit === Number.POSITIVE_INFINITY ? null : limit,
    status: planStatus(options.status),
  };
}

/** `here` is the current run where the search is about its own flow. */
function planRuns(runs: unknown, glob: Glob | null, here: CurrentRun | null, current: CurrentRun | null): RunSelection {
  switch (runs) {
    case 'latest':
      if (glob?.namesRun) return { kind: 'all' };
      return here === null ? { kind: 'recent', back: 0, before: null } : { kind: 'number', number: here.number };
    case 'previous':
      if (here !== null) return { kind: 'recent', back: 0, before: here.number };
      return { kind: 'recent', back: 1, before: current?.number ?? null };
    case 'all':
      return { kind: 'all' };
    default:
      if (typeof runs === 'string') return { kind: 'slug', glob: compileGlob(runs) };
      return invalid('runs', runs, "'latest', 'previous', 'all', a slug or a glob over slugs");
  }
}

function planStatus(status: unknown): readonly Status[] {
  if (status === undefined) return statuses.filter((one) => one !== 'retried');
  const list = Array.isArray(status) ? (status as unknown[]) : [status];
  for (const one of list) if (!statuses.includes(one as Status)) invalid('status', one, statuses.join(', '));
  return list as readonly Status[];
}

function checkWhere(where: unknown): void {
  if (typeof where !== 'function') throw new MarqueError('WHERE_INVALID', `where is ${show(where)}: give a function of a tag`);
  if (where.constructor.name === 'AsyncFunction') {
    throw new MarqueError('WHERE_INVALID', 'where is async, and a promise is always true: give a synchronous function of a tag');
  }
}

function invalid(option: string, value: unknown, wanted: string): never {
  throw new MarqueError('OPTION_INVALID', `search option ${option} is ${show(value)}: give ${wanted}`);
}
