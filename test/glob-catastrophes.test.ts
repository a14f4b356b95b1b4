import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
];

/** Of 512 characters each: nearly what the patterns look for, up to the end. */
const ids = ['a', 'ab', 'aaab'].flatMap((unit) => {
  const text = unit.repeat(512).slice(0, 509);
  return [
    `${text.slice(0, 127)}.${text.slice(127, 254)}.${text.slice(254, 381)}.${text.slice(381)}`,
    `a.a.a.${text.slice(0, 505)}c`,
  ];
});

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

/** Milliseconds of processor time, the least of three: other processes on the machine, and the compiler's warming up, do not count. */
async function leastTime(work: () => unknown): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    const start = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, (user + system) / 1_000);
  }
  return least;
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

describe(`on ids of ${ids[0]?.length} characters a pattern takes less than 50 ms to compile, in memory and in SQL`, () => {
  test.for(catastrophes.map((pattern) => [pattern.slice(0, 30), pattern] as const))('%s', async ([, pattern]) => {
    expect(await leastTime(() => compiled(pattern))).toBeLessThan(50);
    if (compiled(pattern) === null) return; // refused, and at once
    const segments = ids.map((id) => {
      const [flow, step, run, path] = id.split('.') as [string, string, string, string];
      return { flow, step, run, path };
    });
    for (const [index, id] of ids.entries()) {
      const fresh = Array.from({ length: 6 }, () => compileGlob(pattern)); // one that has matched before may remember the answer
      expect(await leastTime(() => matchGlob(fresh.pop() as Glob, id))).toBeLessThan(50);
      expect(await leastTime(() => matchId(fresh.pop() as Glob, segments[index] as Segments))).toBeLessThan(50);
    }
    const glob = compileGlob(pattern);
    const find = async (predicates: (values: Values) => string[]) => {
      const values = new Values();
      const text = `SELECT ${predicates(values).join(' AND ') || 'true'} AS found FROM ids`;
      return (await connection.exclusive((run) => run(text, values.bound))).values[0];
    };
    const byColumns = (values: Values) => idPredicates(glob, values);
    const byText = (values: Values) => globPredicates(`flow || '.' || step || '.' || run || '.' || path`, glob, values);
    expect(await leastTime(() => find(byColumns))).toBeLessThan(50);
    expect(await leastTime(() => find(byText))).toBeLessThan(50);
    const expected = ids.map((id) => matchGlob(glob, id));
    expect(segments.map((segment) => matchId(glob, segment))).toEqual(expected);
    expect(await find(byColumns)).toEqual(expected);
    expect(await find(byText)).toEqual(expected);
  });

  test('and most of them are not refused', () => {
    expect(catastrophes.filter((pattern) => compiled(pattern) !== null).length).toBeGreaterThanOrEqual(30);
  });
});
