import type { GlobNode } from './glob-syntax.ts';

/**
 * What one text has to be like. A row is pieces of text that stand in it in this order, the first at its beginning and the last at
 * its end, with anything or nothing between them: `['a']` is the text "a" itself, `['a', '']` what begins with it, `['', 'a']` what
 * ends with it, `['', 'a', '']` what contains it, `['', '']` everything.
 */
export interface TextTest {
  /** A text that passes fits at least one row. */
  readonly rows: readonly (readonly string[])[];
  /** True: a text that fits a row passes, so nobody needs to look at `regex`. */
  readonly exact: boolean;
  /** All of the test by itself: RE2 syntax, for the whole text, with the flag `s`. */
  readonly regex: string;
}

/** More rows with gaps than this take longer one by one than one regular expression does. */
export const mostRows = 16;

const mostTexts = 1_000; // as many as braces may expand to
const mostFromClasses = 64;

export const anyText: TextTest = { rows: [['', '']], exact: true, regex: '.*' };

export function isAnyText({ rows, exact }: TextTest): boolean {
  return exact && rows.length === 1 && isEverything(rows[0] as readonly string[]);
}

/** The test of a text against parts of a glob. */
export function textTest(nodes: readonly GlobNode[]): TextTest {
  return testOf(rowsOf(nodes), expression(nodes));
}

/** Passes what passes one of these. */
export function anyOf(tests: readonly TextTest[]): TextTest {
  const [only] = tests;
  if (tests.length === 1 && only !== undefined) return only;
  const regexes = [...new Set(tests.map(({ regex }) => regex))];
  const regex = regexes.length === 1 ? (regexes[0] as string) : `(?:${regexes.join('|')})`;
  return testOf({ rows: tests.flatMap(({ rows }) => rows), exact: tests.every(({ exact }) => exact) }, regex);
}

/** What the ends of the rows alone say: passes everything that passes the test, and perhaps more, and needs no regular expression. */
export function loosened({ rows }: TextTest): TextTest {
  const ends = distinctRows(rows.map((row) => (hasGap(row) ? [row[0] as string, row.at(-1) as string] : row)));
  return ends.some(isEverything) || ends.filter(hasGap).length > mostRows
    ? anyText
    : { rows: ends, exact: true, regex: regexOf(ends) };
}

/** What begins with a text, or ends with it. */
export function beginning(text: string): TextTest {
  return text === '' ? anyText : { rows: [[text, '']], exact: true, regex: `${quoted(text)}.*` };
}

export function ending(text: string): TextTest {
  return text === '' ? anyText : { rows: [['', text]], exact: true, regex: `.*${quoted(text)}` };
}

/** The one text that passes; null if there are others, or none. */
export function onlyText({ rows }: TextTest): string | null {
  const [row = []] = rows;
  return rows.length === 1 && row.length === 1 ? (row[0] as string) : null;
}

/** What a range of texts can say of all that pass: that they are one of these, or that they begin with one. Null: nothing. */
export interface TextBound {
  readonly kind: 'equals' | 'begins';
  readonly texts: readonly string[];
}

export function boundOf({ rows }: TextTest): TextBound | null {
  const texts = [...new Set(rows.map((row) => row[0] as string))];
  if (!rows.some(hasGap)) return { kind: 'equals', texts };
  return texts.includes('') ? null : { kind: 'begins', texts };
}

export function hasGap(row: readonly string[]): boolean {
  return row.length > 1;
}

interface Rows {
  readonly rows: readonly (readonly string[])[];
  readonly exact: boolean;
}

/** Completes a test: every row once, and not more of them than are of use. */
function testOf({ rows, exact }: Rows, regex: string): TextTest {
  if (rows.some(isEverything)) return exact ? anyText : { rows: anyText.rows, exact, regex };
  const distinct = distinctRows(rows);
  if (distinct.filter(hasGap).length <= mostRows) return { rows: distinct, exact, regex };
  const begins = distinctRows(distinct.map((row) => (hasGap(row) ? [row[0] as string, ''] : row)));
  return { rows: begins.some(isEverything) ? anyText.rows : begins, exact: false, regex };
}

function distinctRows(rows: Rows['rows']): Rows['rows'] {
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}

function isEverything(row: readonly string[]): boolean {
  return row.length === 2 && row[0] === '' && row[1] === '';
}

/** The rows of what nodes match. What is no text leaves a gap, and they are exact where every gap is a star. */
function rowsOf(nodes: readonly GlobNode[]): Rows {
  let rows: Rows['rows'] = [['']];
  let exact = true;
  for (const node of nodes) {
    const choices = choicesOf(node, rows.length);
    if (choices === null || rows.length * choices.rows.length > mostTexts) {
      rows = rows.map((row) => joined(row, ['', '']));
      exact = false;
    } else {
      rows = rows.flatMap((row) => choices.rows.map((choice) => joined(row, choice)));
      exact &&= choices.exact;
    }
  }
  return { rows, exact };
}

/** What a node adds to each of so many rows; null where they cannot tell. */
function choicesOf(node: GlobNode, count: number): Rows | null {
  switch (node.type) {
    case 'text':
      return { rows: [[node.text]], exact: true };
    case 'any':
      return anyText;
    case 'one':
      return null;
    case 'class': {
      if (node.negated || node.posix.length > 0) return null;
      const codes = node.ranges.map(([from, to]) => [from.codePointAt(0) as number, to.codePointAt(0) as number] as const);
      if (codes.reduce((sum, [from, to]) => sum + to - from + 1, 0) * count > mostFromClasses) return null;
      const chars = codes.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
      return { rows: [...new Set(chars)].map((code) => [String.fromCodePoint(code)]), exact: true };
    }
    case 'braces':
    case 'group': {
      if (node.type === 'group' && (node.repeat === '*' || node.repeat === '+')) return null;
      const branches = node.branches.map(rowsOf);
      const without = node.type === 'group' && node.repeat === '?' ? [['']] : [];
      return { rows: [...without, ...branches.flatMap(({ rows }) => rows)], exact: branches.every(({ exact }) => exact) };
    }
  }
}

/** One row after another. */
function joined(row: readonly string[], next: readonly string[]): string[] {
  const pieces = [...row.slice(0, -1), `${row.at(-1)}${next[0]}`, ...next.slice(1)];
  return pieces.filter((piece, index) => piece !== '' || index === 0 || index === pieces.length - 1);
}

/** RE2 syntax of what nodes match. */
function expression(nodes: readonly GlobNode[]): string {
  return nodes.map(expressionOf).join('');
}

function expressionOf(node: GlobNode): string {
  switch (node.type) {
    case 'text':
      return quoted(node.text);
    case 'any':
      return '.*';
    case 'one':
      return '.';
    case 'class': {
      const char = (text: string) => text.replace(/[\\\]^[-]/, '\\$&');
      const ranges = node.ranges.map(([from, to]) => (from === to ? char(from) : `${char(from)}-${char(to)}`));
      return `[${node.negated ? '^' : ''}${ranges.join('')}${node.posix.map((name) => `[:${name}:]`).join('')}]`;
    }
    case 'braces':
    case 'group':
      return `(?:${node.branches.map(expression).join('|')})${node.type === 'group' ? node.repeat : ''}`;
  }
}

function regexOf(rows: Rows['rows']): string {
  const regexes = rows.map((row) => row.map(quoted).join('.*'));
  return regexes.length === 1 ? (regexes[0] as string) : `(?:${regexes.join('|')})`;
}

function quoted(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
