import * as analytics from '../analytics.ts';
import type {
  BestRow,
  CoverageRow,
  DurationRow,
  ErrorGroup,
  ImportanceRow,
  MetricDifference,
  ParamDifference,
  RetryRow,
  SeriesRow,
} from '../analytics-rows.ts';
import { MarqueError, show } from '../error.ts';
import type { Grid } from '../grid.ts';
import { type LineageOptions, type LineageRow, type ScopeChoice, traceOf } from '../lineage.ts';
import { planSearch, type SearchOptions } from '../plan.ts';
import { Query } from '../query.ts';
import { planReading } from '../reading.ts';
import type { Scope } from '../scope.ts';
import { type Composition, SqlQuery } from '../sql-query.ts';
import { statementOf } from '../sql-template.ts';
import type { StepLike } from '../step.ts';
import type { Snapshot, Statement } from '../store.ts';
import { wide, type WideOptions, type WideRow } from '../wide.ts';

/** In what runs differ: two queries, each asked by itself. */
export interface Comparison {
  /** For each parameter of which they do not all have the same values one row a run. */
  readonly params: SqlQuery<ParamDifference>;
  /** For each step and tag one row a run after the first, what moved most surely first. */
  readonly metrics: SqlQuery<MetricDifference>;
}

/** A run history that can be read: as it is now, which is a storage, or as it was at some time. */
export abstract class History {
  /**
   * Finds scopes by a glob over their ids `flow.step.run.path`, or by step. Newest first; by default those of the most recent
   * run that has a match. Nothing happens until the query is iterated or awaited.
   */
  search(target: string | StepLike, options: SearchOptions = {}): Query {
    return new Query(() => this.openSnapshot(), planSearch(target, options, null), null, planReading(options));
  }

  /**
   * One SELECT over the views `scopes`, `tags`, `artifacts`, `logs`, `edges` and `runs`, every value bound:
   *
   * ```ts
   * await storage.sql<{ step: string; n: number }>`SELECT step, count(*) AS n FROM scopes WHERE run = ${run} GROUP BY step`;
   * ```
   *
   * A number is bound as DOUBLE, which `LIMIT ${10}` takes. Where SQL wants a whole number, bind a bigint: `range(${10n})`.
   * Functions that DuckDB can crash in are refused, and casts to VARIANT.
   *
   * @throws MarqueError `SQL_INVALID` for what cannot be run, `STORE_DAMAGED` where a file of the store cannot be read,
   * `DATABASE_FAILED` where DuckDB fails, and `STORE_CLOSED` where the storage is closed meanwhile.
   */
  sql<Row extends object = Record<string, unknown>>(strings: TemplateStringsArray, ...values: readonly unknown[]): SqlQuery<Row> {
    return this.newQuery<Row>(statementOf(strings, values));
  }

  /**
   * A table with one row a scope, in the order in which they started: what it is, then `param_<name>` and `tag_<text>` columns.
   *
   * ```ts
   * await storage.wide({ step: train, params: ['lr'], tags: ['loss'] }); // id … duration_ms, param_lr, tag_loss
   * ```
   *
   * A tag is a DOUBLE, the last number that the scope gave to it; a tag that was asked for and never has a number is a BOOLEAN, whether the
   * scope has it. A parameter that is a number in all of these scopes is a DOUBLE, likewise BOOLEAN, else it is text, lists and objects
   * as JSON. In the names of columns anything but letters, digits and `_` is `_`; of those that are then the same, case aside, the later ones get a
   * number. Columns are looked for each time that the query runs.
   *
   * @throws MarqueError `OPTION_INVALID`, also for more than 256 columns of one kind; `RUN_UNKNOWN`.
   */
  wide(options: WideOptions = {}): SqlQuery<WideRow> {
    return this.newQuery<WideRow>(wide(options));
  }

  /**
   * The leaderboard of a tag: number of scopes, mean, standard deviation and 95 % confidence interval by step and parameters, the
   * best first. The value of a scope is the last number that it gave to the tag.
   *
   * ```ts
   * await storage.best('loss', { order: 'lowest', step: train, by: ['lr', 'depth'] });
   * ```
   *
   * This and the questions that follow are files in `sql/analytics/` that say how they are answered, and run in plain DuckDB as well. They
   * are asked each time that the query is awaited or iterated, see what is not flushed yet, and leave out attempts that were
   * retried unless they are about those.
   *
   * @throws MarqueError `OPTION_INVALID`; when it is asked, `RUN_UNKNOWN`.
   */
  best(tag: string, options: analytics.BestOptions): SqlQuery<BestRow> {
    return this.newQuery<BestRow>(analytics.best(tag, options));
  }

  /**
   * Compares runs with the first of them: in which parameters they differ, and which tags moved, by how much, and whether that is
   * more than noise, by Welch's test over the values of the scopes.
   *
   * ```ts
   * const { params, metrics } = storage.compare(['brave-otters', 'calm-owls'], { step: train });
   * for await (const { tag, relative, is_noise } of metrics) if (is_noise === false) console.log(tag, relative);
   * ```
   */
  compare(runs: readonly string[], options: Omit<analytics.AnalysisOptions, 'runs'> = {}): Comparison {
    return {
      params: this.newQuery<ParamDifference>(analytics.compare('params', runs, options)),
      metrics: this.newQuery<MetricDifference>(analytics.compare('metrics', runs, options)),
    };
  }

