import { MarqueError, show } from './error.ts';
import { deepest } from './plain-json.ts';

/** In characters. A longer member is data, and belongs in an artifact. */
const longestParam = 65_536;

/**
 * JSON without spaces, keys in the order of their UTF-16 units, so that equal values are equal texts. The value is made of strings,
 * finite numbers, booleans, null, arrays and plain objects, and of these, which have no JSON of their own: bigints as strings of
 * digits, `Date` as ISO 8601 in UTC, NaN and the infinities as the strings "NaN", "Infinity", "-Infinity" (DuckDB casts them back
 * to DOUBLE). Members that are undefined are left out. Throws VALUE_INVALID for anything else.
 */
export function canonicalJson(value: unknown): string {
  const json = attempt(() => new Writer(Infinity).write(value));
  if (json === null) throw new MarqueError('VALUE_INVALID', `${show(value)} has no JSON: it may hold plain values only`);
  return json;
}

/**
 * The plain members of the values that are pushed with a step, as canonical JSON; null if none is plain. A member is left out as a
 * whole if anything in it is not plain (a class instance, a function, a symbol, half of a surrogate pair, a cycle, a getter
 * that throws), is nested over 200 deep, or makes more than 65,536 characters. Never throws.
 */
export function paramsJson(values: Readonly<Record<string, unknown>>): string | null {
  const members: string[] = [];
  for (const name of attempt(() => Object.keys(values).sort()) ?? []) {
    const json = attempt(() => (name.isWellFormed() ? new Writer(longestParam).write(values[name]) : null));
    if (json !== null) members.push(`${JSON.stringify(name)}:${json}`);
  }
  return members.length === 0 ? null : `{${members.join(',')}}`;
}

/** Writes one value, or null if it is not plain throughout or takes more characters than allowed. */
class Writer {
  #left: number;
  #depth = 0;

  constructor(longest: number) {
    this.#left = longest;
  }

  write(value: unknown): string | null {
    if (typeof value === 'object' && value !== null && !(value instanceof Date)) return this.#nested(value);
    const json = scalar(value);
    return json !== null && this.#spend(json.length) ? json : null;
  }

  /** Counted on the way down, so that a few arrays that share each other a million times are given up early. */
  #spend(characters: number): boolean {
    this.#left -= characters;
    return this.#left >= 0;
  }

  #nested(value: object): string | null {
    if (this.#depth === deepest || !this.#spend(2)) return null; // every cycle ends here as well
    this.#depth++;
    const json = Array.isArray(value) ? this.#array(value) : isPlain(value) ? this.#object(value) : null;
    this.#depth--;
    return json;
  }

  #array(list: readonly unknown[]): string | null {
    const elements: string[] = [];
    for (let index = 0; index < list.length; index++) {
      const json = this.#spend(1) ? this.write(list[index]) : null;
      if (json === null) return null;
      elements.push(json);
    }
    return `[${elements.join(',')}]`;
  }

  #object(object: Readonly<Record<string, unknown>>): string | null {
    const members: string[] = [];
    for (const key of Object.keys(object).sort()) {
      const value = object[key];
      if (value === undefined) continue;
      const json = key.isWellFormed() && this.#spend(key.length + 4) ? this.write(value) : null;
      if (json === null) return null;
      members.push(`${JSON.stringify(key)}:${json}`);
    }
    return `{${members.join(',')}}`;
  }
}

function scalar(value: unknown): string | null {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? JSON.stringify(value) : null;
    case 'number':
      return Number.isFinite(value) ? JSON.stringify(value) : `"${value}"`;
    case 'bigint':
      return `"${value}"`;
    case 'boolean':
      return String(value);
    case 'object':
      if (value === null) return 'null';
      return value instanceof Date && !Number.isNaN(value.getTime()) ? `"${Date.prototype.toISOString.call(value)}"` : null;
    default:
      return null;
  }
}

function isPlain(value: object): value is Readonly<Record<string, unknown>> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Proxies and getters may throw anywhere. */
function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** JSON for people and programs to read, not to be read back: bigints, NaN and the infinities as texts, a Map as an object. */
export function lossyJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return String(member);
    if (member instanceof Map) return Object.fromEntries(member);
    return typeof member === 'number' && !Number.isFinite(member) ? String(member) : member;
  });
}
