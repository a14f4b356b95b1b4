import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileSearch } from '../src/compile.ts';
import { type Connection, Database } from '../src/duckdb.ts';
import { evaluateSearch } from '../src/evaluate.ts';
import { Finder } from '../src/find.ts';
import { compileGlob } from '../src/glob.ts';
import type { PageSizes } from '../src/page-sizes.ts';
import type { Row } from '../src/schema.ts';
import type { RunSelection, Search } from '../src/search.ts';
import { sidOf } from '../src/sid.ts';
import { rawViewsSql } from '../src/sql.ts';
import type { Batch, Statement, Status } from '../src/store.ts';
import { MemoryRows } from '../src/storage/memory-rows.ts';
import { batchOfRows } from '../src/storage/row-batch.ts';
import type { Tag } from '../src/tag.ts';
import { searchFor } from './store-rows.ts';

let database: Database;
let connection: Connection;

beforeAll(async () => {
  database = await Database.open();
  connection = await database.connect();
  await connection.script(rawViewsSql((table) => `* FROM batch(getvariable('rows'), '${table}')`));
});

afterAll(() => database.close());

/** What DuckDB finds over these rows, going the way of every storage that speaks SQL. */
async function findInDuckDB(search: Search, batch: Batch): Promise<unknown> {
  return await withFinder(search, batch, undefined, (finder) => pagesOf(finder)).then((pages) => pages.flat());
}

async function pagesOf(finder: Finder, sizes?: PageSizes): Promise<(readonly number[])[]> {
  const pages: (readonly number[])[] = [];
  for await (const page of finder.pages(sizes)) pages.push(page);
  return pages;
}

/** The sid and the id of each scope. */
async function identifiedBy(finder: Finder, sizes: PageSizes): Promise<(readonly [sid: number, id: string])[]> {
  const found: (readonly [number, string])[] = [];
  for await (const { sids, ids } of finder.identified(sizes))
    found.push(...sids.map((sid, index) => [sid, ids[index] as string] as const));
  return found;
}

/** With at most so many distinct tags, a JavaScript predicate is answered in SQL. */
async function withFinder<T>(
  search: Search,
  batch: Batch,
  mostDistinct: number | undefined,
  job: (finder: Finder) => Promise<T>,
): Promise<T> {
  const token = database.pin([batch]);
  try {
    return await connection.exclusive(async (run) => {
      await run('SET VARIABLE rows = $1', [token]);
      const asked = {
        run: async (_extent: unknown, statements: readonly Statement[]) =>
          await Promise.all(statements.map(({ text, values }) => run(text, values))),
      };
      return await job(new Finder(asked, search, mostDistinct));
    });
  } finally {
    database.unpin(token);
  }
}

const flows = ['f', 'g', 'größe'];
const steps = ['s', 't', '漢'];
const slugs = ['a-b', 'a-c', 'b-b', '😀'];
const paths = ['0-0', '0-1', '0-1-2', '1-0'];
const statuses: Status[] = ['ok', 'error', 'retried', 'skipped'];
const contents = ['', 'a', "it's", '"', '😀', 'e\u0301', 'é', '\0', '%', 'null', 'A'];
const numbers = [null, NaN, Infinity, -Infinity, 0, -0, 1, -1.5, Number.MIN_VALUE, 1e300];
const patterns =
  '* f.* f.s.* f.s.a-b.* f.s.a-b.0-1 *.s.* *.*.a-b.* *-1 !f.* !*.s.* {f,g}.* f.{s,t}.* ?.?.* *.[st].* *.[!st].* *.😀.* *.*.?.* *b.0-? f* *.+(a|b)-b.* größe.漢.* nothing'.split(
    ' ',
  );
