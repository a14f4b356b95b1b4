import type { Glob } from './glob.ts';
import type { Status } from './store.ts';
import type { Tag } from './tag.ts';

/**
 * One search as plain data. Two interpreters give it its meaning: `compile.ts` turns it into SQL, `evaluate.ts` runs it over rows
 * in memory; a seeded random test holds them to the same answer.
 */
export interface Search {
  /** Over ids `flow.step.run.path`; null finds every id. */
  readonly glob: Glob | null;
  /** Exactly this flow, or any. */
  readonly flow: string | null;
  /** Exactly this step, or any. */
  readonly step: string | null;
  /** What else a scope must satisfy, as data; null asks nothing more. */
  readonly predicate: Predicate | null;
  /** Only scopes of which at least one tag passes this function as well; null asks nothing of the tags. */
  readonly where: ((tag: Tag) => boolean) | null;
  readonly runs: RunSelection;
  /** `newest`: by sid, descending, which is run number and then the order in which attempts started. */
  readonly order: 'newest' | 'oldest';
  readonly limit: number | null;
  readonly status: readonly Status[];
}

export type RunSelection =
  | { readonly kind: 'all' }
  /** One run by its number. */
  | { readonly kind: 'number'; readonly number: number }
  /** Runs by their slug. */
  | { readonly kind: 'slug'; readonly glob: Glob }
  /** Of the runs that have a match (and, if `before` is given, a lower number), the last (0) or the one before it (1). */
  | { readonly kind: 'recent'; readonly back: 0 | 1; readonly before: number | null };

/**
 * A condition on one scope, as plain data: `predicate.ts` builds it, `predicate-sql.ts` and `predicate-match.ts` give it its one meaning.
 * It either holds or does not, so that `not` is its opposite: nothing is unknown, as NULL is in SQL. An empty `and` holds, an empty
 * `or` does not. Through JSON it keeps its meaning, unless it compares with an infinity: JSON has none and says null, which is the value of
 * a tag without a number.
 */
export type Predicate =
  | { readonly kind: 'and'; readonly all: readonly Predicate[] }
  | { readonly kind: 'or'; readonly any: readonly Predicate[] }
  | { readonly kind: 'not'; readonly predicate: Predicate }
  | TagPredicate
  | ParamPredicate
  /** The id matches. */
  | { readonly kind: 'id'; readonly glob: Glob }
  | { readonly kind: 'status'; readonly status: readonly Status[] }
  | TimePredicate;

/** At least one tag has this content, or one that matches, and a value that passes; null asks nothing of the value. */
export interface TagPredicate {
  readonly kind: 'tag';
  readonly content: string | Glob;
  readonly test: Comparison | Membership<number | null> | null;
}

/**
 * The param at this place is there, and passes; null asks nothing more. Each key names a member of an object, never an element of a
 * list. Params are JSON, so bigints, dates, NaN and the infinities are texts there.
 */
export interface ParamPredicate {
  readonly kind: 'param';
  readonly path: readonly string[];
  readonly test: Comparison | Membership<ParamValue> | { readonly op: 'like'; readonly glob: Glob } | null;
}

/** What a param can be compared with. A param that is an object or a list equals none of them. */
export type ParamValue = string | number | boolean | null;

/** `started` and `ended` in epoch milliseconds, `duration` in milliseconds. */
export interface TimePredicate {
  readonly kind: 'time';
  readonly of: 'started' | 'ended' | 'duration';
  readonly test: Comparison;
}

/** Holds for numbers only, and never for NaN. -0 is 0; `between` includes both ends. */
export type Comparison =
  | { readonly op: 'lt' | 'le' | 'gt' | 'ge'; readonly value: number }
  | { readonly op: 'between'; readonly from: number; readonly to: number };

/**
 * `in` holds where the value is one of the list: null is null, NaN is none, and of two types none equals the other. `ne` holds where
 * `in` of that one value does not.
 */
export type Membership<T> = { readonly op: 'in'; readonly values: readonly T[] } | { readonly op: 'ne'; readonly value: T };
