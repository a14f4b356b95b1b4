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