const slugPatterns = ['*', 'a-b', 'a-*', '!a-b', '{a-b,b-b}', '?-b', '😀', 'x.y.z'];
const predicates: [string, (tag: Tag) => boolean][] = [
  ['all', () => true],
  ['none', () => false],
  ['a', (tag) => tag.content === 'a'],
  ['empty', (tag) => tag.content === ''],
  ['astral', (tag) => tag.content.includes('😀')],
  ['null', (tag) => tag.value === null],
  ['NaN', (tag) => Number.isNaN(tag.value)],
  ['less than 1', (tag) => (tag.value as number) < 1],
  ['at least 0', (tag) => (tag.value as number) >= 0],
  ['infinite', (tag) => tag.value === Infinity],
  ['minus zero', (tag) => Object.is(tag.value, -0)],
  ['zero', (tag) => Object.is(tag.value, 0)],
  ['both', (tag) => tag.content > 'a' && tag.value !== 1],
  ['truthy', (tag) => tag.value as unknown as boolean],
  ['looks at some', (tag) => tag.content === 'a' || (tag.content === 'é' && tag.value !== null)],
  ['as text', (tag) => JSON.stringify(tag).includes('1')],
  ['printed', (tag) => inspect(tag).includes('null')],
  ['spread', (tag) => Object.values({ ...tag }).includes(0)],
];

const optional = <T>(values: readonly T[]): fc.Arbitrary<T | null> => fc.option(fc.constantFrom(...values), { freq: 1 });

const seldom = <T>(values: readonly T[]): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constantFrom(...values) });

const runs: fc.Arbitrary<RunSelection> = fc.oneof(
  fc.constant({ kind: 'all' } as const),
  fc.record({ kind: fc.constant('number' as const), number: fc.constantFrom(1, 2, 3, 9) }),
  fc.record({ kind: fc.constant('slug' as const), glob: fc.constantFrom(...slugPatterns).map(compileGlob) }),
  fc.record({ kind: fc.constant('recent' as const), back: fc.constantFrom(0 as const, 1 as const), before: optional([1, 2, 3]) }),
);

const searches: fc.Arbitrary<Search> = fc.record({
  glob: optional(patterns).map((pattern) => (pattern === null ? null : compileGlob(pattern))),
  flow: seldom(flows),
  step: seldom(steps),
  predicate: fc.constant(null),
  where: optional(predicates.map(([, where]) => where)),
  runs,
  order: fc.constantFrom('newest', 'oldest'),
  limit: optional([0, 1, 3, 1000]),
  status: fc.oneof(
    { weight: 9, arbitrary: fc.subarray(statuses, { minLength: 2 }) },
    { weight: 1, arbitrary: fc.subarray(statuses, { maxLength: 1 }) },
  ),
});

interface Made {
  readonly number: number;
  readonly ordinal: number;
  readonly flow: string;
  readonly step: string;
  readonly path: string;
  readonly status: Status;
  readonly tags: readonly (readonly [content: string, value: number | null])[];
}

const histories: fc.Arbitrary<readonly Made[]> = fc.uniqueArray(
  fc.record({
    number: fc.integer({ min: 1, max: 4 }),
    ordinal: fc.integer({ min: 1, max: 9 }),
    flow: fc.constantFrom(...flows),
    step: fc.constantFrom(...steps),
    path: fc.constantFrom(...paths),
    status: fc.constantFrom(...statuses),
    tags: fc.array(fc.tuple(fc.constantFrom(...contents), fc.constantFrom(...numbers)), { maxLength: 4 }),
  }),
  { minLength: 8, maxLength: 20, selector: ({ number, ordinal }) => sidOf(number, ordinal) },
);

/** The history as rows, with tags of runs and of a scope that is not there, which no search may find. */
async function batchOf(history: readonly Made[]): Promise<Batch> {
  const scopes: Partial<Row<'scopes'>>[] = [];
  const tags: Row<'tags'>[] = [];
  for (const { number, ordinal, flow, step, path, status, tags: own } of history) {
    const place = { sid: sidOf(number, ordinal), flow, run: slugs[number - 1] as string, step };
    scopes.push({ ...place, path, status });
    own.forEach(([content, value], seq) => tags.push({ ...place, seq, content, value }));
    for (const sid of [sidOf(number, 0), sidOf(number, 10)]) tags.push({ ...place, sid, seq: 0, content: 'a', value: 1 });
  }
  return await batchOfRows({ scopes, tags });
}

function idIn(history: readonly Made[], sid: number): string | undefined {
  const scope = history.find(({ number, ordinal }) => sidOf(number, ordinal) === sid);
  return scope && `${scope.flow}.${scope.step}.${slugs[scope.number - 1]}.${scope.path}`;
}

