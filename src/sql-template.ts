import { MarqueError, show } from './error.ts';
import type { SqlValue, Statement } from './store.ts';

/**
 * The parts of a tagged template as a statement: every value is bound, none becomes part of the text. The text is as it stands in the source,
 * since SQL has backslashes of its own: `'^\d+$'` finds digits. Only before a backtick or `${` a backslash goes, without which neither could stand there.
 * @throws MarqueError `SQL_INVALID`
 */
export function statementOf(strings: TemplateStringsArray, values: readonly unknown[]): Statement {
  if (!Array.isArray(strings) || !Array.isArray(strings.raw)) {
    throw new MarqueError('SQL_INVALID', `sql is a template tag: write sql\`SELECT …\`, not sql(${show(strings)})`);
  }
  values.forEach(checkSqlValue);
  const parts = strings.raw.map((part) => part.replaceAll(/\\(?=`|\$\{)/g, ''));
  const text = parts.reduce((sql, part, index) => `${sql}$${index}${part}`);
  if (values.length > 0 && parts.some((part) => /\$\d|\?/.test(part))) refuseOwn(text, values.length);
  return { text, values: values as readonly SqlValue[] };
}

function checkSqlValue(value: unknown, index: number): void {
  const plain = value === null || ['string', 'number', 'bigint', 'boolean'].includes(typeof value);
  if (plain || value instanceof Date || value instanceof Uint8Array || Array.isArray(value)) return;
  throw new MarqueError(
    'SQL_INVALID',
    `value ${index + 1} of the query is ${show(value)}: bind texts, numbers, booleans, dates, bytes, or lists of one of them but bytes`,
  );
}

/** What a `$1` or `?` can stand in without being a parameter: texts, quoted names, comments, names, and texts between `$$`. */
const token =
  /[eE]'(?:\\[^]|''|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*"|--[^\n]*|\/\*[^]*?\*\/|\$([A-Za-z_]\w*)?\$[^]*?\$\1\$|[\p{L}_][\p{L}\w$]*|\$(\d+)|(\?)/gu;

/** Each value has its number once: a second one, or a `?`, was written by hand, and would quietly be one of the values. */
function refuseOwn(text: string, count: number): void {
  const seen = new Set<string>();
  for (const [found, , number, mark] of text.matchAll(token)) {
    if (mark === undefined && (number === undefined || Number(number) > count)) continue;
    if (mark !== undefined || seen.has(number as string)) {
      const advice = 'values are numbered by the template itself, so write ${…} wherever one is meant';
      throw new MarqueError('SQL_INVALID', `${found} stands in the text beside values: ${advice}`);
    }
    seen.add(number as string);
  }
}
