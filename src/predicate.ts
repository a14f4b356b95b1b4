import { MarqueError, show } from './error.ts';
import { checkPredicate } from './predicate-check.ts';
import type { ParamValue, Predicate } from './search.ts';
import type { Status } from './store.ts';

/** What can be asked of a number. NaN, and what is no number, passes none of these. */
export interface NumberConditions {
  lt(value: number): Predicate;
  le(value: number): Predicate;
  gt(value: number): Predicate;
  ge(value: number): Predicate;
  /** Both ends included. */
  between(from: number, to: number): Predicate;
}

/** What can be asked of a scope's tags: at least one of them has the content, and a value that passes. */
export interface TagConditions extends NumberConditions {
  /** Null is the value of a tag without a number. */
  eq(value: number | null): Predicate;
  /** At least one such tag has another value, or NaN, or none at all. That none has this value says `not(tag(…).eq(value))`. */
  ne(value: number | null): Predicate;
  /** The value is one of these, at most 10,000. */
  in(values: readonly (number | null)[]): Predicate;
  /** There is such a tag, whatever its value. */
  exists(): Predicate;
}

/** What can be asked of a param. Only a number passes a comparison, only a text `like`. */
export interface ParamConditions extends NumberConditions {
  eq(value: ParamValue): Predicate;
  /** The param is there, and is something else. That it is not there counts as well in `not(param(…).eq(value))`. */
  ne(value: ParamValue): Predicate;
  /** The value is one of these, at most 10,000. */
  in(values: readonly ParamValue[]): Predicate;
  /** A text that matches the glob. */
  like(pattern: string): Predicate;
  /** The param is there, be it null. */
  exists(): Predicate;
}

/** What can be asked of a moment. */
export interface TimeConditions {
  before(time: Date): Predicate;
  after(time: Date): Predicate;
  /** Both ends included. */
  between(from: Date, to: Date): Predicate;
}

/**
 * A condition on the tags of a scope: `tag('loss').lt(0.1)`, `tag('best').exists()`; `tag.glob('model=*')` is about all tags whose
 * content matches the glob. Throws PREDICATE_INVALID, `tag.glob` also GLOB_INVALID.
 */
export const tag: {
  (content: string): TagConditions;
  glob(pattern: string): TagConditions;
} = Object.assign((content: string) => tagConditions(content), { glob: (pattern: string) => tagConditions({ pattern }) });

/**
 * A condition on the values that were pushed with a step: `param('lr').ge(0.1)`, `param('model', 'layers').eq(2)` for a member of an
 * object. The params of a scope are JSON: bigints, dates, NaN and the infinities are texts there, and what is not plain is missing.
 * Throws PREDICATE_INVALID, `like` also GLOB_INVALID.
 */
export function param(...path: readonly [string, ...string[]]): ParamConditions {
  const exists = checkPredicate({ kind: 'param', path, test: null });
  const of = (test: object) => checkPredicate({ ...exists, test });
  return {
    ...numberConditions(of),
    ...memberConditions(of),
    like: (pattern) => of({ op: 'like', glob: { pattern } }),
    exists: () => exists,
  };
}

/** The status is one of these. A search whose `where` names `retried` finds attempts that another followed, unless its own status says no. */
export function status(...oneOf: readonly Status[]): Predicate {
  return checkPredicate({ kind: 'status', status: oneOf });
}

/** When the attempt started. */
export const started: TimeConditions = timeConditions('started');

/** When the attempt ended: when it started, and its duration later. */
export const ended: TimeConditions = timeConditions('ended');

/** How long the attempt took, in milliseconds. */
export const duration: NumberConditions = numberConditions((test) => checkPredicate({ kind: 'time', of: 'duration', test }));

/** The id `flow.step.run.path` matches the glob. Throws GLOB_INVALID. */
export function id(pattern: string): Predicate {
  return checkPredicate({ kind: 'id', glob: { pattern } });
}

/** Each of these holds; of none, always. */
export function and(...all: readonly Predicate[]): Predicate {
  return checkPredicate({ kind: 'and', all });
}

/** At least one of these holds; of none, never. */
export function or(...any: readonly Predicate[]): Predicate {
  return checkPredicate({ kind: 'or', any });
}

/** The predicate does not hold. `not(tag('loss').lt(1))` also finds scopes without the tag, which `tag('loss').ge(1)` does not. */
export function not(predicate: Predicate): Predicate {
  return checkPredicate({ kind: 'not', predicate });
}

function tagConditions(content: string | { readonly pattern: string }): TagConditions {
  const exists = checkPredicate({ kind: 'tag', content, test: null });
  const of = (test: object) => checkPredicate({ ...exists, test });
  return { ...numberConditions(of), ...memberConditions(of), exists: () => exists };
}

type Of = (test: object) => Predicate;

function numberConditions(of: Of): NumberConditions {
  return {
    lt: (value) => of({ op: 'lt', value }),
    le: (value) => of({ op: 'le', value }),
    gt: (value) => of({ op: 'gt', value }),
    ge: (value) => of({ op: 'ge', value }),
    between: (from, to) => of({ op: 'between', from, to }),
  };
}

function memberConditions(
  of: Of,
): { readonly [op in 'eq' | 'ne']: (value: unknown) => Predicate } & { in(values: unknown): Predicate } {
  return {
    eq: (value) => of({ op: 'in', values: [value] }),
    ne: (value) => of({ op: 'ne', value }),
    in: (values) => of({ op: 'in', values }),
  };
}

function timeConditions(name: 'started' | 'ended'): TimeConditions {
  const at = (call: string, time: unknown): number => {
    if (time instanceof Date && !Number.isNaN(time.getTime())) return time.getTime();
    const given = time instanceof Date ? 'an invalid Date' : show(time);
    throw new MarqueError(
      'PREDICATE_INVALID',
      `${name}.${call} is given ${given}: give a Date, such as new Date('2026-01-31T10:00Z')`,
    );
  };
  const of = (test: object) => checkPredicate({ kind: 'time', of: name, test });
  return {
    before: (time) => of({ op: 'lt', value: at('before', time) }),
    after: (time) => of({ op: 'gt', value: at('after', time) }),
    between: (from, to) => of({ op: 'between', from: at('between', from), to: at('between', to) }),
  };
}