describe('a compiled search', () => {
  test('finds in DuckDB what evaluateSearch finds in memory, in the same order', async () => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(histories, fc.array(searches, { minLength: 8, maxLength: 8 }), async (history, list) => {
        const batch = await batchOf(history);
        for (const search of list) {
          const expected = evaluateSearch(search, (...asked) => new MemoryRows([batch]).candidates(...asked));
          expect(await findInDuckDB(search, batch)).toEqual(expected);
          found += expected.length;
        }
      }),
      { seed: 20_260_101, numRuns: 100 },
    );
    expect(found).toBeGreaterThan(1_000); // a search that finds nothing shows little
  });

  test('finds the same in pages, counts as many, and however the tags of a predicate are judged', async () => {
    const sizes = fc.record({ first: fc.integer({ min: 1, max: 3 }), most: fc.integer({ min: 1, max: 9 }) });
    let several = 0;
    await fc.assert(
      fc.asyncProperty(
        histories,
        fc.array(fc.tuple(searches, sizes, fc.constantFrom(0, 1, 3, undefined)), { minLength: 8, maxLength: 8 }),
        async (history, list) => {
          const batch = await batchOf(history);
          for (const [search, size, mostDistinct] of list) {
            const expected = evaluateSearch(search, (...asked) => new MemoryRows([batch]).candidates(...asked));
            const pages = await withFinder(search, batch, mostDistinct, (finder) => pagesOf(finder, size));
            expect(pages.flat()).toEqual(expected);
            expect(await withFinder(search, batch, mostDistinct, (finder) => identifiedBy(finder, size))).toEqual(
              expected.map((sid) => [sid, idIn(history, sid)]),
            );
            expect(pages.every((page) => page.length > 0)).toBe(true);
            expect(await withFinder(search, batch, mostDistinct, (finder) => finder.count())).toBe(expected.length);
            if (pages.length > 1) several++;
          }
        },
      ),
      { seed: 20_260_102, numRuns: 40 },
    );
    expect(several).toBeGreaterThan(50);
  });

  test('binds every value and splices none', async () => {
    const evil = `'; DROP TABLE raw.scopes; --`;
    const search = searchFor({
      flow: evil,
      step: evil,
      where: () => true,
      status: [evil as Status],
      runs: { kind: 'slug', glob: compileGlob('a-*') },
    });
    const { text, values } = compileSearch(
      { ...search, glob: compileGlob('*"x*') },
      { contents: [], tags: [{ content: evil, value: null }] },
    );
    expect(text).not.toContain('DROP');
    expect(values).toContain(evil);
    expect(await findInDuckDB(search, await batchOf([]))).toEqual([]);
  });

  const regexps: [string, Partial<Search>, number][] = [
    ['flow.*', { glob: compileGlob('f.*') }, 0],
    ['flow.step.*', { glob: compileGlob('f.s.*') }, 0],
    ['flow.step.run.*', { glob: compileGlob('f.s.a-b.*') }, 0],
    ['a glob with a fixed flow and a prefix', { glob: compileGlob('f.s*') }, 0],
    ['a glob that asks a column for more', { glob: compileGlob('f.s?.*.*') }, 1],
    ['a slug', { runs: { kind: 'slug', glob: compileGlob('a-b') } }, 0],
    ['a prefix of slugs', { runs: { kind: 'slug', glob: compileGlob('a-*') } }, 0],
    ['a glob over slugs', { runs: { kind: 'slug', glob: compileGlob('a-?') } }, 1],
  ];
  test.for(regexps)('compares columns where it can: %s takes %s regular expressions', ([, parts, count]) => {
    expect(compileSearch(searchFor(parts)).text.split('regexp_full_match').length - 1).toBe(count);
  });

  test('prunes the tags by the same columns as the scopes', () => {
    const search = searchFor({ glob: compileGlob('f.s.*'), where: () => true, runs: { kind: 'number', number: 7 } });
    const inner = compileSearch(search, { contents: [], tags: [{ content: 'a', value: 1 }] }).text.split('FROM raw.tags')[1];
    expect(inner).toMatch(/flow = \$\d+[^]*step = \$\d+[^]*sid BETWEEN \$\d+ AND \$\d+/);
  });

  test('with a where needs the tags that it accepts', () => {
    expect(() => compileSearch(searchFor({ where: () => true }))).toThrow(expect.objectContaining({ code: 'WHERE_INVALID' }));
  });
});
