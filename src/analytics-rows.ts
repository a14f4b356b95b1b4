/** The rows that the questions of `sql/analytics/` are answered with; each file says what its columns mean. */

/** One combination of parameters in the leaderboard of a tag. */
export interface BestRow {
  readonly flow: string;
  readonly step: string;
  /** A JSON object; null stands for a parameter that the scopes do not have. */
  readonly params: string;
  /** Scopes with a value. */
  readonly n: number;
  /** Scopes without one, or where it is NaN, infinite or beyond 1e150. */
  readonly n_missing: number;
  readonly mean: number | null;
  /** Of the sample; null below two values, as is the interval. */
  readonly sd: number | null;
  /** The 95 % confidence interval of the mean, by Student's t. */
  readonly ci_low: number | null;
  readonly ci_high: number | null;
  readonly lowest: number | null;
  readonly highest: number | null;
}

/** One run's values of a parameter in which runs differ. */
export interface ParamDifference {
  /** Null for a parameter of the run itself. */
  readonly step: string | null;
  readonly param: string;
  readonly run: string;
  /** A JSON array of the first 20; empty where the run does not have the parameter. */
  readonly levels: string;
  readonly n_levels: number;
  readonly n_scopes: number;
}

/** One tag of one run, compared with that of the baseline. */
export interface MetricDifference {
  /** Null for a tag of the run itself. */
  readonly step: string | null;
  readonly tag: string;
  readonly run: string;
  readonly n: number;
  readonly mean: number | null;
  readonly sd: number | null;
  readonly baseline: string;
  readonly baseline_n: number;
  readonly baseline_mean: number | null;
  readonly baseline_sd: number | null;
  readonly difference: number | null;
  /** The difference as a share of the baseline's mean. */
  readonly relative: number | null;
  /** Of Welch's test; null where a run has fewer than two values. */
  readonly p_value: number | null;
  /** Whether chance alone makes a difference as large in at least 5 % of all cases. */
  readonly is_noise: boolean | null;
}

/** One time that a tag was set. */
export interface SeriesRow {
  readonly sid: number;
  readonly flow: string;
  readonly run: string;
  /** Null, as are the scope's own columns, where the run itself was tagged. */
  readonly step: string | null;
  readonly id: string | null;
  readonly status: string | null;
  /** From 0 within the scope. */
  readonly position: number;
  readonly value: number | null;
  readonly started_at: Date | null;
  readonly params: string | null;
}

/** What a parameter has to do with a tag. */
export interface ImportanceRow {
  readonly flow: string;
  readonly step: string;
  readonly param: string;
  /** Whether each of its values is a number: only then are there correlations. */
  readonly is_numeric: boolean;
  /** Scopes with both the parameter and a value. */
  readonly n: number;
  /** Different values of the parameter. */
  readonly levels: number;
  readonly pearson: number | null;
  readonly spearman: number | null;
  /** Eta squared: from 0 to 1, and near 1 by chance alone where there are nearly as many levels as scopes. */
  readonly variance_explained: number | null;
  /** Epsilon squared, which makes up for that. */
  readonly variance_explained_adjusted: number | null;
  /** The larger of the adjusted one and the square of spearman. */
  readonly importance: number | null;
}

/** The time that a step took in a run, in milliseconds. */
export interface DurationRow {
  readonly flow: string;
  readonly step: string;
  readonly run: string;
  readonly n: number;
  readonly total_ms: number | null;
  readonly mean_ms: number | null;
  readonly median_ms: number | null;
  readonly p95_ms: number | null;
  readonly max_ms: number | null;
  readonly n_retried: number;
  readonly retried_ms: number;
  /** Null where it was not measured, as are the next two. */
  readonly dispatch_ms: number | null;
  readonly encode_ms: number | null;
  /** The share of both in the time of the scopes where they were measured. */
  readonly overhead: number | null;
}

/** Failures whose messages are alike. */
export interface ErrorGroup {
  /** The first line of the messages, with placeholders for what differs. */
  readonly kind: string;
  readonly n: number;
  /** Of n, those that another attempt followed. */
  readonly n_retried: number;
  /** Names with commas between them. */
  readonly steps: string;
  readonly n_runs: number;
  readonly first_seen: Date;
  readonly last_seen: Date;
  /** Of the scope that failed last. */
  readonly example_id: string;
  readonly example_message: string;
}

/** How often a step fails, and how often another attempt helps. */
export interface RetryRow {
  readonly flow: string;
  readonly step: string;
  /** Positions: all attempts at one count as one. */
  readonly n: number;
  readonly attempts: number;
  readonly retried: number;
  readonly recovered: number;
  readonly failed: number;
  /** Another attempt was to follow, and never ended. */
  readonly unfinished: number;
  readonly attempt_failure_rate: number;
  readonly failure_rate: number;
  readonly retry_rate: number;
  readonly recovery_rate: number | null;
}

/** One point of a grid of parameters. */
export interface CoverageRow {
  /** A JSON object. */
  readonly params: string;
  readonly status: 'present' | 'failed' | 'missing';
  readonly n_ok: number;
  readonly n_failed: number;
}
