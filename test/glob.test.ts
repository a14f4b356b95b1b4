import { DuckDBInstance } from '@duckdb/node-api';
import micromatch from 'micromatch';
import { describe, expect, test } from 'vitest';
import { compileGlob, type Glob, matchGlob } from '../src/glob.ts';
import { Random } from '../src/random.ts';

const brave = 'test.add.brave-otter.0-12';

describe('a glob', () => {
  test.each([
    ['*', brave, true],
    ['**', brave, true],
    ['test.*', brave, true],
    ['*otter*', brave, true],
    ['t*.*.*-otter.0-??', brave, true],
    ['test.sub.*', brave, false],
    ['test.{add,sub}.*', brave, true],
    ['{x,test.{y,a{c,d}d}}.*', brave, true],
    ['*.0-{10..14}', brave, true],
    ['*.0-{10..14..3}', brave, false],
    ['*.0-{20..1..4}', brave, true],
    ['*-{001..020}', 'f.s.r.0-012', true],
    ['*.{a..c}*.*.*', brave, true],
    ['test.[a-c]dd.*', brave, true],
    ['test.[!a-c]dd.*', brave, false],
    ['test.[^x-z]dd.*', brave, true],
    ['test.[[:upper:]]dd.*', brave, false],
    ['test.[[:lower:]x]dd.*', brave, true],
    ['test[.]add[!a-z]*', brave, true],
    ['test.@(add|sub).*', brave, true],
    ['test.?(x|a)dd.*', brave, true],
    ['test.+([a-d]).*', brave, true],
    ['test.*(d|a).*', brave, true],
    ['test.(add|sub).*', brave, true],
    ['!test.*', brave, false],
    ['!!test.*', brave, true],
    ['!other.*', brave, true],
    ['!{other,test}.*', brave, false],
    ['!*', brave, false],
    ['!(*.add.*|other.*)', brave, false],
    ['!!(*.add.*|other.*)', brave, true],
    ['test\\.add.*', brave, true],
    ['test.a\\*.*', brave, false],
    ['a\\*', 'a*', true],
    ['[]-]', ']', true],
    ['[]-]', '-', true],
    ['[!]-]', 'a', true],
    ['[a\\]]', ']', true],
    ['@(?(a)b|c)', 'b', true],
    ['{@,+}(a)', '+a', true],
    ['{(a),b}?', 'ax', true],
    ['{a}', '{a}', true],
    ['{a}', 'a', false],
    ['*.{a,}', 'x.', true],
    ['größe-?', 'größe-µ', true],
    ['?', '𝒜', true],
    ['[𝒜-𝒵]', '𝒞', true],
    ['a+b=*', 'a+b=3', true],
    ['"a"', '"a"', true],
    ['a\0*', 'a\0b', true],
    ['*(|a)b', 'aab', true],
    ['+(a|aa)', 'aaa', true],
    ['*', '', true],
    ['*', 'a\nb', true],
    ['a/*', 'a/b/c', true],
  ])('%j on %j: %j', (pattern, text, expected) => {
    expect(matchGlob(compileGlob(pattern), text)).toBe(expected);
  });

  test.each([
    ['', 'is empty'],
    ['!', 'is empty'],
    ['a[b', 'has a "[" that is never closed: write \\[ for the character itself, at character 2'],
    ['[]', 'has a "[" that is never closed'],
    ['[!]', 'has a "[" that is never closed'],
    ['[[:alpha:]', 'has a "[" that is never closed'],
    ['{a,b', 'has a "{" that is never closed'],
    ['{a,(b}', 'has a "(" that is never closed'],
    ['@(a|b', 'has a "(" that is never closed'],
    ['!(a|b', 'has a "(" that is never closed'],
    ['a|b', 'has a "|" outside of parentheses'],
    ['@({a|b,c})', 'has a "|" outside of parentheses'],
    ['a\\', 'ends in a backslash'],
    ['[a\\', 'ends in a backslash'],
    ['\\d', 'has \\d, an escape of regular expressions'],
    ['[\\w]', 'has \\w, an escape of regular expressions'],
    ['(a)?', 'has a "?" beside a parenthesis'],
    ['(?:a)', 'has a "?" beside a parenthesis'],
    ['(a)+', 'has a "+" that is an operator'],
    ['[ab]+', 'has a "+" that is an operator'],
    ['@(a+)', 'has a "+" that is an operator'],
    ['test.!(add).*', 'has a !(…) that is not the whole pattern'],
    ['!(add).*', 'has a !(…) that is not the whole pattern'],
    ['@(a|!(b))', 'has a !(…) that is not the whole pattern'],
    ['[z-a]', 'has the range z-a, which runs backwards'],
    ['[a-[:digit:]]', 'has a range that ends in a POSIX class'],
    ['[[:digit:]-z]', 'has a range that begins with a POSIX class'],
    ['{a..3}', 'has the range {a..3}: a range runs between'],
    ['{1..}', 'has the range {1..}: a range runs between'],
    ['{1..1001}', 'has the range {1..1001} of 1001 alternatives, the limit is 1000'],
    ['{1001..1}', 'has the range {1001..1} of 1001 alternatives'],
    ['{1..100000000..1}', 'has the range {1..100000000..1} of 100000000 alternatives'],
    ['{9007199254740993..9007199254740995}', 'the limit is 1000'],
    ['{1..500}{1,2,3}', 'has braces that expand to 1500 alternatives, the limit is 1000'],
    ['@({1..40}|{1..40})', 'has braces that expand to 1600 alternatives'],
    ['{a,b}'.repeat(200), 'has braces that expand to'],
    ['a\ud800', 'contains half of a surrogate pair'],
    ['a'.repeat(1_025), 'is 1025 characters long, the limit is 1024'],
    [7, 'a glob must be a string, not 7'],
    [null, 'a glob must be a string, not null'],
  ])('%j is refused: it %s', (pattern, message) => {
    expect(() => compileGlob(pattern)).toThrow(
      expect.objectContaining({ code: 'GLOB_INVALID', message: expect.stringContaining(message) }),
    );
  });

  test('may have 1,024 characters and 1,000 alternatives', () => {
    expect(matchGlob(compileGlob('a'.repeat(1_024)), 'a'.repeat(1_024))).toBe(true);
    const wide = compileGlob(`{1..1000}${'?'.repeat(900)}`);
    expect(matchGlob(wide, `1000${'x'.repeat(900)}`)).toBe(true);
    expect(matchGlob(wide, `1000${'x'.repeat(896)}`)).toBe(false);
  });
});

