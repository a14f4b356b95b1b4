/** Options as they are given, with a default for each that is missing or undefined; null is no options at all. */
export function withDefaults<O extends object>(defaults: O, given: { readonly [K in keyof O]?: O[K] | undefined } | null): O {
  const set = Object.entries(given ?? {}).filter(([, value]) => value !== undefined);
  return { ...defaults, ...(Object.fromEntries(set) as Partial<O>) };
}
