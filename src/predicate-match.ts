import type { Candidate } from './evaluate.ts';
import { matchGlob, matchId } from './glob.ts';
import type { Comparison, Membership, ParamPredicate, Predicate, TagPredicate } from './search.ts';
import type { Tag } from './tag.ts';

/** Whether a predicate holds for a scope in memory. `predicate-sql.ts` says the same in SQL. */
export function matchPredicate(predicate: Predicate, scope: Candidate): boolean {
  return holds(predicate, new Subject(scope));
}

function holds(predicate: Predicate, subject: Subject): boolean {
  const { scope } = subject;
  switch (predicate.kind) {
    case 'and':
      return predicate.all.every((one) => holds(one, subject));
    case 'or':
      return predicate.any.some((one) => holds(one, subject));
    case 'not':
      return !holds(predicate.predicate, subject);
    case 'tag':
      return subject.tags.some((tag) => passesTag(predicate, tag));
    case 'param':
      return passesParam(predicate, subject.params);
    case 'id':
      return matchId(predicate.glob, scope);
    case 'status':
      return predicate.status.includes(scope.status);
    case 'time':
      return compare(predicate.test, timeOf(predicate.of, scope));
  }
}

/** What a scope has, each part read once, and only if a predicate asks for it. */
class Subject {
  readonly scope: Candidate;
  #tags: readonly Tag[] | undefined;
  #params: { readonly value: unknown } | undefined;

  constructor(scope: Candidate) {
    this.scope = scope;
  }

  get tags(): readonly Tag[] {
    return (this.#tags ??= this.scope.tags());
  }

  get params(): unknown {
    const { params } = this.scope;
    return (this.#params ??= { value: params === null ? null : JSON.parse(params) }).value;
  }
}

function passesTag({ content, test }: TagPredicate, tag: Tag): boolean {
  if (typeof content === 'string' ? tag.content !== content : !matchGlob(content, tag.content)) return false;
  if (test === null) return true;
  return test.op === 'in' || test.op === 'ne' ? isAmong(test, tag.value) : compare(test, tag.value);
}

function passesParam({ path, test }: ParamPredicate, params: unknown): boolean {
  let value = params;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) return false;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  if (test === null) return true;
  if (test.op === 'like') return typeof value === 'string' && matchGlob(test.glob, value);
  return test.op === 'in' || test.op === 'ne' ? isAmong(test, value) : compare(test, value);
}

function timeOf(of: 'started' | 'ended' | 'duration', { startedAt, durationMs }: Candidate): number {
  if (of === 'duration') return durationMs;
  return of === 'started' ? startedAt : startedAt + durationMs;
}

/** In no other type than number, so that null, which is less than 1 in JavaScript, passes nothing. */
function compare(test: Comparison, value: unknown): boolean {
  if (typeof value !== 'number') return false;
  switch (test.op) {
    case 'lt':
      return value < test.value;
    case 'le':
      return value <= test.value;
    case 'gt':
      return value > test.value;
    case 'ge':
      return value >= test.value;
    case 'between':
      return value >= test.from && value <= test.to;
  }
}

const sets = new WeakMap<readonly unknown[], ReadonlySet<unknown>>();

/** Lists hold no NaN, so that to be in the set of one is to be equal, `===`, to one of it. */
function isAmong(test: Membership<unknown>, value: unknown): boolean {
  if (test.op === 'ne') return test.value !== value;
  let set = sets.get(test.values);
  if (set === undefined) sets.set(test.values, (set = new Set(test.values)));
  return set.has(value);
}
