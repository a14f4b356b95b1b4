import { MarqueError, show } from './error.ts';
import { orNear } from './near.ts';

/** Options as they are given, with a default for each that is missing or undefined; null is no options at all. */
export function withDefaults<O extends object>(defaults: O, given: { readonly [K in keyof O]?: O[K] | undefined } | null): O {
  const set = Object.entries(given ?? {}).filter(([, value]) => value !== undefined);
  return { ...defaults, ...(Object.fromEntries(set) as Partial<O>) };
}

/** Throws OPTION_INVALID for options that are no object, or where one of them has a name that is not known: a slip of the pen. */
export function checkOptionNames(options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new MarqueError('OPTION_INVALID', `options is ${show(options)}: give an object with any of ${known.join(', ')}`);
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new MarqueError('OPTION_INVALID', `there is no option ${show(unknown)}.${orNear(unknown, known)}`);
}