describe('the segments that a glob fixes', () => {
  const none = { flow: null, step: null, run: null };
  test.each<[string, Partial<Glob>]>([
    ['*', { ...none, regex: null, segmentsDecide: true, namesRun: false }],
    ['*.*', { ...none, segmentsDecide: true, namesRun: false }],
    ['test', { segmentsDecide: false, namesRun: false }],
    ['test*', { ...none, segmentsDecide: false }],
    ['test.*', { flow: 'test', step: null, run: null, segmentsDecide: true, namesRun: false }],
    ['test.*.*', { flow: 'test', step: null, run: null, segmentsDecide: true, namesRun: false }],
    ['test.add.*', { flow: 'test', step: 'add', run: null, segmentsDecide: true, namesRun: false }],
    ['test.add.*.*', { flow: 'test', step: 'add', run: null, segmentsDecide: true, namesRun: false }],
    ['test.add.brave-otter.*', { flow: 'test', step: 'add', run: 'brave-otter', segmentsDecide: true, namesRun: true }],
    [brave, { flow: 'test', step: 'add', run: 'brave-otter', segmentsDecide: false, namesRun: true }],
    ['test.a*.*', { flow: 'test', step: null, run: null, segmentsDecide: false, namesRun: false }],
    ['*.add.*', { ...none, segmentsDecide: false, namesRun: false }],
    ['*.add.*.*', { flow: null, step: 'add', run: null, segmentsDecide: true, namesRun: false }],
    ['*.*.brave-otter.*', { flow: null, step: null, run: 'brave-otter', segmentsDecide: true, namesRun: true }],
    ['*.*.brave-*.*', { ...none, segmentsDecide: false, namesRun: true }],
    ['*.*.*-otter.*', { ...none, segmentsDecide: false, namesRun: true }],
    ['test.add.brave-*', { flow: 'test', step: 'add', run: null, segmentsDecide: false, namesRun: true }],
    ['test.add.?*', { flow: 'test', step: 'add', run: null, namesRun: false }],
    ['*.brave-otter.0-1', { flow: null, step: null, run: 'brave-otter', segmentsDecide: false, namesRun: true }],
    ['*-otter.0-1', { ...none, segmentsDecide: false, namesRun: true }],
    ['*brave-otter*', { ...none, namesRun: false }],
    ['*.brave-otter.*', { ...none, namesRun: false }],
    ['test.{add,sub}.*', { flow: 'test', step: null, run: null, segmentsDecide: false, namesRun: false }],
    ['{test.add,test.sub}.*', { flow: 'test', step: null, run: null, segmentsDecide: false }],
    ['{test.add.x,test.sub.y}.*', { flow: 'test', namesRun: true }],
    ['{test.add.x,test.sub}.*', { flow: 'test', namesRun: false }],
    ['t{es,es}t.*', { flow: 'test', segmentsDecide: false }],
    ['{test,a.b.c.d.e}.*', { flow: 'test' }],
    ['@(test|best).add.*', { flow: null, step: 'add', run: null, segmentsDecide: false }],
    ['@(a.b|c.d).brave-otter.*', { flow: null, step: null, run: 'brave-otter', segmentsDecide: false, namesRun: true }],
    ['@(a|b.c).brave-otter.*', { ...none, segmentsDecide: false }],
    ['?(a.)b.*.*', { ...none, segmentsDecide: false }],
    ['te[s.]t.add.*', { ...none, segmentsDecide: false }],
    ['te[s.]t.add.*.*', { flow: null, step: 'add', run: null, segmentsDecide: false }],
    ['te[!s]t.add.*', { ...none, segmentsDecide: false }],
    ['te[[:punct:]]t.add.*', { ...none, segmentsDecide: false }],
    ['te?t.add.*', { ...none, segmentsDecide: false }],
    ['te[st]t.add.*', { flow: null, step: 'add', run: null, segmentsDecide: false }],
    ['a\\.b.*', { flow: 'a', step: 'b', run: null, segmentsDecide: true }],
    ['te\\-t.*', { flow: 'te-t', segmentsDecide: true }],
    ['a.b.c.d.*', { ...none, segmentsDecide: false, namesRun: false }],
    ['!test.*', { ...none, negated: true, segmentsDecide: false, namesRun: false }],
    ['!*', { ...none, negated: true, regex: '.*' }],
  ])('of %j are %o', (pattern, expected) => {
    expect(compileGlob(pattern)).toMatchObject({ pattern, ...expected });
  });
});

