import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Connection, Database } from '../src/duckdb.ts';
import { compileGlob, matchGlob, matchId, segmentBound, type Segments } from '../src/glob.ts';
import { globPredicates, idPredicates, segmentPredicates } from '../src/glob-sql.ts';
import { Random } from '../src/random.ts';
import type { Result } from '../src/store.ts';
import { Values } from '../src/values.ts';
import { oddPattern, oddText, oracle, randomId, randomName, randomPattern } from './random-globs.ts';
import { isLarge } from './size.ts';

let database: Database;
let connection: Connection;

beforeAll(async () => {
  database = await Database.open();
  connection = await database.connect();
});

afterAll(() => database.close());

const assembled = `flow || '.' || step || '.' || run || '.' || path`;

/** What each of some lists of conditions says of each of some ids, by list. */
async function judge(lists: readonly (readonly string[])[], values: Values, ids: readonly string[]): Promise<Result['values']> {
  const columns = [0, 1, 2, 3].map(
    (index) => `unnest(${values.bind(ids.map((id) => id.split('.')[index] as string))}::VARCHAR[])`,
  );
  const conditions = lists.map((list, index) => `(${list.length === 0 ? 'true' : list.join(' AND ')}) AS c${index}`);
  const text = `WITH ids(flow, step, run, path) AS MATERIALIZED (SELECT ${columns.join(', ')}) SELECT ${conditions.join(', ')} FROM ids`;
  return (await connection.exclusive((run) => run(text, values.bound))).values;
}

function segmentsOf(id: string): Segments {
  const [flow, step, run, path] = id.split('.') as [string, string, string, string];
  return { flow, step, run, path };
}

/** An id near another: what stands in one segment stands in another, or a segment is somebody else's. */
function variants(random: Random, id: string): string[] {
  const segments = id.split('.');
  return [
    `${id.slice(0, -1)}7`,
    random.shuffle(segments).join('.'),
    segments.with(random.integer(0, 3), randomName(random)).join('.'),
    segments.map((segment) => random.choice([segment, `${segment}a`, `b${segment}`, segment.slice(1) || 'c'])).join('.'),
  ];
}

/** A pattern of segments, often with fewer or more dots than an id, which the other generator seldom makes. */
function segmentPattern(random: Random, id: string): string {
  const pieces = id.split('.').map((segment) => {
    const middle = random.integer(0, segment.length);
    const [start, end] = [segment.slice(0, middle), segment.slice(middle)];
    const other = randomName(random);
    return random.choice([
      segment,
      segment,
      '*',
      '*',
      `${start}*`,
      `*${end}`,
      `${start}*${end}`,
      `*${end.slice(0, 1)}*`,
      `{${segment},${other}}`,
      `{${start},${other}}*`,
      `@(${segment}|${other})`,
      `{${other}.${segment},${segment}}`,
      `{${start}[!e],${other}}`,
      `@(${segment}?|${other})`,
      '?*',
      '?'.repeat(segment.length),
    ]);
  });
  for (let at = pieces.length - 1; at > 0; at--)
    if (random.number() < 0.25)
      pieces.splice(at - 1, 2, random.choice(['*', `${pieces[at - 1]}*`, `*${pieces[at]}`, pieces[at] as string]));
  return random.choice(['', '', '', '', '', '!']) + pieces.join('.');
}

