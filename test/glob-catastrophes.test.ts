import { RE2JS } from 're2js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Connection, Database } from '../src/duckdb.ts';
import { MarqueError } from '../src/error.ts';
import { compileGlob, type Glob, matchGlob, matchId, type Segments } from '../src/glob.ts';
import { globPredicates, idPredicates } from '../src/glob-sql.ts';
import { Values } from '../src/values.ts';

/** Patterns that are known to keep engines that backtrack, or compilers that write everything out, busy for ever. */
const catastrophes = [
  '*a*a*a*a*b',
  `${'*a'.repeat(500)}*b`,
  `${'a*'.repeat(500)}b`,
  '**a**a**a**a**a**b',
  `${'?*'.repeat(500)}b`,
  `${'*?'.repeat(500)}b`,
  `${'?'.repeat(400)}*b`,
  '+(a|aa)+(a|aa)+(a|aa)b',
  '*(a|aa|aaa)b',
  '+(+(+(a)))b',
  '*(*(a))b',
  '*(*(*(*(*(a)))))b',
  '*(*(*(*a)))b',
  '+(*)+(*)+(*)b',
  '*(*|a|?)b',
  '*(a|*(b|*(c|*(a))))b',
  '+(a*)+(a*)+(a*)b',
  '*(|a)*(|a)*(|a)b',
  `${'*(a)'.repeat(250)}b`,
  `${'?(a)'.repeat(250)}${'a'.repeat(24)}`,
  `${'@(a|b.c)'.repeat(120)}b`,
  `${'@(a|a)'.repeat(160)}b`,
  `${'+(a|[a-z]|?)'.repeat(80)}b`,
  '{a,aa}*{a,aa}*{a,aa}*c',
  '{a,b}'.repeat(200),
  '{1..1000}*{1..1000}',
  '*{1..1000}*a*b',
  '@({a,aa}|{a,aa})+(a|{a,aa})*b',
  `${'[ab]'.repeat(250)}*b`,
  `${'*[!b]'.repeat(200)}b`,
  `${'('.repeat(500)}a${')'.repeat(500)}*b`,
  `${'*('.repeat(300)}a${')'.repeat(300)}b`,
  `${'{a,'.repeat(250)}b${'}'.repeat(250)}*c`,
  '!(*(a|aa)*(a|aa)b|+(+(a))b)',
  `!${'*a'.repeat(500)}*b`,
  '*.*a*.*a*.*a*.*b*a*b*a*b',
  `${'?*'.repeat(500)}[!b]`,
  '*[ab]'.repeat(200),
  `${'*(a|.|b)'.repeat(100)}b`,
  `${'*([ab]|.)?(a)'.repeat(70)}b`,
  `${'+(?a|a?|a.)'.repeat(90)}b`,
  `${'?(?)'.repeat(250)}b`,
  `${'*(??|???)'.repeat(100)}b`,
  '+(a|aa|.)+(aa|a|b|.)+(b|.|a)b',
  '*(+(a|b)|.)*(+(a|b)|.)[!c]',
  '*(*a?b|a|.)b',
  '+(*[ab]*[ab]|[ab]*)[!.]',
  '*(@(a?|?a)|*(b|.)|[a-c])b',
  `${'?(a|?(a|?(a|.)))'.repeat(60)}*b`,
  `${'*[a.]*[!c]'.repeat(100)}b`,
  '!+(a|aa|.)*([ab]|??)b',
  `*${'[!c]?(a)'.repeat(120)}b`,
];

/** Of some 512 characters each: what the patterns look for, and nearly that, up to the end. */
const ids = ['a', 'ab', 'aaab'].flatMap((unit) => {
  const text = unit.repeat(512).slice(0, 509);
  const parts = `${text.slice(0, 127)}.${text.slice(127, 254)}.${text.slice(254, 381)}.${text.slice(381)}`;
  return [parts, `${parts}b`, ...['b', 'c'].map((end) => `a.a.a.${text.slice(0, 505)}${end}`)];
});

/** The patterns that are not refused, and of them those for which a regular expression has looked at some id. */
const taken = new Set<string>();
const reached = { memory: new Set<string>(), sql: new Set<string>() };

let database: Database;
let connection: Connection;

