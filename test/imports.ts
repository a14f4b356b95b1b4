/** What one module asks of another. A `type` import is gone at run time, every other one loads the module. */
export interface Import {
  readonly kind: 'value' | 'type';
  readonly from: string;
}

const comment = /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const statement = /^(?:import|export)\s+(type\s)?(?:(?:(?!\b(?:import|export)\b)[\w$*\s{},])+?\sfrom\s+)?'([^']+)'/gm;
const call =
  /(\btypeof\s+)?(?:\bimport|\brequire|\brequire\.resolve|\bcreateRequire\(import\.meta\.url\))\(\s*'([^']+)'\s*\)(\.[A-Z])?/g;

/**
 * The imports of a TypeScript source, in our formatter's style (single quotes, statements at the start of a line): static ones,
 * re-exports, `import()`, `require()` and `require.resolve()` of a literal. `import { type A }` counts as a value import, since it still loads the module.
 */
export function importsOf(source: string): Import[] {
  const code = source.replace(comment, (_, text: string | undefined) => text ?? ' ');
  const found: Import[] = [];
  for (const [, type, from] of code.matchAll(statement))
    found.push({ kind: type === undefined ? 'value' : 'type', from: from as string });
  for (const [, query, from, member] of code.matchAll(call)) {
    found.push({ kind: query === undefined && member === undefined ? 'value' : 'type', from: from as string });
  }
  return found;
}
