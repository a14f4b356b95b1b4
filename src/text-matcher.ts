import { RE2JS } from 're2js';
import { hasGap, isAnyText, mostRows, type TextTest } from './glob-text.ts';

type TextMatcher = (text: string) => boolean;

const mostKnown = 1_000; // answers that a matcher remembers
const longestKnown = 100; // characters

/** A test of texts as a function. It takes time linear in the text. `glob-sql.ts` says the same in SQL. */
export function textMatcher(test: TextTest): TextMatcher {
  if (isAnyText(test)) return () => true;
  const gaps = test.rows.filter(hasGap);
  if (gaps.length > mostRows) return regexMatcher(test.regex);
  const texts = test.rows.filter((row) => !hasGap(row)).map(([text]) => text as string);
  const fits = firstOf([...(texts.length === 0 ? [] : [oneOf(texts)]), ...gaps.map(rowMatcher)]);
  if (test.exact) return fits;
  const matches = regexMatcher(test.regex);
  return (text) => fits(text) && matches(text);
}

/** Takes what one of these takes. Most tests are a single comparison: they are not to pay for a loop. */
function firstOf(matchers: readonly TextMatcher[]): TextMatcher {
  const [only] = matchers;
  return matchers.length === 1 && only !== undefined ? only : (text) => matchers.some((matches) => matches(text));
}

function oneOf(texts: readonly string[]): TextMatcher {
  const [only] = texts;
  if (texts.length === 1) return (text) => text === only;
  const known = new Set(texts);
  return (text) => known.has(text);
}

function rowMatcher(row: readonly string[]): TextMatcher {
  const [first = '', second = '', third = ''] = row;
  if (row.length === 2 && second === '') return (text) => text.startsWith(first);
  if (row.length === 2 && first === '') return (text) => text.endsWith(second);
  if (row.length === 3 && first === '' && third === '') return (text) => text.includes(second);
  return (text) => fitsRow(row, text);
}

/** Each piece between the first and the last is taken where it is found first: there it leaves the most to those after it. */
function fitsRow(row: readonly string[], text: string): boolean {
  const first = row[0] as string;
  const last = row.at(-1) as string;
  const end = text.length - last.length;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  for (let index = 1; index < row.length - 1; index++) {
    const piece = row[index] as string;
    const found = text.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return at <= end;
}

/** Names of flows, steps and runs come again and again, and an answer that is known costs a tenth of one that is not. */
function regexMatcher(regex: string): TextMatcher {
  let compiled: RE2JS | undefined; // takes a while, and comparisons may answer before it is ever needed
  const known = new Map<string, boolean>();
  const matches = (text: string) => (compiled ??= RE2JS.compile(regex, RE2JS.DOTALL)).testExact(text);
  return (text) => {
    if (text.length > longestKnown) return matches(text);
    let answer = known.get(text);
    if (answer === undefined) {
      answer = matches(text);
      if (known.size < mostKnown) known.set(text, answer);
    }
    return answer;
  };
}
