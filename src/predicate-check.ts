import { MarqueError, show } from './error.ts';
import { compileGlob, type Glob } from './glob.ts';
import { orNear } from './near.ts';
import { deepest } from './plain-json.ts';
import type { Comparison, Membership, ParamPredicate, ParamValue, Predicate, TagPredicate, TimePredicate } from './search.ts';
import type { Status } from './store.ts';

export const statuses: readonly Status[] = ['ok', 'error', 'retried', 'skipped'];

/** Levels of `and`, `or`, `not`. A hundred are far from what DuckDB takes. */
const deepestPredicate = 100;
const mostConditions = 1_000;
/** Each is a semi-join, unless `or` unites it with others. */
const mostTagConditions = 100;
const longestList = 10_000;
/** The milliseconds that a `Date` can hold, both ways from 1970. */
const furthestTime = 8.64e15;

interface Size {
  readonly conditions: number;
  readonly tags: number;
  readonly depth: number;
}

/** The sizes of all predicates that have passed: they are frozen throughout, so they stay what they are. */
const passed = new WeakMap<object, Size>();

/**
 * A predicate that anybody may have put together, also one that has been JSON in between: checked throughout, its globs compiled, as a
 * copy that is frozen throughout. One that has been checked before is returned as it is.
 *
 * @throws MarqueError PREDICATE_INVALID, saying which part cannot be meant and what to give instead; GLOB_INVALID.
 */
export function checkPredicate(given: unknown): Predicate {
  return checked(given, 0);
}

function checked(given: unknown, depth: number): Predicate {
  if (typeof given !== 'object' || given === null) return invalid(`${show(given)} is no condition: ${examples}`);
  if (depth + (passed.get(given)?.depth ?? 1) > deepestPredicate)
    return invalid(`and, or, not are nested over ${deepestPredicate} deep: and and or take any number of conditions`);
  if (passed.has(given)) return given as Predicate;
  const [predicate, parts] = copied(given as Parts, depth);
  const sizes = parts.map((part) => passed.get(part) as Size);
  const sum = (of: (size: Size) => number) => sizes.reduce((total, size) => total + of(size), 0);
  const size = {
    conditions: 1 + sum((part) => part.conditions),
    tags: (predicate.kind === 'tag' ? 1 : 0) + sum((part) => part.tags),
    depth: 1 + Math.max(0, ...sizes.map((part) => part.depth)),
  };
  if (size.conditions > mostConditions) tooMany(`more than ${mostConditions} conditions`);
  if (size.tags > mostTagConditions) tooMany(`more than ${mostTagConditions} conditions on tags`);
  passed.set(Object.freeze(predicate), size);
  return predicate;
}

/** What is read of an object that is said to be a predicate. */
interface Parts {
  readonly [name: string]: unknown;
}

/** The copy, not yet frozen itself, and the predicates in it. */
function copied(given: Parts, depth: number): readonly [Predicate, readonly Predicate[]] {
  switch (given['kind']) {
    case 'and': {
      const all = list('and', given['all'], depth);
      return [{ kind: 'and', all }, all];
    }
    case 'or': {
      const any = list('or', given['any'], depth);
      return [{ kind: 'or', any }, any];
    }
    case 'not': {
      const predicate = checked(given['predicate'], depth + 1);
      return [{ kind: 'not', predicate }, [predicate]];
    }
    case 'tag':
      return [tagPredicate(given), []];
    case 'param':
      return [paramPredicate(given), []];
    case 'id':
      return [{ kind: 'id', glob: glob(given['glob']) }, []];
    case 'status':
      return [{ kind: 'status', status: statusList(given['status']) }, []];
    case 'time':
      return [timePredicate(given), []];
    default:
      return invalid(`${show(given)} is no condition: ${examples}`);
  }
}

const examples = "give one such as tag('loss').lt(0.1), param('lr').exists(), status('ok'), or and(…), or(…), not(…) of them";

function list(name: string, given: unknown, depth: number): readonly Predicate[] {
  if (!Array.isArray(given)) return invalid(`${name} has ${show(given)} instead of a list of conditions`);
  if (given.length > mostConditions) tooMany(`more than ${mostConditions} conditions`);
  const [first] = given as unknown[];
  if (Array.isArray(first)) return invalid(`${name} is given a list: give the conditions one by one, ${name}(...list)`);
  return Object.freeze(Array.from(given, (one: unknown) => checked(one, depth + 1)));
}

function tagPredicate({ content, test }: Parts): TagPredicate {
  const isText = typeof content === 'string';
  if (!isText && (typeof content !== 'object' || content === null))
    return invalid(`tag(${show(content)}) is about no text: give the content of the tag, or tag.glob(pattern)`);
  const name = isText ? `tag(${show(content)})` : `tag.glob(${show((content as Parts)['pattern'])})`;
  const checkedContent = isText ? wellFormed(content, name) : glob(content);
  if (test === null) return { kind: 'tag', content: checkedContent, test };
  const value = (one: unknown, call: string): number | null => (one === null ? null : tagValue(one, call));
  return { kind: 'tag', content: checkedContent, test: comparison(test, name, tagValue) ?? membership(test, name, value) };
}

function tagValue(given: unknown, call: string): number {
  if (typeof given === 'string')
    return invalid(
      `${call} is given ${show(given)}, but the value of a tag is a number: texts are its content, tag.glob(pattern)`,
    );
  if (Number.isNaN(given))
    return invalid(`${call} is given NaN, which equals nothing: a function finds it, where: (tag) => Number.isNaN(tag.value)`);
  return number(given, call);
}

