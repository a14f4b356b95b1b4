import { cutText } from './text-width.ts';

/**
 * A value of a result in one line of at most `widest` columns, longer ones cut with the mark `…`. Null is nothing, an empty text `""`. Times
 * are ISO 8601 in UTC, bytes are counted, lists and structs look like JSON. Numbers have six digits, and at least two after the point; whole
 * ones have all of theirs.
 */
export function cellText(value: unknown, widest: number): string {
  if (value === null || value === undefined) return '';
  if (value === '') return '""';
  if (typeof value === 'string') return cutText(oneLine(value.slice(0, 8 * widest)), widest);
  return cutText(oneLine(isNested(value) ? nested(value, widest) : scalar(value)), widest);
}

/** A text without line breaks, and without characters that a terminal would obey or that show the others in another order. */
export function oneLine(text: string): string {
  return text.toWellFormed().replaceAll(/\s+/g, ' ').replaceAll(obeyed, escaped);
}

/** Controls, and what formats invisibly, the joiners inside words and emoji excepted. */
const obeyed = /(?![\u200c\u200d])[\p{Cc}\p{Cf}]/gu;

function escaped(character: string): string {
  const code = (character.codePointAt(0) as number).toString(16);
  return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`;
}

function scalar(value: unknown): string {
  if (typeof value === 'number') return numberText(value);
  if (value instanceof Uint8Array) return value.length === 1 ? '1 byte' : `${value.length} bytes`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString().replace('.000Z', 'Z');
  return String(value);
}

function numberText(value: number): string {
  if (Object.is(value, -0)) return '-0';
  if (Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  const whole = Math.trunc(Math.abs(value)).toString().length;
  return String(Number(value.toPrecision(Math.min(17, Math.max(6, whole + 2)))));
}

function isNested(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(value instanceof Date) && !(value instanceof Uint8Array);
}

/** A list, a struct or a map, as far as `left` characters show of it: what is longer need not end properly. */
function nested(value: object, left: number): string {
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const parts: string[] = [];
  let used = 0;
  for (const [label, member] of members(value)) {
    const part = label + inner(member, left - used);
    parts.push(part);
    used += part.length + 2;
    if (used > left) break;
  }
  return `${open}${parts.join(', ')}${close}`;
}

function* members(value: object): Generator<readonly [label: string, member: unknown]> {
  if (Array.isArray(value)) for (const member of value as unknown[]) yield ['', member];
  else if (value instanceof Map) for (const [key, member] of value) yield [`${inner(key, 64)}: `, member];
  else for (const [name, member] of Object.entries(value)) yield [`${name}: `, member];
}

function inner(value: unknown, left: number): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, Math.max(1, left)));
  return isNested(value) ? nested(value, left) : scalar(value);
}
