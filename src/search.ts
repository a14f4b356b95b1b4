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
  /** Only scopes of which at least one tag passes; null asks nothing of the tags. */
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

/** A condition on one scope. Plain data: `predicate.ts` builds it, `compile.ts` and `evaluate.ts` give it its one meaning. */
export type Predicate =
  | { readonly kind: 'and'; readonly all: readonly Predicate[] }
  | { readonly kind: 'or'; readonly any: readonly Predicate[] }
  | { readonly kind: 'not'; readonly predicate: Predicate }
  /** At least one tag has this content (a glob over contents, or null for any), and a value that passes. */
  | { readonly kind: 'tag'; readonly content: string | Glob | null; readonly test: Test | null }
  /** The param at this place in the object of params is there, and passes. */
  | { readonly kind: 'param'; readonly path: readonly string[]; readonly test: Test | null }
  /** The id matches. */
  | { readonly kind: 'id'; readonly glob: Glob }
  | { readonly kind: 'status'; readonly status: readonly Status[] }
  /** `started` and `ended` in epoch milliseconds, `duration` in milliseconds. */
  | { readonly kind: 'time'; readonly of: 'started' | 'ended' | 'duration'; readonly test: Test };

/**
 * A comparison of one value. `lt le gt ge between` hold for numbers only, and never for NaN on either side; -0 is 0. `in` holds where the
 * value is one of the list: NaN is none, null is null, and a value of another type is another value. `ne` holds where `in` of the same
 * value does not. `like` holds for a text that matches the glob.
 */
export type Test =
  | { readonly op: 'lt' | 'le' | 'gt' | 'ge'; readonly value: number }
  | { readonly op: 'between'; readonly from: number; readonly to: number }
  | { readonly op: 'in'; readonly values: readonly (string | number | boolean | null)[] }
  | { readonly op: 'ne'; readonly value: string | number | boolean | null }
  | { readonly op: 'like'; readonly glob: Glob };
