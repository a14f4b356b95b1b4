import { inspect, type InspectOptions } from 'node:util';
import { MarqueError, messageOf, show } from './error.ts';
import type { Tag } from './tag.ts';

/** A person's JavaScript predicate. It depends on nothing but the tag. */
export type Where = (tag: Tag) => boolean;

/** A predicate threw, or returned an object, which is always true. Whoever catches it finds a scope that has the tag, and throws {@link WhereFailure.of} that. */
export class WhereFailure extends MarqueError {
  readonly tag: Tag;
  readonly #what: string;
  readonly #why: string;

  constructor(tag: Tag, what: string, why: string, options?: ErrorOptions, id?: string) {
    super(
      'WHERE_INVALID',
      `where ${what} the tag ${describe(tag)}${id === undefined ? '' : ` of scope "${id}"`}: ${why}`,
      options,
    );
    this.tag = tag;
    this.#what = what;
    this.#why = why;
  }

  /** The same, with the id of a scope that has the tag. */
  of(id: string): WhereFailure {
    return new WhereFailure(this.tag, this.#what, this.#why, { cause: this.cause }, id);
  }
}

/** A tag as a predicate gets it. -0 is 0, for a store may hold either. */
export function judged(content: string, value: number | null): Tag {
  return Object.freeze({ content, value: value === 0 ? 0 : value });
}

/** Whether a predicate accepts a tag. Throws {@link WhereFailure}. */
function judge(where: Where, tag: Tag): boolean {
  let verdict: unknown;
  let isPromise: boolean;
  try {
    verdict = where(tag);
    isPromise = isThenable(verdict);
  } catch (cause) {
    throw new WhereFailure(plain(tag), 'threw on', messageOf(cause), { cause });
  }
  if (isPromise) {
    void Promise.resolve(verdict).catch(() => {}); // its own failure would end the process as an unhandled rejection
    throw new WhereFailure(plain(tag), 'returned a promise for', 'it must be a synchronous function');
  }
  if (typeof verdict === 'function' || (typeof verdict === 'object' && verdict !== null))
    throw new WhereFailure(plain(tag), `returned ${show(verdict)} for`, 'it must return true or false');
  return Boolean(verdict);
}

/**
 * What a predicate says, asked as seldom as it can be: where it comes to its verdict without a look at the value, that holds for every tag
 * with the same content.
 */
export class Verdicts {
  readonly #where: Where;
  /** Null where the verdict depends on the value. */
  readonly #contents = new Map<string, boolean | null>();
  readonly #tags = new Map<string, Map<number | null, boolean>>(); // like DuckDB, a Map takes NaN for NaN

  constructor(where: Where) {
    this.#where = where;
  }

  /** The verdict on all tags with a content, or null where it depends on their values. `value` is that of one of them. */
  ofContent(content: string, value: number | null): boolean | null {
    const known = this.#contents.get(content);
    if (known !== undefined) return known;
    const tag = judged(content, value);
    let looked = false;
    const verdict = judge(
      this.#where,
      watched(tag, () => (looked = true)),
    );
    this.#contents.set(content, looked ? null : verdict);
    if (looked) this.#tags.set(content, new Map([[tag.value, verdict]]));
    return looked ? null : verdict;
  }

  /** The verdict on a tag, kept. */
  ofTag(content: string, value: number | null): boolean {
    const tag = judged(content, value);
    const known = this.#contents.get(content) ?? this.#tags.get(content)?.get(tag.value);
    if (known !== undefined) return known;
    const values = this.#tags.get(content) ?? new Map<number | null, boolean>();
    this.#tags.set(content, values);
    const verdict = judge(this.#where, tag);
    values.set(tag.value, verdict);
    return verdict;
  }

  /** The verdict on a tag of which there are so many that keeping it would take more than asking again. */
  once(content: string, value: number | null): boolean {
    return this.#contents.get(content) ?? judge(this.#where, judged(content, value));
  }
}

/**
 * A tag that tells when somebody looks at its value, and is like any other tag to whoever does: to read, to spread, to compare, to print.
 * Only the descriptor of the property shows a getter.
 */
function watched({ content, value }: Tag, onLook: () => void): Tag {
  const tag = {
    content,
    get value() {
      onLook();
      return value;
    },
  };
  const print = (_depth: number, options: InspectOptions): string => {
    onLook();
    return inspect({ content, value }, options);
  };
  return Object.freeze(Object.defineProperty(tag, inspect.custom, { value: print }));
}

function plain({ content, value }: Tag): Tag {
  return { content, value };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

function describe({ content, value }: Tag): string {
  return value === null ? show(content) : `${show(content)} with the value ${show(value)}`;
}