/** A matcher of micromatch, braces written out by it first: it would read `{1..12}` as `[1-12]`. */
function oracle(pattern: string): (id: string) => boolean {
  const body = pattern.replace(/^!+(?!\()/, '');
  const negated = (pattern.length - body.length) % 2 === 1;
  const globs = micromatch.braces(body, { expand: true, keepEscaping: true }).filter((glob) => glob !== '');
  const matchers = globs.map((glob) => micromatch.matcher(glob, { bash: true, dot: true, posix: true }));
  return (id) => matchers.some((matches) => matches(id)) !== negated;
}

const letters = ['a', 'b', 'c', 'd', 'e'];

function randomId(random: Random): string {
  const name = () => Array.from({ length: random.integer(1, 3) }, () => random.choice([...letters, '1', '-', 'é'])).join('');
  return `${name()}.${name()}.${name()}-${name()}.0-${random.integer(0, 30)}`;
}

/** A pattern made out of an id, piece by piece, so that it often matches it. */
function randomPattern(random: Random, id: string, depth = 0): string {
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
  const inner = randomPattern(random, text, depth + 1);
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

describe('matchGlob agrees', () => {
  const random = new Random(2_024);
  const cases = Array.from({ length: 5_000 }, () => {
    const id = randomId(random);
    const pattern = randomPattern(random, id);
    return { pattern, ids: [id, randomId(random), `${id.slice(0, -1)}7`, random.shuffle(id.split('.')).join('.')] };
  });

  test('with micromatch on 20,000 pairs of pattern and id', () => {
    const differences: string[] = [];
    let matches = 0;
    for (const { pattern, ids } of cases) {
      const expected = oracle(pattern);
      const glob = compileGlob(pattern);
      for (const id of ids) {
        if (matchGlob(glob, id) !== expected(id)) differences.push(`${pattern} on ${id}: micromatch says ${expected(id)}`);
        if (expected(id)) matches++;
      }
    }
    expect(differences).toEqual([]);
    expect(matches).toBeGreaterThan(5_000);
    expect(matches).toBeLessThan(15_000);
  });

  test('with its own segments: an id that matches has those that are fixed, and needs no more where they decide', () => {
    const wrong: string[] = [];
    let decided = 0;
    const plain = ['*', '*', '*', 'a', 'b', 'a-b', 'a*', '*b', '?', '[ab]', '{a,b}', '{a.b,b}', '@(a|b)', '@(a|b.a)'];
    const names = ['a', 'b', 'a-b', 'ab'];
    for (let round = 0; round < 5_000; round++) {
      const glob = compileGlob(Array.from({ length: random.integer(1, 5) }, () => random.choice(plain)).join('.'));
      if (glob.segmentsDecide) decided++;
      for (let pair = 0; pair < 4; pair++) {
        const segments = Array.from({ length: 4 }, () => random.choice(names));
        const matched = matchGlob(glob, segments.join('.'));
        const equal = [glob.flow, glob.step, glob.run].every((text, index) => text === null || text === segments[index]);
        if (matched ? !equal : equal && glob.segmentsDecide)
          wrong.push(`${glob.pattern} on ${segments.join('.')}: ${JSON.stringify(glob)}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(decided).toBeGreaterThan(300);
  });

  test("with DuckDB's regexp_full_match, also on line ends, NUL and characters beyond the BMP", async () => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const odd = [
      '[!a]',
      '?',
      '*\n*',
      'a\0*',
      '𝒜[𝒜-𝒵]',
      '[^𝒜]?',
      '[[:punct:]]*',
      '{1..1000}x',
      '*.{a,}',
      '+(*(a)|b)',
      '*(|a)b',
      '[]\\\\^-]',
      'a{1..300}b{x,y,z}*',
    ];
    const texts = ['', 'a', '\n', 'b\nc', 'a\0b', '𝒜𝒞', '𝒞', '.', '999x', 'abab', '\\', '^', '-', ']', 'a299by!', 'x.'];
    const rows: { regex: string; text: string; expected: boolean }[] = [];
    const collect = (pattern: string, ids: readonly string[]) => {
      const glob = compileGlob(pattern);
      for (const text of ids)
        if (glob.regex !== null) rows.push({ regex: glob.regex, text, expected: matchGlob(glob, text) !== glob.negated });
    };
    for (const pattern of odd) collect(pattern, texts);
    for (const { pattern, ids } of cases.slice(0, 1_000)) collect(pattern, ids);
    const differences: typeof rows = [];
    // The expression is a constant of each statement, as it is in a search: one that varies by row is compiled again for every row.
    for (const regex of new Set(rows.map((row) => row.regex))) {
      const group = rows.filter((row) => row.regex === regex);
      const parameters = group.map((_, index) => `$${index + 2}`).join(', ');
      const reader = await connection.runAndReadAll(
        `SELECT list_transform([${parameters}]::VARCHAR[], lambda text : regexp_full_match(text, $1, 's')) AS found`,
        [regex, ...group.map((row) => row.text)],
      );
      const found = reader.getRowObjectsJS()[0]?.['found'] as boolean[];
      differences.push(...group.filter((row, index) => found[index] !== row.expected));
    }
    expect(differences).toEqual([]);
    connection.closeSync();
    instance.closeSync();
  });
});

describe('matchGlob takes linear time', () => {
  const long = 'a'.repeat(512);
  test.each(['*a*a*a*a*b', '*(a|aa|aaa)b', '+(+(+(a)))b', '{a,aa}*{a,aa}*{a,aa}*c', '*(*(*(*a)))b', '?'.repeat(400) + '*b'])(
    'with %j',
    (pattern) => {
      const glob = compileGlob(pattern);
      const start = performance.now();
      expect(matchGlob(glob, long)).toBe(false);
      expect(performance.now() - start).toBeLessThan(50);
    },
  );
});