beforeAll(async () => {
  database = await Database.open();
  connection = await database.connect();
  await connection.script(
    `CREATE TEMP TABLE ids AS SELECT ${['flow', 'step', 'run', 'path']
      .map((column, index) => `unnest([${ids.map((id) => `'${id.split('.')[index]}'`).join(', ')}]) AS ${column}`)
      .join(', ')}`,
  );
});

afterAll(() => database.close());

const limit = 50; // milliseconds

/** Whether one of three attempts takes less processor time: other processes on the machine, and the compiler's warming up, do not count. */
async function isQuick<T>(work: (prepared: T) => unknown, prepare: () => T): Promise<boolean> {
  for (let round = 0; round < 3; round++) {
    const prepared = prepare();
    const start = process.cpuUsage();
    await work(prepared);
    const { user, system } = process.cpuUsage(start);
    if ((user + system) / 1_000 < limit) return true;
  }
  return false;
}

function compiled(pattern: string): Glob | null {
  try {
    return compileGlob(pattern);
  } catch (error) {
    expect(error).toBeInstanceOf(MarqueError);
    expect(error).toHaveProperty('code', 'GLOB_INVALID');
    return null;
  }
}

describe(`on ids of ${ids[0]?.length} characters a pattern takes less than ${limit} ms to compile, in memory and in SQL`, () => {
  test.for(catastrophes.map((pattern) => [pattern.slice(0, 30), pattern] as const))('%s', async ([, pattern]) => {
    expect(await isQuick(compiled, () => pattern)).toBe(true);
    if (compiled(pattern) === null) return; // refused, and at once
    const segments = ids.map((id) => {
      const [flow, step, run, path] = id.split('.') as [string, string, string, string];
      return { flow, step, run, path };
    });
    taken.add(pattern);
    const testExact = vi.spyOn(RE2JS.prototype, 'testExact');
    onTestFinished(() => testExact.mockRestore());
    for (const [index, id] of ids.entries()) {
      const fresh = () => compileGlob(pattern); // one that has matched before may remember the answer
      expect(await isQuick((glob: Glob) => matchGlob(glob, id), fresh)).toBe(true);
      expect(await isQuick((glob: Glob) => matchId(glob, segments[index] as Segments), fresh)).toBe(true);
    }
    if (testExact.mock.calls.length > 0) reached.memory.add(pattern);
    const glob = compileGlob(pattern);
    const find = async (predicates: (values: Values) => readonly string[]) => {
      const values = new Values();
      const text = `SELECT ${predicates(values).join(' AND ') || 'true'} AS found FROM ids`;
      return (await connection.exclusive((run) => run(text, values.bound))).values[0] as readonly boolean[];
    };
    const byColumns = (values: Values) => idPredicates(glob, values);
    const byText = (values: Values) => globPredicates(`flow || '.' || step || '.' || run || '.' || path`, glob, values);
    expect(await isQuick(find, () => byColumns)).toBe(true);
    expect(await isQuick(find, () => byText)).toBe(true);
    const expected = ids.map((id) => matchGlob(glob, id));
    expect(segments.map((segment) => matchId(glob, segment))).toEqual(expected);
    expect(await find(byColumns)).toEqual(expected);
    expect(await find(byText)).toEqual(expected);
    if (await isReached(find, glob)) reached.sql.add(pattern);
  });

  // Comparisons of ends and pieces answer for many pairs, and would hide what a regular expression takes.
  test('and at least thirty of them come to a regular expression, which then looks at these ids', () => {
    expect(taken.size).toBeGreaterThanOrEqual(40);
    expect(reached.memory.size).toBeGreaterThanOrEqual(30);
    expect(reached.sql.size).toBeGreaterThanOrEqual(30);
  });
});

/** Whether the conditions over the text of an id leave some id to the regular expression. */
async function isReached(
  find: (predicates: (values: Values) => readonly string[]) => Promise<readonly boolean[]>,
  glob: Glob,
): Promise<boolean> {
  const isRegex = (predicate: string) => predicate.startsWith('regexp_full_match');
  const text = `flow || '.' || step || '.' || run || '.' || path`;
  const positive = { ...glob, negated: false };
  if (!globPredicates(text, positive, new Values()).some(isRegex)) return false;
  const found = await find((values) =>
    globPredicates(text, positive, values).map((one) => (isRegex(one) ? `(${one} OR true)` : one)),
  );
  return found.includes(true);
}
