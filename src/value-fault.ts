import { types } from 'node:util';
import { deepest, strayKey, isPerilous } from './plain-json.ts';

/** Where in a value something cannot be kept, as JavaScript would write it (`.a[3]`), and what it is (`is a function`). */
export interface Fault {
  readonly path: string;
  readonly what: string;
}

/**
 * The first thing in a value that would not read back deeply equal; null if there is none. What passes: strings, numbers, booleans,
 * bigints, null, undefined; plain objects and arrays; Map, Set, Date, RegExp, URL; errors of the language's own classes; typed arrays
 * and Buffer; and nothing but these inside of them.
 */
export function findFault(value: unknown): Fault | null {
  try {
    return new Inspector().fault(value);
  } catch (cause) {
    return { path: '', what: `holds something that cannot be read (${cause instanceof Error ? cause.message : 'it throws'})` };
  }
}

export const errorClasses: ReadonlyMap<object, string> = new Map(
  [Error, AggregateError, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((type) => [
    type.prototype,
    type.name,
  ]),
);

/** The class of an array of numbers, by its prototype. A subclass has none. */
export const viewClasses: ReadonlyMap<object, string> = new Map(
  [
    'Buffer',
    'Uint8Array',
    'Uint8ClampedArray',
    'Uint16Array',
    'Uint32Array',
    'BigUint64Array',
    'Int8Array',
    'Int16Array',
    'Int32Array',
    'BigInt64Array',
    'Float16Array',
    'Float32Array',
    'Float64Array',
  ].flatMap((name) => {
    const type = (globalThis as unknown as Record<string, { readonly prototype: object } | undefined>)[name];
    return type === undefined ? [] : [[type.prototype, name]]; // Float16Array is younger than Node 20
  }),
);

class Inspector {
  readonly #ancestors = new Set<object>();

  fault(value: unknown): Fault | null {
    switch (typeof value) {
      case 'string':
        return value.isWellFormed() ? null : here('contains half of a surrogate pair');
      case 'symbol':
        return here('is a symbol');
      case 'function':
        return here('is a function');
      case 'object':
        if (value === null) return null;
        break;
      default:
        return null;
    }
    if (this.#ancestors.has(value)) return here('refers back to what it is part of');
    if (this.#ancestors.size === deepest) return here(`is nested over ${deepest} deep`);
    this.#ancestors.add(value);
    const fault = this.#object(value);
    this.#ancestors.delete(value);
    return fault;
  }

  #object(value: object): Fault | null {
    const prototype = Object.getPrototypeOf(value) as object | null;
    if (Array.isArray(value) && prototype === Array.prototype) return this.#array(value);
    if (prototype === Object.prototype) return propertyFault(value) ?? this.#members(value);
    if (types.isDate(value) && prototype === Date.prototype)
      return Number.isNaN(value.getTime()) ? here('is an invalid date') : extraFault(value);
    if (types.isRegExp(value) && prototype === RegExp.prototype) return regExpFault(value);
    if (types.isMap(value) && prototype === Map.prototype)
      return extraFault(value) ?? this.#each('.keys()', value.keys()) ?? this.#each('.values()', value.values());
    if (types.isSet(value) && prototype === Set.prototype) return extraFault(value) ?? this.#each('.values()', value.values());
    if (prototype === URL.prototype)
      return new URL((value as URL).href).href === (value as URL).href
        ? extraFault(value)
        : here('is a URL that reads back as another');
    if (types.isNativeError(value) && prototype !== null && errorClasses.has(prototype)) return this.#error(value);
    if (ArrayBuffer.isView(value) && prototype !== null && viewClasses.has(prototype)) return null;
    return here(strange(value, prototype));
  }

  #array(list: readonly unknown[]): Fault | null {
    const stray = strayKey(list);
    if (typeof stray === 'number') return here(`has a hole at index ${stray}`);
    if (stray !== null) return here(`is an array with the property ${written(stray)}`);
    return this.#each('', list.values());
  }

  #each(path: string, values: Iterable<unknown>): Fault | null {
    let index = 0;
    for (const value of values) {
      const fault = this.fault(value);
      if (fault !== null) return inside(`${path}[${index}]`, fault);
      index++;
    }
    return null;
  }

  #members(object: object): Fault | null {
    for (const [key, value] of Object.entries(object)) {
      const fault = this.fault(value);
      if (fault !== null) return inside(/^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`, fault);
    }
    return null;
  }

  /** An error is its own properties, hidden ones too. V8 makes `stack` now a value, now a getter: it is read as what it gives. */
  #error(error: Error): Fault | null {
    for (const key of Reflect.ownKeys(error)) {
      if (typeof key === 'symbol' || isPerilous(key)) return here(`is an error with the property ${written(key)}`);
      const isStack = key === 'stack' && typeof error.stack === 'string';
      const property = Object.getOwnPropertyDescriptor(error, key) as PropertyDescriptor;
      if (!isStack && (property.get !== undefined || property.set !== undefined))
        return here(`is an error with the getter ${written(key)}`);
      const fault = key.isWellFormed()
        ? this.fault(isStack ? error.stack : property.value)
        : here('has half of a surrogate pair in a name');
      if (fault !== null) return inside(`.${key}`, fault);
    }
    return null;
  }
}

function here(what: string): Fault {
  return { path: '', what };
}

function inside(step: string, fault: Fault): Fault {
  return { path: step + fault.path, what: fault.what };
}

function written(key: PropertyKey): string {
  return typeof key === 'symbol' ? String(key) : JSON.stringify(String(key));
}

/** What is wrong with the properties of a plain object, whatever their values. */
function propertyFault(object: object): Fault | null {
  for (const key of Reflect.ownKeys(object)) {
    if (typeof key === 'symbol') return here(`has the symbol ${written(key)} as a key`);
    const property = Object.getOwnPropertyDescriptor(object, key) as PropertyDescriptor;
    if (property.get !== undefined || property.set !== undefined) return here(`has the getter ${written(key)}`);
    if (!property.enumerable) return here(`has the property ${written(key)}, which is not enumerable`);
    if (isPerilous(key)) return here(`has the key ${written(key)}, which is kept in a Map only`);
    if (!key.isWellFormed()) return here('has half of a surrogate pair in a key');
  }
  return null;
}

function extraFault(value: object): Fault | null {
  const [key] = Reflect.ownKeys(value);
  return key === undefined ? null : here(`is ${named(value)} with the property ${written(key)}`);
}

function regExpFault(regExp: RegExp): Fault | null {
  if (regExp.lastIndex !== 0) return here(`is a RegExp with lastIndex ${regExp.lastIndex}`);
  const extra = Reflect.ownKeys(regExp).find((key) => key !== 'lastIndex');
  if (extra !== undefined) return here(`is a RegExp with the property ${written(extra)}`);
  return regExp.source.isWellFormed() ? null : here('contains half of a surrogate pair');
}

function strange(value: object, prototype: object | null): string {
  if (prototype === null) return 'is an object without a prototype';
  if (types.isAnyArrayBuffer(value) || value instanceof DataView) return `is ${named(value)}: keep a Uint8Array of it`;
  if (types.isBoxedPrimitive(value)) return `is a boxed primitive: keep ${String(value.valueOf())} itself`;
  return `is ${named(value)}: keep its fields as a plain object`;
}

/** With an article, as in 'an instance of Model'. */
function named(value: object): string {
  const { constructor } = value as { readonly constructor?: { readonly name?: unknown } };
  const name = typeof constructor?.name === 'string' && constructor.name !== '' ? constructor.name : 'a nameless class';
  return `an instance of ${name}`;
}
