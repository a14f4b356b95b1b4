import { analysisStatement } from './analysis.ts';
import { MarqueError, show } from './error.ts';
import { canonicalJson } from './json.ts';
import { checkRunNames, findRuns, type RunNames } from './run-names.ts';
import type { Composition } from './sql-query.ts';
import { type StepLike, toStep } from './step.ts';
import type { SqlValue } from './store.ts';

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

/** Names of parameters, each with its values, or with `observed` for all that any of the scopes has. */
export type Grid = Readonly<Record<string, readonly unknown[] | 'observed'>>;

/** A grid of more points is refused. */
const mostPoints = 1_000_000;

export function best(tag: string, options: BestOptions): Composition {
  const { order, by } = options;
  if (order !== 'lowest' && order !== 'highest') invalid('order', order, "'lowest' or 'highest', whichever mean is the best");
  return question(
    'best',
    { tag: checked('tag', tag), best: order, params: by === undefined ? null : checkNames('by', by) },
    options,
  );
}

export function series(tag: string, options: AnalysisOptions): Composition {
  return question('series', { tag: checked('tag', tag) }, options);
}

export function importance(tag: string, options: AnalysisOptions): Composition {
  return question('importance', { tag: checked('tag', tag) }, options);
}

export function durations(options: AnalysisOptions): Composition {
  return question('durations', {}, options);
}

export function errorGroups(options: AnalysisOptions): Composition {
  return question('errors', {}, options);
}

export function retries(options: AnalysisOptions): Composition {
  return question('retries', {}, options);
}

export function coverage(grid: Grid, options: AnalysisOptions): Composition {
  return question('coverage', { grid: gridJson(grid) }, options);
}

/** The two questions of a comparison: `compare-params` and `compare-metrics`. */
export function compare(
  kind: 'params' | 'metrics',
  runs: readonly string[],
  options: Omit<AnalysisOptions, 'runs'>,
): Composition {
  if (!Array.isArray(runs) || runs.length < 2)
    invalid('runs', runs, 'the slugs of at least two runs, the first of them the baseline');
  return question(`compare-${kind}`, {}, { ...options, runs });
}

function question(name: string, values: Readonly<Record<string, SqlValue>>, options: AnalysisOptions): Composition {
  const { flow, step, runs } = checkAnalysis(options);
  return async (snapshot) => {
    const found = await findRuns(snapshot, runs, flow);
    return analysisStatement(name, { ...values, flow, step, runs: found === null ? null : found.map(({ slug }) => slug) });
  };
}

/** Which scopes are meant, completed. Throws OPTION_INVALID, GLOB_INVALID, STEP_INVALID. */
export function checkAnalysis(options: AnalysisOptions): {
  readonly flow: string | null;
  readonly step: string | null;
  readonly runs: RunNames;
} {
  if (typeof options !== 'object' || options === null) invalid('options', options, 'an object, or leave it out');
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

function gridJson(grid: Grid): string {
  if (typeof grid !== 'object' || grid === null || Array.isArray(grid) || Object.keys(grid).length === 0)
    invalid('grid', grid, 'an object of names, each with the list of its values');
  let points = 1;
  const axes = Object.entries(grid).map(([name, values]: [string, unknown]) => {
    if (values === 'observed') return `${JSON.stringify(name)}:null`;
    if (!Array.isArray(values) || values.length === 0) invalid(`grid.${name}`, values, "a list of values, or 'observed'");
    const levels = (values as readonly unknown[]).map((value) => levelJson(name, value));
    const twice = levels.find((level, index) => levels.indexOf(level) < index);
    if (twice !== undefined) invalid(`grid.${name}`, values, `each value once, ${twice} is there twice`);
    points *= levels.length;
    return `${JSON.stringify(name)}:[${levels.join(',')}]`;
  });
  if (points > mostPoints) invalid('grid', `a grid of ${points} points`, `at most ${mostPoints}`);
  return `{${axes.join(',')}}`;
}

/** As parameters are recorded. */
function levelJson(name: string, value: unknown): string {
  if (value === undefined || Number.isNaN(value)) invalid(`grid.${name}`, value, 'values that equal themselves in JSON');
  return canonicalJson(value);
}

function invalid(option: string, value: unknown, wanted: string): never {
  throw new MarqueError('OPTION_INVALID', `${option} is ${show(value)}: give ${wanted}`);
}
