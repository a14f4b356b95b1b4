import { analysisStatement } from './analysis.ts';
import { MarqueError, show } from './error.ts';
import type { Within } from './extent.ts';
import { checkGrid, checkPoints, type Grid } from './grid.ts';
import { checkOptionNames } from './options.ts';
import { checkRunNames, findRuns, type RunName, type RunNames, sidsOf } from './run-names.ts';
import type { Composition } from './sql-query.ts';
import { type StepLike, toStep } from './step.ts';
import type { Snapshot, SqlValue } from './store.ts';

/** The questions of `sql/analytics/` with what a person fills in. What is wrong with that is thrown at the call. */

/** Which scopes a question is about: all by default. */
export interface AnalysisOptions {
  readonly flow?: string | undefined;
  /** A step or its name. */
  readonly step?: string | StepLike | undefined;
  /** `all`, the default; `latest`, the run with the highest number; a slug, a glob over slugs, or a list of slugs. */
  readonly runs?: RunNames | undefined;
}

export interface BestOptions extends AnalysisOptions {
  /** Which mean is the best. */
  readonly order: 'lowest' | 'highest';
  /** The parameters to tell apart; by default all that a scope has. */
  readonly by?: readonly string[] | undefined;
}

export function best(tag: string, options: BestOptions): Composition {
  const about = checkAnalysis(options, ['order', 'by']);
  const { order, by } = options;
  if (order !== 'lowest' && order !== 'highest') invalid('order', order, "'lowest' or 'highest', whichever mean is the best");
  return question(
    'best',
    { tag: checked('tag', tag), best: order, params: by === undefined ? null : checkNames('by', by) },
    about,
  );
}

export function series(tag: string, options: AnalysisOptions): Composition {
  return question('series', { tag: checked('tag', tag) }, checkAnalysis(options));
}

export function importance(tag: string, options: AnalysisOptions): Composition {
  return question('importance', { tag: checked('tag', tag) }, checkAnalysis(options));
}

export function durations(options: AnalysisOptions): Composition {
  return question('durations', {}, checkAnalysis(options));
}

export function errorGroups(options: AnalysisOptions): Composition {
  return question('errors', {}, checkAnalysis(options));
}

export function retries(options: AnalysisOptions): Composition {
  return question('retries', {}, checkAnalysis(options));
}

export function coverage(grid: Grid, options: AnalysisOptions): Composition {
  const about = checkAnalysis(options);
  const points = checkGrid(grid);
  return async (snapshot) => {
    const { values, within } = await bound(snapshot, about);
    await checkPoints(snapshot, points, values, within);
    return analysisStatement('coverage', { grid: points.json, ...values }, within);
  };
}

/** The two questions of a comparison: `compare-params` and `compare-metrics`. */
export function compare(
  kind: 'params' | 'metrics',
  runs: readonly string[],
  options: Omit<AnalysisOptions, 'runs'>,
): Composition {
  if (!Array.isArray(runs) || runs.length < 2)
    invalid('runs', runs, 'the slugs of at least two runs, the first of them the baseline');
  checkOptionNames(options, ['flow', 'step']);
  return question(`compare-${kind}`, {}, checkAnalysis({ ...options, runs }));
}

function question(name: string, own: Readonly<Record<string, SqlValue>>, about: About): Composition {
  return async (snapshot) => {
    const { values, within } = await bound(snapshot, about);
    return analysisStatement(name, { ...own, ...values }, within);
  };
}

/** The parameters that every file has, and where in a store the scopes are that they mean. */
async function bound(snapshot: Snapshot, { flow, step, runs }: About): Promise<Bound> {
  const found = await findRuns(snapshot, runs, flow);
  const slugs = found === null ? null : found.map(({ slug }) => slug);
  return { values: { flow, step, runs: slugs }, within: partOf(flow, step, found) };
}

interface Bound {
  readonly values: Readonly<Record<'flow' | 'step' | 'runs', SqlValue>>;
  readonly within: Within;
}

/** Where in a store the scopes are that are meant, and all that belongs to them. */
export function partOf(flow: string | null, step: string | null, runs: readonly RunName[] | null): Within {
  const equals = (column: 'flow' | 'step', text: string | null): Within['texts'] =>
    text === null ? [] : [{ column, kind: 'equals', texts: [text] }];
  return { sids: sidsOf(runs), texts: [...equals('flow', flow), ...equals('step', step)] };
}

/** Which scopes are meant, completed. */
interface About {
  readonly flow: string | null;
  readonly step: string | null;
  readonly runs: RunNames;
}

/**
 * Throws OPTION_INVALID, GLOB_INVALID, STEP_INVALID.
 *
 * @param own names of the further options that the question has
 */
export function checkAnalysis(options: AnalysisOptions, own: readonly string[] = []): About {
  checkOptionNames(options, ['flow', 'step', 'runs', ...own]);
  const { flow, step, runs = 'all' } = options;
  checkRunNames(runs);
  return {
    flow: flow === undefined ? null : checked('flow', flow),
    step: step === undefined ? null : typeof step === 'string' ? checked('step', step) : toStep(step).name,
    runs,
  };
}

/** Throws OPTION_INVALID. */
export function checkNames(option: string, names: unknown): readonly string[] {
  const isList = Array.isArray(names) && names.every((name) => typeof name === 'string');
  if (!isList || new Set(names).size < names.length) invalid(option, names, 'a list of names, each once');
  return names;
}

function checked(option: string, text: unknown): string {
  return typeof text === 'string' && text !== '' ? text : invalid(option, text, 'a text');
}

function invalid(option: string, value: unknown, wanted: string): never {
  throw new MarqueError('OPTION_INVALID', `${option} is ${show(value)}: give ${wanted}`);
}
