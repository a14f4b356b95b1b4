/** JSON deeper than this is refused: DuckDB's JSON functions recurse without limit, and 20,000 levels crash the process. */
export const deepest = 200;

/** Describing every element of a longer array would cost more than encoding it: its getters, and its hidden properties, go unnoticed. */
const longestDescribed = 100;

/**
 * Whether `JSON.parse(JSON.stringify(value))` is deeply equal to the value, down to -0. Nearly every artifact passes, and is spared
 * the general codec. Getters are not called.
 */
export function isPlainJson(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case 'string':
      return isWellFormed(value);
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'boolean':
      return true;
    case 'object':
      if (value === null) return true;
      if (depth === deepest) return false; // every cycle ends here
      return Array.isArray(value) ? isPlainArray(value, depth) : isPlainObject(value, depth);
    default:
      return false;
  }
}

function isPlainArray(list: readonly unknown[], depth: number): boolean {
  if (Object.getPrototypeOf(list) !== Array.prototype || extraKey(list) !== null) return false;
  for (let index = 0; index < list.length; index++) if (!isPlainJson(list[index], depth + 1)) return false;
  return true;
}

function isPlainObject(object: object, depth: number): boolean {
  if (Object.getPrototypeOf(object) !== Object.prototype || Object.getOwnPropertySymbols(object).length > 0) return false;
  for (const key of Object.getOwnPropertyNames(object)) {
    const property = Object.getOwnPropertyDescriptor(object, key) as PropertyDescriptor;
    if (!property.enumerable || property.get !== undefined || property.set !== undefined) return false;
    if (isPerilous(key) || !isWellFormed(key) || !isPlainJson(property.value, depth + 1)) return false;
  }
  return true;
}

/** The first key of an array that is not one of its elements, or the first index that has none or has a getter; null if all is well. */
export function extraKey(list: readonly unknown[]): PropertyKey | null {
  const [symbol] = Object.getOwnPropertySymbols(list);
  if (symbol !== undefined) return symbol;
  if (list.length > longestDescribed) {
    const keys = Object.keys(list); // indices first, in order
    if (keys.length === list.length && keys.at(-1) === String(list.length - 1)) return null;
  }
  for (let index = 0; index < list.length; index++) {
    const element = Object.getOwnPropertyDescriptor(list, index);
    if (element === undefined || element.get !== undefined || element.set !== undefined) return index;
  }
  const names = Object.getOwnPropertyNames(list);
  return names.length === list.length + 1 ? null : (names.slice(list.length).find((name) => name !== 'length') ?? null);
}

/** Keys that decoders refuse, because assigning them reaches into prototypes. */
export function isPerilous(key: string): boolean {
  return key === '__proto__' || key === 'constructor' || key === 'prototype';
}

/** False if there is half of a surrogate pair in the text, which no UTF-8 can hold. */
export function isWellFormed(text: string): boolean {
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed(); // in Node 20, not yet in the library that TypeScript assumes
}
