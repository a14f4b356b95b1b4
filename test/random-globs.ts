import micromatch from 'micromatch';
import type { Random } from '../src/random.ts';

/** A matcher of micromatch, braces written out by it first: it would read `{1..12}` as `[1-12]`. */
export function oracle(pattern: string): (id: string) => boolean {
  const body = pattern.replace(/^!+(?!\()/, '');
  const negated = (pattern.length - body.length) % 2 === 1;
  const globs = micromatch.braces(body, { expand: true, keepEscaping: true }).filter((glob) => glob !== '');
  const matchers = globs.map((glob) => micromatch.matcher(glob, { bash: true, dot: true, posix: true }));
  return (id) => matchers.some((matches) => matches(id)) !== negated;
}

/**
 * Letters that stand for characters of which micromatch makes something of its own, which are ordinary ones here: it is asked about
 * the letters, and ours about the characters, which a pattern escapes where they mean something.
 */
const odd: ReadonlyMap<string, string> = new Map([
  ['ж', '😀'],
  ['з', '𝒜'],
  ['и', '"'],
  ['л', "'"],
  ['п', '['],
  ['ф', '*'],
  ['ц', '\\'],
  ['ш', '\u{10FFFF}'],
]);

export function oddText(text: string): string {
  return text.replace(/[жзилпфцш]/g, (letter) => odd.get(letter) as string);
}

export function oddPattern(pattern: string): string {
  return pattern.replace(/[жзилпфцш]/g, (letter) =>
    /[пфц]/.test(letter) ? `\\${odd.get(letter)}` : (odd.get(letter) as string),
  );
}

const letters = ['a', 'b', 'c', 'd', 'e'];
const all = [...letters, ...letters, ...letters, '1', '1', '-', '-', 'é', 'é', ...odd.keys()];

export function randomName(random: Random): string {
  return Array.from({ length: random.integer(1, 3) }, () => random.choice(all)).join('');
}

export function randomId(random: Random): string {
  const name = () => randomName(random);
  return `${name()}.${name()}.${name()}-${name()}.0-${random.integer(0, 30)}`;
}

/** A pattern made out of an id, piece by piece, so that it often matches it. */
export function randomPattern(random: Random, id: string): string {
  for (;;) {
    const pattern = patternOf(random, id);
    if (micromatch.braces(pattern, { expand: true, keepEscaping: true }).length < 200) return pattern;
  }
}

function patternOf(random: Random, id: string, depth = 0): string {
  if (depth === 0 && random.number() < 0.05)
    return `!(${nested(random, id, 0, '{')}|${nested(random, randomId(random), 0, '{')})`;
  let pattern = '';
  for (let at = 0; at < id.length;) {
    const piece = id.slice(at, at + random.integer(1, 4));
    const roll = random.integer(0, 19);
    at += piece.length;
    if (depth === 2 || roll < 7) pattern += piece;
    else if (roll < 10) pattern += random.choice(['*', '*', '**']);
    else if (roll === 10) pattern += depth > 0 || /[)}]$/.test(pattern) ? piece : '?'.repeat(piece.length);
    else if (roll < 13) pattern += piece.replace(/./gu, (char) => randomClass(random, char));
    else if (roll < 15)
      pattern += `{${random
        .shuffle([piece, ...others(random, piece)])
        .map((text) => nested(random, text, depth))
        .join(',')}}`;
    else if (roll === 15)
      pattern += /^\d+$/.test(piece)
        ? `{${Math.max(0, Number(piece) - random.integer(0, 9))}..${Number(piece) + random.integer(0, 3)}}`
        : piece;
    else if (roll < 18)
      pattern += `${random.choice(/[*?}]$|^$/.test(pattern) ? ['@'] : ['@', '?', ''])}(${[piece, ...others(random, piece)].map((text) => nested(random, text, depth)).join('|')})`;
    else pattern += repeated(random, piece);
  }
  const prefix = depth === 0 && random.number() < 0.1 ? random.choice(['!', '!!']) : '';
  return prefix + (prefix !== '' && pattern.startsWith('(') ? '@' : '') + pattern;
}

/** A pattern to stand in parentheses, where repeats, and what else is said, are left out. */
function nested(random: Random, text: string, depth: number, without = '*('): string {
  const inner = patternOf(random, text, depth + 1);
  return [without, '*(', '+('].some((opening) => inner.includes(opening)) ? text : inner;
}

function others(random: Random, piece: string): string[] {
  return Array.from({ length: random.integer(1, 2) }, () =>
    random.choice(['x', 'ab', '0-1', `${piece}e`, piece.slice(1) || 'c']),
  );
}

/** Without POSIX classes: micromatch loses characters of the pattern around them. */
function randomClass(random: Random, char: string): string {
  const range =
    char >= 'a' && char <= 'z' ? random.choice(['a-c', 'b-e', 'abc', 'c-ex']) : random.choice(['0-9', '.', '0-3.', 'é']);
  return `[${random.choice(['', '', '!', '^'])}${range}${random.choice(['', char])}]`;
}

/** Branches that neither overlap nor nest: there micromatch takes the text literally, lest its regular expression hang. */
function repeated(random: Random, piece: string): string {
  const parts = random.shuffle([...new Set(piece)]).map((char) => (char === 'a' ? '[ab]' : char));
  return `${random.choice(['*', '+'])}(${[...new Set([...parts, 'x'])].join('|')})`;
}
