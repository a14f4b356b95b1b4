import type { Glob } from './glob.ts';
import { type SegmentName, segmentNames } from './glob-id.ts';
import { anyOf, anyText, hasGap, isAnyText, loosened, mostRows, type TextTest } from './glob-text.ts';
import type { Values } from './values.ts';

const mostPieces = 3; // that are looked for one by one: the longest exclude the most, and a regular expression is to follow

/**
 * What SQL asks of a text, so that it matches a glob: conditions that must all hold. Comparisons come before the regular expression,
 * which is there only if they do not decide. RE2, as DuckDB has it, takes time linear in the text: GLOB and LIKE do not.
 */
export function globPredicates(text: string, { text: test, negated }: Glob, values: Values): string[] {
  return negated ? [not(textPredicates(text, test, values))] : textPredicates(text, test, values);
}

/** The same for the id of a row with the columns flow, step, run and path. */
export function idPredicates(glob: Glob, values: Values): string[] {
  const { alternatives, exact } = glob.id;
  const whole = exact ? [] : [regexPredicate(`flow || '.' || step || '.' || run || '.' || path`, glob.text, values)];
  const asked = alternatives.some((tests) => tests.every(isAnyText)) ? [[anyText]] : alternatives;
  const rows = asked.map((tests) => tests.flatMap((test, index) => textPredicates(columnAt(index), test, values)));
  const predicates = [...(rows.length === 1 ? (rows[0] as string[]) : [anyHolds(rows)]), ...whole];
  if (glob.negated) return [not(predicates)];
  return rows.length > 1 ? [...boundPredicates(glob, segmentNames, values), ...predicates] : predicates;
}

/** As much of it as can be told without the path, for tables that have no such column. */
export function segmentPredicates(glob: Glob, values: Values): string[] {
  return boundPredicates(glob, ['flow', 'step', 'run'], values);
}

/** What holds for a column whichever alternative a row has: row groups are left out by it. */
function boundPredicates({ id: { alternatives }, negated }: Glob, names: readonly SegmentName[], values: Values): string[] {
  if (negated) return [];
  if (alternatives.length === 0) return ['false'];
  return names.flatMap((name) => {
    const index = segmentNames.indexOf(name);
    const tests = alternatives.map((row) => row[index] ?? anyText);
    return textPredicates(name, tests.length === 1 ? anyOf(tests) : loosened(anyOf(tests)), values);
  });
}

function columnAt(index: number): string {
  return segmentNames[index] as SegmentName;
}

function textPredicates(text: string, test: TextTest, values: Values): string[] {
  if (isAnyText(test)) return [];
  const gaps = test.rows.filter(hasGap);
  const decided = test.exact && gaps.every(isDecided);
  return [...fitPredicates(text, test, values), ...(decided ? [] : [regexPredicate(text, test, values)])];
}

/** That a text fits one of the rows, as far as single comparisons tell. */
function fitPredicates(text: string, { rows }: TextTest, values: Values): string[] {
  const gaps = rows.filter(hasGap);
  if (gaps.length > mostRows || gaps.some((row) => row.every((piece) => piece === ''))) return [];
  const texts = rows.filter((row) => !hasGap(row)).map(([only]) => values.bind(only as string));
  const fits = gaps.map((row) => rowPredicates(text, row, values));
  if (texts.length === 1) fits.unshift([`${text} = ${texts[0]}`]);
  if (texts.length > 1) fits.unshift([`${text} IN (${texts.join(', ')})`]);
  return fits.length === 1 ? (fits[0] as string[]) : [anyHolds(fits)];
}

/** What a text has that fits a row with gaps: all that there is to say where `isDecided`. */
function rowPredicates(text: string, row: readonly string[], values: Values): string[] {
  const first = row[0] as string;
  const last = row.at(-1) as string;
  const pieces = [...new Set(row.slice(1, -1))].sort((a, b) => b.length - a.length).slice(0, mostPieces);
  const predicates = pieces.map((piece) => `contains(${text}, ${values.bind(piece)})`);
  if (last !== '') predicates.unshift(`ends_with(${text}, ${values.bind(last)})`);
  if (first !== '') predicates.unshift(...beginPredicates(text, first, values));
  if (row.length === 2 && first !== '' && last !== '')
    predicates.push(`strlen(${text}) >= ${values.bind(BigInt(Buffer.byteLength(first + last)))}`); // else "aba" would fit ab*ba
  return predicates;
}

function isDecided(row: readonly string[]): boolean {
  return row.length === 2 || (row.length === 3 && row[0] === '' && row[2] === '');
}

/** A range leaves out row groups by their statistics, and `starts_with` does not. DuckDB compares bytes, which is by code points. */
function beginPredicates(text: string, start: string, values: Values): string[] {
  const end = textAfter(start);
  return [`${text} >= ${values.bind(start)}`, ...(end === null ? [] : [`${text} < ${values.bind(end)}`])];
}

/** The first text, by code points, that is greater than all which begin with this one. Null: no text is. */
function textAfter(start: string): string | null {
  const codes = Array.from(start, (char) => char.codePointAt(0) as number);
  while (codes.at(-1) === lastCode) codes.pop();
  const code = codes.pop();
  if (code === undefined) return null;
  const next = code === 0xd7_ff ? 0xe0_00 : code + 1; // what lies between is halves of surrogate pairs
  return String.fromCodePoint(...codes, next);
}

const lastCode = 0x10_ff_ff;

function regexPredicate(text: string, { regex }: TextTest, values: Values): string {
  return `regexp_full_match(${text}, ${values.bind(regex)}, 's')`;
}

/** Of several lists of conditions, all of one hold. */
function anyHolds(rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return 'false';
  return `(${rows.map((row) => (row.length === 1 ? row[0] : `(${row.join(' AND ')})`)).join(' OR ')})`;
}

function not(predicates: readonly string[]): string {
  return predicates.length === 0 ? 'false' : `NOT (${predicates.join(' AND ')})`;
}
