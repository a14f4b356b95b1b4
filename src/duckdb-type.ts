/** A DuckDB type taken apart, as far as its nesting goes. */
export type DuckDBTypeTree =
  | { readonly kind: 'plain'; readonly name: string }
  | { readonly kind: 'list'; readonly item: DuckDBTypeTree }
  | { readonly kind: 'map'; readonly key: DuckDBTypeTree; readonly value: DuckDBTypeTree }
  | { readonly kind: 'struct'; readonly fields: readonly { readonly name: string; readonly type: DuckDBTypeTree }[] };

/**
 * Reads a type as DuckDB's results name it: `STRUCT("content" VARCHAR, "value" DOUBLE)[]`. An array of fixed length is a list; whatever
 * else there is (`DECIMAL(18,3)`, `ENUM('a', 'b')`, a union, a struct without names) is plain, by its whole text.
 */
export function parseDuckDBType(text: string): DuckDBTypeTree {
  const list = /^(.*)\[\d*\]$/s.exec(text);
  if (list !== null) return { kind: 'list', item: parseDuckDBType(list[1] as string) };
  const nested = /^(STRUCT|MAP)\((.*)\)$/s.exec(text);
  const parts = nested === null ? [] : split(nested[2] as string);
  if (nested?.[1] === 'MAP' && parts.length === 2) {
    return { kind: 'map', key: parseDuckDBType(parts[0] as string), value: parseDuckDBType(parts[1] as string) };
  }
  const fields = parts.map((part) => /^("(?:[^"]|"")*"|[^\s"]+) (.+)$/s.exec(part));
  if (nested?.[1] !== 'STRUCT' || fields.includes(null)) return { kind: 'plain', name: text };
  return {
    kind: 'struct',
    fields: fields.map((field) => ({ name: unquoted(field?.[1] as string), type: parseDuckDBType(field?.[2] as string) })),
  };
}

/** The parts of a list at its commas: those within brackets or quotes belong to a part. */
function split(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"]|"")*"|'(?:[^']|'')*'|[(),[\]]/g)) {
    if (token === '(' || token === '[') depth++;
    else if (token === ')' || token === ']') depth--;
    else if (token === ',' && depth === 0) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  return [...parts, text.slice(start).trim()];
}

function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}