describe('a compiled glob', () => {
  const pairs = isLarge ? 2_000_000 : 50_000;
  test(
    `says the same as micromatch of ${pairs} pairs of pattern and id: in memory, in SQL by columns, in SQL over the id, as one regular expression`,
    { timeout: isLarge ? 7_200_000 : 180_000 },
    async () => {
      const random = new Random(7_311);
      let [judged, matched, exact] = [0, 0, 0];
      const differences: string[] = [];
      for (let batch = 0; batch < pairs / 500 && differences.length === 0; batch++) {
        const bases = Array.from({ length: 5 }, () => randomId(random));
        const letters = bases.flatMap((id) => [id, ...variants(random, id)]);
        const ids = letters.map(oddText);
        const values = new Values();
        const cases = Array.from({ length: 20 }, (_, index) => {
          const base = random.choice(bases);
          const pattern = index % 2 === 0 ? randomPattern(random, base) : segmentPattern(random, base);
          return { pattern, expected: letters.map(oracle(pattern)), glob: compileGlob(oddPattern(pattern)) };
        });
        const lists = cases.flatMap(({ glob }) => [
          idPredicates(glob, values),
          globPredicates(assembled, glob, values),
          [`regexp_full_match(${assembled}, ${values.bind(glob.text.regex)}, 's') != ${glob.negated}`],
          segmentPredicates(glob, values),
        ]);
        const answers = await judge(lists, values, ids);
        cases.forEach(({ pattern, expected, glob }, index) => {
          const [byColumns, byId, byRegex, bySegments] = answers.slice(index * 4, index * 4 + 4) as boolean[][];
          if (glob.id.exact) exact++;
          ids.forEach((id, at) => {
            const found = {
              matchId: matchId(glob, segmentsOf(id)),
              matchGlob: matchGlob(glob, id),
              byColumns: byColumns?.[at],
              byId: byId?.[at],
              byRegex: byRegex?.[at],
            };
            judged++;
            if (expected[at]) matched++;
            const isWithin = (['flow', 'step', 'run', 'path'] as const).every((name) => {
              const bound = segmentBound(glob, name);
              const text = segmentsOf(id)[name];
              return bound === null || bound.texts.some((one) => (bound.kind === 'equals' ? text === one : text.startsWith(one)));
            });
            if (
              Object.values(found).some((answer) => answer !== expected[at]) ||
              (expected[at] && !(isWithin && bySegments?.[at]))
            )
              differences.push(
                `${pattern} on ${letters[at]}: micromatch says ${expected[at]}, ${JSON.stringify({ ...found, isWithin })}`,
              );
          });
        });
      }
      expect(differences).toEqual([]);
      expect(matched / judged).toBeGreaterThan(0.1);
      expect(matched / judged).toBeLessThan(0.6);
      expect(exact / (judged / 25)).toBeGreaterThan(0.6);
    },
  );
});