  /** Every time that a tag was set, in the order of scopes and then of time, with the run's own if no step is asked for. */
  series(tag: string, options: analytics.AnalysisOptions = {}): SqlQuery<SeriesRow> {
    return this.newQuery<SeriesRow>(analytics.series(tag, options));
  }

  /**
   * Which parameters matter for a tag, the one that matters most first: Pearson's and Spearman's correlation for numbers, the variance
   * explained for all.
   */
  importance(tag: string, options: analytics.AnalysisOptions = {}): SqlQuery<ImportanceRow> {
    return this.newQuery<ImportanceRow>(analytics.importance(tag, options));
  }

  /** Where the time went: durations in milliseconds by step and run, what took longest first, with the engine's share as far as it was measured. */
  durations(options: analytics.AnalysisOptions = {}): SqlQuery<DurationRow> {
    return this.newQuery<DurationRow>(analytics.durations(options));
  }

  /** What goes wrong: errors whose messages differ in nothing but numbers, paths and quoted texts, the most frequent first, retried attempts included. */
  errorGroups(options: analytics.AnalysisOptions = {}): SqlQuery<ErrorGroup> {
    return this.newQuery<ErrorGroup>(analytics.errorGroups(options));
  }

  /** Which steps are flaky: how many attempts fail, how many positions were retried, recovered and failed in the end. */
  retries(options: analytics.AnalysisOptions = {}): SqlQuery<RetryRow> {
    return this.newQuery<RetryRow>(analytics.retries(options));
  }

  /**
   * Which points of a grid were computed, failed, or are missing, in the order of the grid.
   *
   * ```ts
   * await storage.coverage({ lr: [0.1, 0.01], seed: 'observed' }, { step: train });
   * ```
   *
   * @throws MarqueError `OPTION_INVALID`, also for a value that is NaN or there twice, and above a million points.
   */
  coverage(grid: Grid, options: analytics.AnalysisOptions = {}): SqlQuery<CoverageRow> {
    return this.newQuery<CoverageRow>(analytics.coverage(grid, options));
  }

  /**
   * The scope with an id: its last attempt, or the n-th with `id#n`. Throws `SCOPE_UNKNOWN`.
   */
  async load(id: string): Promise<Scope> {
    const [, position = '', attempt] = /^([^#]*)(?:#(\d+))?$/.exec(id) ?? [];
    if (/^[\p{L}\p{M}\p{N}_-]+(\.[\p{L}\p{M}\p{N}_~-]+){3}$/u.test(position)) {
      const found = this.search(position, { runs: 'all', status: ['ok', 'error', 'retried', 'skipped'] });
      try {
        for await (const scope of found) if (attempt === undefined || scope.attempt === Number(attempt)) return scope;
      } catch (error) {
        if (!(error instanceof MarqueError) || error.code !== 'RUN_UNKNOWN') throw error;
      }
    }
    throw new MarqueError(
      'SCOPE_UNKNOWN',
      `there is no scope ${show(id)} in ${this.toString()}: ids(pattern) lists those there are`,
    );
  }

  /**
   * What a scope was made from: its pusher, its reference, what its step searched and recalled, and what those were made from in turn. A
   * row for each, the nearest first, up to 100 steps away unless `depth` says otherwise: `has_more` tells where it goes on. The query is
   * `sql/analytics/lineage.sql`.
   *
   * Recorded is what a step does through its own handle while it runs, failed attempts included: the scopes that its searches delivered, and
   * what it recalled of those and of its reference. What is recalled of a scope that another step found counts for that step while it
   * runs, and for none once it has ended; what is read by `sql` or a storage counts for none.
   *
   * ```ts
   * for await (const { depth, kind, name, id } of storage.lineage('test.inspectSub.brave-otter.1-1')) …
   * ```
   *
   * @throws MarqueError `OPTION_INVALID`; when it is asked `SCOPE_UNKNOWN`.
   */
  lineage(scope: ScopeChoice, options: LineageOptions = {}): SqlQuery<LineageRow> {
    return this.newQuery<LineageRow>(traceOf('lineage', scope, options, this.toString()));
  }

  /** What a scope went into: the other direction of `lineage`, by `sql/analytics/impact.sql`. */
  impact(scope: ScopeChoice, options: LineageOptions = {}): SqlQuery<LineageRow> {
    return this.newQuery<LineageRow>(traceOf('impact', scope, options, this.toString()));
  }

  /** The ids of all scopes of all runs that match a glob, newest first. */
  ids(pattern = '*'): Promise<string[]> {
    return this.search(pattern, { runs: 'all' }).ids();
  }

  /** What kind of history, and where. */
  abstract toString(): string;

  /** A query of this history, from a statement or from what composes one. */
  protected newQuery<Row extends object>(statement: Statement | Composition): SqlQuery<Row> {
    return new SqlQuery<Row>(() => this.openSnapshot(), statement);
  }

  /** The state that a query is answered from. Whoever asks releases it. */
  protected abstract openSnapshot(): Promise<Snapshot>;
}
