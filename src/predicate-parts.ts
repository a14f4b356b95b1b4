import type { Glob } from './glob.ts';
import type { Predicate, Search } from './search.ts';

/** Predicates that must all hold for this one to hold, and that together are enough. None where there is no predicate. */
export function conjuncts(predicate: Predicate | null): readonly Predicate[] {
  if (predicate === null) return [];
  return predicate.kind === 'and' ? predicate.all.flatMap(conjuncts) : [predicate];
}

/** The globs that the id of a scope has to match, each of them, for a search to find it. */
export function idGlobs({ glob, predicate }: Search): readonly Glob[] {
  const more = conjuncts(predicate).flatMap((one) => (one.kind === 'id' ? [one.glob] : []));
  return glob === null ? more : [glob, ...more];
}

/** Predicates of which one must hold, and any is enough. */
export function disjuncts(predicate: Predicate): readonly Predicate[] {
  return predicate.kind === 'or' ? predicate.any.flatMap(disjuncts) : [predicate];
}

/** Whether a predicate of this kind is anywhere in this one. */
export function asksFor(predicate: Predicate | null, kind: 'tag' | 'param'): boolean {
  return someCondition(predicate, (condition) => condition.kind === kind);
}

/** Whether something is true of a condition in a predicate, also within `not` and `or`. */
export function someCondition(predicate: Predicate | null, test: (condition: Predicate) => boolean): boolean {
  switch (predicate?.kind) {
    case 'and':
      return predicate.all.some((one) => someCondition(one, test));
    case 'or':
      return predicate.any.some((one) => someCondition(one, test));
    case 'not':
      return someCondition(predicate.predicate, test);
    default:
      return predicate !== null && test(predicate);
  }
}
