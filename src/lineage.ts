import { analysisStatement } from './analysis.ts';
import { MarqueError, show } from './error.ts';
import { checkOptionNames } from './options.ts';
import { Scope } from './scope.ts';
import type { Composition } from './sql-query.ts';
import type { Statement, Status } from './store.ts';

/** How far to follow what scopes have to do with each other. */
export interface LineageOptions {
  /**
   * At most so many steps away; 100 by default, `Infinity` for all the way. What lies beyond is left out, which `has_more` tells. A chain
   * of pushes is as deep as it is long, and each step takes a pass over all that scopes of the store have to do with each other.
   */
  readonly depth?: number | undefined;
}

/**
 * One thing that one scope had from another. In `lineage` the scope `sid` was the source of `from_sid`; in `impact` it is the
 * one that had something from `from_sid`. Either way `from_sid` is that through which `sid` was reached.
 */
export interface LineageRow {
  /** How many steps `sid` is away by the shortest way; 0 for the scope itself, where a circle leads back to it. */
  readonly depth: number;
  /**
   * `pushed` by it; `referenced`: pushed with it as the reference; `searched`: delivered by a search of the step; `recalled`: an
   * artifact of it was recalled.
   */
  readonly kind: 'pushed' | 'referenced' | 'searched' | 'recalled';
  /** Of the artifact that was recalled, else null. */
  readonly name: string | null;
  readonly sid: number;
  /** This and the names below are null where the scope is not there any more: its run was deleted. */
  readonly id: string | null;
  readonly from_sid: number;
  readonly from_id: string | null;
  readonly flow: string | null;
  readonly step: string | null;
  /** The slug. */
  readonly run: string | null;
  readonly status: Status | null;
  /** What `sid` was made from, or in `impact` went into, is left out: `depth` ends here. True of no row where nothing is left out. */
  readonly has_more: boolean;
}

/** A scope, its key, or its id as `load` takes it: its last attempt, or the n-th with `id#n`. */
export type ScopeChoice = Scope | number | string;

/**
 * The statement of `lineage.sql` or `impact.sql` for a scope, which has to be there when it is asked. Throws `OPTION_INVALID`; when
 * it is asked `SCOPE_UNKNOWN`.
 *
 * @param label of the history, for messages
 */
export function traceOf(query: 'lineage' | 'impact', choice: ScopeChoice, options: LineageOptions, label: string): Composition {
  checkOptionNames(options, ['depth']);
  const depth = checkedDepth(options);
  const lookup = lookupOf(choice);
  return async (snapshot) => {
    const sid = lookup === null ? undefined : (await snapshot.select(lookup)).values[0]?.[0];
    if (typeof sid !== 'number') {
      const shown = typeof choice === 'string' ? show(choice) : `of key ${choice instanceof Scope ? choice.sid : choice}`;
      throw new MarqueError('SCOPE_UNKNOWN', `there is no scope ${shown} in ${label}: ids(pattern) lists those there are`);
    }
    return analysisStatement(query, { sid: BigInt(sid), depth });
  };
}

/** Null where there is no limit. */
function checkedDepth({ depth = 100 }: LineageOptions): number | null {
  if (depth === Number.POSITIVE_INFINITY) return null;
  if (Number.isSafeInteger(depth) && depth >= 1) return depth;
  throw new MarqueError('OPTION_INVALID', `depth is ${show(depth)}: give a whole number of steps from 1 on, or Infinity`);
}

/** Finds the key of a scope, if it is there; null for a text that can be no id. */
function lookupOf(choice: ScopeChoice): Statement | null {
  if (typeof choice === 'string') {
    const [, flow, step, run, path, attempt] = /^([^.#]+)\.([^.#]+)\.([^.#]+)\.([^.#]+)(?:#(\d{1,9}))?$/.exec(choice) ?? [];
    if (flow === undefined || step === undefined || run === undefined || path === undefined) return null;
    const text = `SELECT sid FROM scopes WHERE flow = $1 AND step = $2 AND run = $3 AND path = $4
      AND attempt = coalesce($5, attempt) ORDER BY sid DESC LIMIT 1`;
    return { text, values: [flow, step, run, path, attempt === undefined ? null : Number(attempt)] };
  }
  const sid = choice instanceof Scope ? choice.sid : choice;
  if (Number.isSafeInteger(sid)) return { text: 'SELECT sid FROM scopes WHERE sid = $1', values: [BigInt(sid)] };
  throw new MarqueError('OPTION_INVALID', `${show(choice)} is no scope: give one that was found, its sid or its id`);
}
