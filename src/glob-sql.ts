import type { Glob } from './glob.ts';
import type { Values } from './values.ts';

/** RE2, as DuckDB has it, takes time linear in the text: GLOB and LIKE do not. */
export function globPredicates(text: string, { regex, negated }: Glob, values: Values): string[] {
  return regex === null ? [] : [`${negated ? 'NOT ' : ''}regexp_full_match(${text}, ${values.bind(regex)}, 's')`];
}
