import { randomUUID } from 'node:crypto';

/** The value of a JSON text: -0 is kept, and whole numbers beyond what a JavaScript number holds exactly are bigints. Throws a SyntaxError. */
export function exactJson(json: string): unknown {
  const { marked, mark } = markNumbers(json);
  if (marked === json) return JSON.parse(json);
  return JSON.parse(marked, (_key, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(mark)) return value;
    const digits = value.slice(mark.length);
    return digits === '-0' ? -0 : BigInt(digits);
  });
}

/**
 * A JSON text in which each number that `JSON.parse` or `JSON.stringify` would change is a text instead, behind `mark`, which
 * no other text there has; and the way back.
 */
export function markNumbers(json: string): {
  readonly marked: string;
  readonly mark: string;
  readonly unmark: (json: string) => string;
} {
  const mark = randomUUID();
  const marked = json.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/gs, (token) => {
    if (token.startsWith('"')) return token;
    if (Object.is(Number(token), -0)) return `"${mark}-0"`;
    return /[.eE]/.test(token) || Number.isSafeInteger(Number(token)) ? token : `"${mark}${token}"`;
  });
  return { marked, mark, unmark: (text) => text.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1') };
}
