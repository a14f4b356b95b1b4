import { MarqueError, show } from './error.ts';
import { compileGlob, type Glob } from './glob.ts';
import { checkOptionNames } from './options.ts';
import { and } from './predicate.ts';
import { checkPredicate, statuses } from './predicate-check.ts';
import { someCondition } from './predicate-parts.ts';
import type { ReadingOptions } from './reading.ts';
import type { Predicate, RunSelection, Search } from './search.ts';
import { type StepLike, toStep } from './step.ts';
import type { Status } from './store.ts';
import type { Tag } from './tag.ts';

/** How to narrow a search. */
export interface SearchOptions extends ReadingOptions {
  /**
   * Finds only scopes for which this holds: a predicate such as `tag('loss').lt(0.1)`, which becomes SQL; or a function of a tag, which
   * at least one tag of the scope has to pass; or a list of predicates, and at most one function, that must all hold. The function must
   * depend on nothing but the tag, and not be async: it is called once or more for a tag that the answer needs, and for all tags with the
   * same content at once where it does not look at the value. A tag that the answer does not need may never be asked about, and none of a
   * run before the one that `latest` or `previous` means ever makes the search fail.
   */
  readonly where?: Where | readonly Where[] | undefined;
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
  /** Which statuses. By default all but `retried`, the failed attempts that another one followed, unless a predicate names that. */
  readonly status?: Status | readonly Status[] | undefined;
}

/** What `where` takes, alone or in a list. */
export type Where = Predicate | ((tag: Tag) => boolean);

const optionNames = ['where', 'runs', 'order', 'limit', 'status', 'artifacts', 'signal'];

/** The run from inside of which a search is made. */
export interface CurrentRun {
  readonly flow: string;
  readonly number: number;
}

/**
 * Completes what the user asked for into a search. Throws `GLOB_INVALID`, `STEP_INVALID`, `STEP_UNNAMED`, `WHERE_INVALID`,
 * `PREDICATE_INVALID`, `OPTION_INVALID`.
 */
export function planSearch(target: string | StepLike, options: SearchOptions, current: CurrentRun | null): Search {
  checkOptionNames(options, optionNames);
  const byStep = typeof target !== 'string';
  const glob = byStep ? null : compileGlob(target);
  const { order = 'newest', limit = null } = options;
  const { predicate, where } = planWhere(options.where ?? []);
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
    predicate,
    where,
    runs: planRuns(options.runs ?? 'latest', glob, ownFlow ? current : null, current),
    order,
    limit: limit === Number.POSITIVE_INFINITY ? null : limit,
    status: planStatus(options.status, predicate),
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

function planStatus(status: unknown, predicate: Predicate | null): readonly Status[] {
  if (status === undefined) {
    const namesRetried = someCondition(predicate, (one) => one.kind === 'status' && one.status.includes('retried'));
    return namesRetried ? statuses : statuses.filter((one) => one !== 'retried');
  }
  const list = Array.isArray(status) ? (status as unknown[]) : [status];
  for (const one of list) if (!statuses.includes(one as Status)) invalid('status', one, statuses.join(', '));
  return list as readonly Status[];
}

/** The functions of a `where` are for JavaScript, everything else is data. */
function planWhere(where: unknown): Pick<Search, 'predicate' | 'where'> {
  const parts: readonly unknown[] = Array.isArray(where) ? where : [where];
  const [test, ...others] = parts.filter((part) => typeof part === 'function') as ((tag: Tag) => boolean)[];
  if (others.length > 0)
    throw new MarqueError(
      'WHERE_INVALID',
      `where has ${others.length + 1} functions: give one, which asks for all that they do of a tag`,
    );
  const kind = test?.constructor.name ?? '';
  if (/^Async(?:Generator)?Function$/.test(kind))
    throw new MarqueError('WHERE_INVALID', 'where is async, and a promise is always true: give a synchronous function of a tag');
  if (kind === 'GeneratorFunction')
    throw new MarqueError(
      'WHERE_INVALID',
      'where is a generator, and its iterator is always true: give a plain function of a tag',
    );
  const conditions = parts.filter((part) => typeof part !== 'function').map(checkWhere);
  const predicate = conditions.length > 1 ? and(...conditions) : (conditions[0] ?? null);
  return { predicate, where: test ?? null };
}

function checkWhere(part: unknown): Predicate {
  if (typeof part === 'object' && part !== null) return checkPredicate(part);
  throw new MarqueError(
    'WHERE_INVALID',
    `where is ${show(part)}: give a function of a tag, or a predicate such as tag('loss').lt(0.1)`,
  );
}

function invalid(option: string, value: unknown, wanted: string): never {
  throw new MarqueError('OPTION_INVALID', `search option ${option} is ${show(value)}: give ${wanted}`);
}