function paramPredicate({ path, test }: Parts): ParamPredicate {
  if (!Array.isArray(path) || path.length === 0)
    return invalid(`param is given ${show(path)} for keys: give the name of a param`);
  if (path.length > 1 + deepest)
    return invalid(`param is given ${path.length} keys, but params are nested at most ${deepest} deep`);
  const name = `param(${path.map((key) => show(key)).join(', ')})`;
  const keys = Array.from(path, (key: unknown) => {
    if (typeof key === 'string') return wellFormed(key, name);
    return invalid(`${name} has the key ${show(key)}: a key is a text, and elements of lists have none`);
  });
  const checkedPath = Object.freeze(keys);
  if (test === null) return { kind: 'param', path: checkedPath, test };
  if (isTest(test, 'like'))
    return { kind: 'param', path: checkedPath, test: Object.freeze({ op: 'like', glob: glob(test['glob']) }) };
  return { kind: 'param', path: checkedPath, test: comparison(test, name, number) ?? membership(test, name, paramValue) };
}

function paramValue(given: unknown, call: string): ParamValue {
  if (given === null || typeof given === 'boolean') return given;
  if (typeof given === 'string') return wellFormed(given, call);
  if (typeof given === 'number' && Number.isFinite(given)) return given === 0 ? 0 : given;
  if (typeof given === 'number') return invalid(`${call} is given ${given}, which params hold as the text "${given}": give that`);
  if (typeof given === 'bigint')
    return invalid(`${call} is given ${given}n, which params hold as the text "${given}": give that`);
  if (given instanceof Date)
    return invalid(`${call} is given a Date, which params hold as a text in ISO 8601: give its toISOString()`);
  return invalid(`${call} is given ${show(given)}: give a text, a number, true, false or null`);
}

function timePredicate({ of, test }: Parts): TimePredicate {
  if (of !== 'started' && of !== 'ended' && of !== 'duration')
    return invalid(`a condition on the time is about ${show(of)}: give 'started', 'ended' or 'duration'`);
  const checkedTest = comparison(test, of, of === 'duration' ? number : epoch);
  if (checkedTest === null) return invalid(`${of} is compared by ${show(test)}: give one of ${comparisons.join(', ')}`);
  return { kind: 'time', of, test: checkedTest };
}

function epoch(given: unknown, call: string): number {
  if (Number.isInteger(given) && Math.abs(given as number) <= furthestTime) return number(given, call);
  return invalid(`${call} is given ${show(given)}: give whole milliseconds since 1970, as Date.getTime() does`);
}

function statusList(given: unknown): readonly Status[] {
  if (!Array.isArray(given)) return invalid(`status has ${show(given)} instead of a list of statuses`);
  const unknown = (given as unknown[]).find((one) => !statuses.includes(one as Status));
  if (unknown === undefined && !given.includes(undefined)) return Object.freeze([...new Set(given as Status[])]);
  return invalid(`status ${show(unknown)} is none.${orNear(String(unknown), statuses)}`);
}

const comparisons = ['lt', 'le', 'gt', 'ge', 'between'];

function isTest(test: unknown, op: string): test is Parts {
  return typeof test === 'object' && test !== null && (test as Parts)['op'] === op;
}

/** A comparison with numbers that pass; null for another test. */
function comparison(test: unknown, name: string, check: (given: unknown, call: string) => number): Comparison | null {
  const op = comparisons.find((one) => isTest(test, one)) as Comparison['op'] | undefined;
  if (op === undefined) return null;
  const parts = test as Parts;
  const call = `${name}.${op}`;
  if (op !== 'between') return Object.freeze({ op, value: check(parts['value'], call) });
  const [from, to] = [check(parts['from'], call), check(parts['to'], call)];
  if (from > to) return invalid(`${call} is given ${from} and ${to}, between which nothing lies: give the lower end first`);
  return Object.freeze({ op, from, to });
}

function membership<T>(test: unknown, name: string, check: (given: unknown, call: string) => T): Membership<T> {
  if (isTest(test, 'ne')) return Object.freeze({ op: 'ne', value: check(test['value'], `${name}.ne`) });
  if (!isTest(test, 'in')) return invalid(`${name} is tested by ${show(test)}, which is no test`);
  const { values } = test;
  const call = Array.isArray(values) && values.length === 1 ? `${name}.eq` : `${name}.in`;
  if (!Array.isArray(values)) return invalid(`${call} is given ${show(values)}: give a list`);
  if (values.length > longestList)
    return invalid(`${call} is given ${values.length} values: give at most ${longestList}, or join a table of them in SQL`);
  return Object.freeze({
    op: 'in',
    values: Object.freeze([...new Set(Array.from(values, (value: unknown) => check(value, call)))]),
  });
}

function number(given: unknown, call: string): number {
  if (typeof given === 'number' && !Number.isNaN(given)) return given === 0 ? 0 : given; // -0 is 0
  return invalid(`${call} is given ${show(given)}: give a number`);
}

const compiled = new WeakSet<object>();

/** The glob of a pattern. What else an object says that was not compiled here is not believed. */
function glob(given: unknown): Glob {
  if (typeof given === 'object' && given !== null && compiled.has(given)) return given as Glob;
  if (typeof given !== 'object' || given === null) return invalid(`${show(given)} is no compiled glob`);
  const made = Object.freeze(compileGlob((given as Parts)['pattern']));
  compiled.add(made);
  return made;
}

function wellFormed(text: string, name: string): string {
  return text.isWellFormed()
    ? text
    : invalid(`${name} is given ${show(text)}, which has half of a surrogate pair: nothing recorded does`);
}

function tooMany(what: string): never {
  invalid(`the predicate has ${what}: one of many values is asked for by in([…]), one of many texts by a glob {a,b,c}`);
}

function invalid(message: string): never {
  throw new MarqueError('PREDICATE_INVALID', message);
}
