/** JSON deeper than this is refused: DuckDB's JSON functions recurse without limit, and 20,000 levels crash the process. */
export const deepest = 200;

/**
 * Whether `JSON.parse(JSON.stringify(value))` is deeply equal to the value, down to -0. Nearly every artifact passes, and is spared
 * the general codec. Getters are not called.
 */
export function isPlainJson(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed();
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
  if (Object.getPrototypeOf(list) !== Array.prototype || strayKey(list) !== null) return false;
  for (let index = 0; index < list.length; index++) if (!isPlainJson(list[index], depth + 1)) return false;
  return true;
}

function isPlainObject(object: object, depth: number): boolean {
  if (Object.getPrototypeOf(object) !== Object.prototype || Object.getOwnPropertySymbols(object).length > 0) return false;
  for (const key of Object.getOwnPropertyNames(object)) {
    const property = Object.getOwnPropertyDescriptor(object, key) as PropertyDescriptor;
    if (!property.enumerable || property.get !== undefined || property.set !== undefined) return false;
    if (isPerilous(key) || !key.isWellFormed() || !isPlainJson(property.value, depth + 1)) return false;
  }
  return true;
}

/**
 * The first index of an array that has no element, or a key that is none of its indices; null if all is well. To tell an element from
 * a getter would cost more than to encode it: a getter counts as what it gives.
 */
export function strayKey(list: readonly unknown[]): PropertyKey | null {
  const [symbol] = Object.getOwnPropertySymbols(list);
  if (symbol !== undefined) return symbol;
  const keys = Object.keys(list); // indices first, in order
  const { length } = list;
  if (keys.length === length && (length === 0 || keys[length - 1] === String(length - 1))) return null;
  for (let index = 0; index < length; index++) if (!(index in list)) return index;
  return keys[length] as string;
}

/** Keys that decoders refuse, because assigning them reaches into prototypes. */
export function isPerilous(key: string): boolean {
  return key === '__proto__' || key === 'constructor' || key === 'prototype';
}