describe('a glob over ids', () => {
  const sqlOf = (pattern: string) => idPredicates(compileGlob(pattern), new Values()).join(' AND ');

  test.for([
    '*',
    '**',
    '*.*',
    '*.*.*.*',
    'test.*',
    'test*',
    'test.add.*',
    'test.add*',
    'test.a*.*.*',
    'test.add.brave-otter.0-12*',
    '*.add.*',
    '*.add.*.*',
    '*.{add,sub}.*',
    '*.@(add|sub).*.*',
    '*.*.brave-otter.*',
    '*.*.brave-*.*',
    '*.tr*.*.0-*',
    '*-3',
    '*otter*',
    '*otter.0-1',
    '*.[st]*.*.*',
    '*.add-{1..500}.*.*',
    'te*t.*',
    '{test.add,best.sub}.*',
    '!test.*',
    '!*-3',
    'a.b.c.d.e',
  ])('such as %j takes no regular expression', (pattern) => {
    expect(sqlOf(pattern)).not.toContain('regexp');
  });

  test.each([
    ['*.tr?in.*.*', ['step']],
    ['test.add.brave-otter.0-1[!0-9]', ['path']],
    ['*.*.*[[:digit:]].*', ['run']],
    ['te+(s)t.*.*.*-*-?', ['flow', 'path']],
    ['test.*a*b*.*.*', ['step']], // comparisons cannot tell in which order the pieces stand
  ])('such as %j takes one only for each column that it is about', (pattern, columns) => {
    expect(Array.from(sqlOf(pattern).matchAll(/regexp_full_match\(([^,]*),/g), ([, column]) => column)).toEqual(columns);
  });

  test.each(['*a*a*a*a*b', '*(a.|b)c*', '*[!a]??[!b]*.*', '{1..9}.{1..9}a.+(b|.)'])(
    'such as %j is compared with the whole id once, after what is certain of the columns',
    (pattern) => {
      const text = sqlOf(pattern);
      expect(text.split('regexp_full_match').length - 1).toBe(1);
      expect(text).toMatch(/regexp_full_match\(flow \|\| '\.' \|\| step [^()]*\)$/);
    },
  );

  test.each<[string, ...(null | { kind: 'equals' | 'begins'; texts: string[] })[]]>([
    ['*', null, null, null, null],
    ['test.tr*.*.*', { kind: 'equals', texts: ['test'] }, { kind: 'begins', texts: ['tr'] }, null, null],
    ['te*', { kind: 'begins', texts: ['te'] }, null, null, null],
    [
      'te*.{a,b}.*.0-1',
      { kind: 'begins', texts: ['te'] },
      { kind: 'equals', texts: ['a', 'b'] },
      null,
      { kind: 'equals', texts: ['0-1'] },
    ],
    ['*.a.*', null, null, null, null],
    ['{a.x,b.y}.*', { kind: 'equals', texts: ['a', 'b'] }, { kind: 'equals', texts: ['x', 'y'] }, null, null],
    ['{a,b*}.x.*', { kind: 'begins', texts: ['a', 'b'] }, null, null, null],
    ['te?t.+(a).*.*', { kind: 'begins', texts: ['te'] }, null, null, null],
    ['te+(a|.)*x?', { kind: 'begins', texts: ['te'] }, null, null, null],
    ['a.b.c.d.e', ...Array.from({ length: 4 }, () => ({ kind: 'equals' as const, texts: [] }))],
    ['!test.*', null, null, null, null],
  ])('such as %j says what each segment is, or begins with', (pattern, ...bounds) => {
    const glob = compileGlob(pattern);
    expect((['flow', 'step', 'run', 'path'] as const).map((name) => segmentBound(glob, name))).toEqual(bounds);
  });
});

test('a glob over texts finds the same in memory, by comparisons in SQL and by its regular expression alone, also line ends, NUL and characters beyond the BMP', async () => {
  const patterns = [
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
    '\ud7ff*',
    '\u{10ffff}*',
    'a\u{10ffff}*',
    '{a,\ue000}*',
    '\uffff*',
    "a'*",
    '*"',
    '%*',
    'a_',
    '*\\\\',
    'ab*ba',
    'a*b*a',
    '{a,ab,b*}',
    'a*b*b',
    'a*b*ab',
    '{a?,b}',
    '@(a[!b]|c)',
    '{a[!b],b*}',
    '!a*',
    '!{a,b}',
    '*a*',
    '*b*a*',
    '{a*,b*,c*,d*,e*,f*,g*,h*,i*,j*,k*,l*,m*,n*,o*,p*,q*}',
    '{1..20}*',
  ];
  const texts = [
    '',
    'a',
    '\n',
    'b\nc',
    'a\0b',
    '𝒜𝒞',
    '𝒞',
    '.',
    '999x',
    'abab',
    '\\',
    '^',
    '-',
    ']',
    'a299by!',
    'x.',
    'aba',
    'abba',
    'abb',
    'ac',
    'acb',
    'ab',
    'ba',
    '\ud7ff',
    '\ud7ffz',
    '\ue000',
    '\uffff',
    '\uffffa',
    '\u{10000}',
    '\u{10ffff}',
    '\u{10ffff}z',
    'a\u{10ffff}',
    'a\u{10ffff}\u{10ffff}',
    'b',
    "a'",
    'a"',
    '%x',
    'a_',
    'ab_',
    'A',
    'é',
    'e\u0301',
    '7',
    '21',
    '0',
  ];
  for (const pattern of patterns) {
    const glob = compileGlob(pattern);
    const values = new Values();
    const list = `unnest(${values.bind(texts)}::VARCHAR[])`;
    const predicates = globPredicates('text', glob, values);
    const regex = `regexp_full_match(text, ${values.bind(glob.text.regex)}, 's') != ${glob.negated}`;
    const text = `SELECT ${predicates.join(' AND ') || 'true'} AS found, ${regex} AS by_regex FROM (SELECT ${list} AS text)`;
    const [found = [], byRegex = []] = (await connection.exclusive((run) => run(text, values.bound))).values;
    const those = (answers: readonly unknown[]) => [pattern, texts.filter((_, index) => answers[index])];
    expect(those(found)).toEqual(those(byRegex));
    expect(those(texts.map((one) => matchGlob(glob, one)))).toEqual(those(byRegex));
  }
});
