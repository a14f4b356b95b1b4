import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileGlob } from '../src/glob.ts';
import {
  and,
  duration,
  ended,
  id,
  not,
  type NumberConditions,
  or,
  param,
  type ParamConditions,
  started,
  status,
  tag,
} from '../src/predicate.ts';
import type { ParamValue, Predicate, Search } from '../src/search.ts';
import { runNumberOf } from '../src/sid.ts';
import { DuckDBStore } from '../src/storage/duckdb-store.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import type { Batch, Snapshot, Status, Store } from '../src/store.ts';
import type { Tag } from '../src/tag.ts';
import { suiteFolder } from './folders.ts';
import { isLarge } from './size.ts';
import { claimRows, RowMaker, searchFor } from './store-rows.ts';

/** A scope as the test has made it up: what a predicate means is worked out from this alone. */
interface Known {
  readonly sid: number;
  readonly id: string;
  readonly flow: string;
  readonly step: string;
  readonly status: Status;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly params: string | null;
  readonly tags: readonly Tag[];
}

/** A predicate, and what it means in plain JavaScript. */
interface Case {
  readonly predicate: Predicate;
  readonly holds: (scope: Known) => boolean;
}

const statuses: Status[] = ['ok', 'error', 'retried', 'skipped'];
const flows = ['f', 'größe'];
const steps = ['s', 'train', '漢'];
const start = 1_750_000_000_000;
const astral = '\u{1f600}';
const contents = [
  '',
  'loss',
  'model=a',
  'model=b',
  "it's",
  '"',
  astral,
  `${astral}=x`,
  'e\u0301',
  'é',
  '\0',
  '%',
  '\\',
  'LOSS',
  '\uffee',
];
const numbers = [0, -0, 1, -1, 0.1, 0.1 + 0.2, 1e300, -1e300, 5e-324, 2 ** 53, 2 ** 53 + 2, Number.MAX_VALUE, 123_456_789.125];
const tagValues = [null, NaN, Infinity, -Infinity, ...numbers];
const durations = [0, 0.1, 0.25, 1, 1e-9, 1e9, 3.5];
const finite = [...numbers, 0.5, -0.5, 1e-300];
const keys = [
  'lr',
  'a.b',
  'a/b',
  'a~b',
  '~1',
  '',
  '"',
  "'",
  '0',
  '1',
  '00',
  '\0',
  astral,
  '$',
  '*',
  '__proto__',
  'constructor',
  '-',
  '#-1',
];
const texts = [
  '',
  'res18',
  'res50',
  'RES50',
  '1',
  '0.1',
  'true',
  'null',
  'NaN',
  'Infinity',
  '[1]',
  '{}',
  "it's",
  '"',
  '\\',
  '\0',
  '\u001f\n',
  astral,
  '\uffee',
];
const paramValues: readonly ParamValue[] = [
  null,
  true,
  false,
  ...finite,
  9007199254740992,
  1e5,
  1.2345678901234568e29,
  18446744073709552000,
  'a\u{1f600}/',
  ...texts,
];
const patterns: readonly (readonly [pattern: string, matches: (text: string) => boolean])[] = [
  ['*', () => true],
  ['loss', (text) => text === 'loss'],
  ['model=*', (text) => text.startsWith('model=')],
  ['!model=*', (text) => !text.startsWith('model=')],
  ['*=?', (text) => /=.$/su.test(text)],
  ['?', (text) => /^.$/su.test(text)],
  ['*[0-9]', (text) => /[0-9]$/.test(text)],
  ['{loss,LOSS}', (text) => text.toLowerCase() === 'loss'],
  ['res*0', (text) => /^res.*0$/s.test(text)],
  [`${astral}*`, (text) => text.startsWith(astral)],
];
const idPatterns: typeof patterns = [
  ['*', () => true],
  ['f.*', (text) => text.startsWith('f.')],
  ['!f.*', (text) => !text.startsWith('f.')],
  ['*.train.*', (text) => text.split('.')[1] === 'train'],
  ['*.*.run-a.*', (text) => text.split('.')[2] === 'run-a'],
  ['f.{s,train}.*', (text) => /^f\.(?:s|train)\./.test(text)],
  ['*-[12]', (text) => /-[12]$/.test(text)],
  ['größe.漢.*', (text) => text.startsWith('größe.漢.')],
  ['none.*', () => false],
];

const json: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, false, ...numbers, ...texts),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 4 }),
  ),
})).value;

/** Texts that JavaScript would not write, and other programs do: what counts is the number as JavaScript reads it. */
const foreign = [
  '{"lr":9007199254740993,"0":{"1":18446744073709551615}}',
  '{"lr":123456789012345678901234567890,"a.b":-9223372036854775809}',
  '{"lr":1E5,"0":-0,"1":-0.0,"a/b":1e-400,"a~b":0.1000000000000000055511151231257827}',
  `{"lr":"\\u0061\\ud83d\\ude00\\/","0":["\\u0000"]}`,
  '{"lr":[{"0":1},2],"0":{"0":[1]},"1":{"00":null}}',
  `{"lr":${'{"0":'.repeat(199)}0.1${'}'.repeat(199)}}`,
  `{"lr":${'['.repeat(200)}${']'.repeat(200)}}`,
];
const params = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(null, '{}') },
  { weight: 2, arbitrary: fc.constantFrom(...foreign) },
  {
    weight: 9,
    arbitrary: fc.dictionary(fc.constantFrom(...keys), json, { minKeys: 1, maxKeys: 5 }).map((value) => JSON.stringify(value)),
  },
);

const scopes = fc.record({
  step: fc.constantFrom(...steps),
  status: fc.constantFrom(...statuses),
  startedAt: fc.nat(20).map((minute) => start + minute * 60_000),
  durationMs: fc.constantFrom(...durations),
  params,
  tags: fc.array(fc.record({ content: fc.constantFrom(...contents), value: fc.constantFrom(...tagValues) }), { maxLength: 5 }),
});

/** The history that all of them hold, some of it flushed, some not, and some runs half of each. */
const known: Known[] = [];
const slugs = ['run-a', 'run-b', `run-${astral}`, 'a-run', 'specimens'];
const perRun = 24;

type Made = Omit<Known, 'sid' | 'id' | 'flow'>;

function addScopes(run: RowMaker, from: number, made: readonly Made[]): void {
  for (const [index, { tags, ...scope }] of made.entries()) {
    const ordinal = from + index;
    const { step, startedAt, durationMs } = scope;
    const path = `0-${ordinal}`;
    run.scope(ordinal, {
      step,
      path,
      status: scope.status,
      started_at: startedAt,
      duration_ms: durationMs,
      params: scope.params,
    });
    tags.forEach(({ content, value }, seq) => run.tag(ordinal, seq, content, value, { step }));
    const id = `${run.flow}.${step}.${run.slug}.${path}`;
    known.push({ ...scope, sid: run.sid(ordinal), id, flow: run.flow, tags });
  }
  for (const [seq, content] of contents.entries()) run.tag(0, seq, content, 0).tag(900, seq, content, 0); // of the run, and of a scope to come
}

/** One scope for each value that a param or a tag can have, and for each key. */
function specimens(): readonly Made[] {
  const scope = { step: 's', status: 'ok', startedAt: start, durationMs: 0, params: null, tags: [] } as const;
  const documents = [
    ...paramValues.map((value) => ({ x: value })),
    ...[[], {}, [1], { a: 1 }].map((value) => ({ x: value })),
    ...keys.map((key) => ({ k: Object.fromEntries([[key, 1]]) })),
    { k: [1, 1] },
    { k: { k: [{ '0': 1 }] } },
  ];
  return [
    ...documents.map((document) => ({ ...scope, params: JSON.stringify(document) })),
    ...tagValues.map((value) => ({ ...scope, tags: [{ content: 'x', value }] })),
  ];
}

const folder = suiteFolder();
const stores: readonly (readonly [name: string, make: () => Store])[] = [
  ['MemoryStore', () => new MemoryStore({ threads: 1 })],
  ['JsonStore', () => new JsonStore(join(folder, 'json'))],
  ['ParquetStore', () => new ParquetStore(join(folder, 'parquet'), { threads: 1 })],
  ['DuckDBStore', () => new DuckDBStore(join(folder, 'history.duckdb'), { threads: 1 })],
];
const snapshots: [name: string, snapshot: Snapshot][] = [];

beforeAll(async () => {
  const flushed: Batch[] = [];
  const unflushed: Batch[] = [];
  for (const [index, slug] of slugs.entries()) {
    const run = new RowMaker({ number: index + 1, slug }, flows[index % flows.length]);
    const made = slug === 'specimens' ? specimens() : fc.sample(scopes, { seed: run.number, numRuns: perRun });
    const half = made.length >> 1;
    addScopes(run, 1, made.slice(0, half));
    (index % 2 === 0 ? flushed : unflushed).push(await run.batch());
    addScopes(run, 1 + half, made.slice(half));
    (index === 0 ? flushed : unflushed).push(await run.batch());
  }
  for (const [name, make] of stores) {
    const store = make();
    for (const [index, slug] of slugs.entries()) {
      const { number } = await claimRows(store, slug, flows[index % flows.length]);
      if (number !== index + 1) throw new Error(`the rows are those of run ${index + 1}, but it became run ${number}`);
    }
    const written = name === 'JsonStore' ? flushed.slice(0, 2) : flushed; // a run in files: each search reads all of them
    for (const batch of written) await store.write(batch);
    snapshots.push([name, await store.snapshot([...flushed.slice(written.length), ...unflushed])]);
    afterAll(() => store.close());
  }
  return () => Promise.all(snapshots.map(([, snapshot]) => snapshot.release()));
});

/** What is asked of a value, and what that means. */
interface Asked {
  readonly built: Predicate;
  readonly of: (value: unknown) => boolean;
}

/** JavaScript's own operators, which let no number but a number pass. */
function comparisons(conditions: NumberConditions, a: number, b: number): readonly Asked[] {
  const [from, to] = a < b ? [a, b] : [b, a];
  const asked = (built: Predicate, passes: (value: number) => boolean): Asked => ({
    built,
    of: (value) => typeof value === 'number' && passes(value),
  });
  return [
    asked(conditions.lt(a), (value) => value < a),
    asked(conditions.le(a), (value) => value <= a),
    asked(conditions.gt(a), (value) => value > a),
    asked(conditions.ge(a), (value) => value >= a),
    asked(conditions.between(from, to), (value) => from <= value && value <= to),
  ];
}

function memberships<V extends ParamValue>(
  conditions: { eq(v: V): Predicate; ne(v: V): Predicate; in(v: readonly V[]): Predicate; exists(): Predicate },
  list: readonly V[],
): readonly Asked[] {
  const [first] = list;
  return [
    { built: conditions.in(list), of: (value) => list.some((one) => one === value) },
    { built: conditions.exists(), of: () => true },
    ...(first === undefined
      ? []
      : [
          { built: conditions.eq(first), of: (value: unknown) => value === first },
          { built: conditions.ne(first), of: (value: unknown) => value !== first },
        ]),
  ];
}

function likes(conditions: ParamConditions): readonly Asked[] {
  return patterns.map(([pattern, matches]) => ({
    built: conditions.like(pattern),
    of: (value) => typeof value === 'string' && matches(value),
  }));
}

const limits = [...finite, Infinity, -Infinity];
const limit = fc.constantFrom(...limits);
const lists = <V>(values: readonly V[]): fc.Arbitrary<readonly V[]> =>
  fc.oneof(
    fc.array(fc.constantFrom(...values), { maxLength: 4 }),
    fc.array(fc.constantFrom(...values), { minLength: 30, maxLength: 30 }),
  );

function ofTags(named: (text: string) => boolean, { built, of }: Asked): Case {
  return { predicate: built, holds: ({ tags }) => tags.some(({ content, value }) => named(content) && of(value)) };
}

const tagCases: fc.Arbitrary<Case> = fc
  .tuple(
    fc.oneof(
      fc.constantFrom(...contents, 'none').map((content) => [tag(content), (text: string) => text === content] as const),
      fc.constantFrom(...patterns).map(([pattern, named]) => [tag.glob(pattern), named] as const),
    ),
    limit,
    limit,
    lists([null, ...limits]),
  )
  .chain(([[conditions, named], a, b, list]) =>
    fc.constantFrom(...comparisons(conditions, a, b), ...memberships(conditions, list)).map((asked) => ofTags(named, asked)),
  );

const absent = Symbol('absent');

function memberAt(value: unknown, path: readonly string[]): unknown {
  const [key, ...more] = path;
  if (key === undefined) return value;
  if (Object.prototype.toString.call(value) !== '[object Object]') return absent;
  const members = new Map(Object.entries(value as object));
  return members.has(key) ? memberAt(members.get(key), more) : absent;
}

/** Paths that lead somewhere in the history, through lists as well, and some that lead nowhere. */
function pathsIn(value: unknown, path: readonly string[], into: Map<string, readonly string[]>): void {
  if (path.length > 0) into.set(JSON.stringify(path), path);
  if (typeof value !== 'object' || value === null || path.length > 5) return;
  for (const [key, member] of Object.entries(value)) pathsIn(member, [...path, key], into);
}

function paramPaths(): readonly (readonly string[])[] {
  const paths = new Map<string, readonly string[]>();
  for (const scope of known) pathsIn(JSON.parse(scope.params ?? 'null'), [], paths);
  const deep = ['lr', ...Array.from({ length: 199 }, () => '0')];
  return [...paths.values(), deep, deep.slice(1), ...keys.map((key) => ['lr', key]), ['none'], ['toString']];
}

function ofParam(path: readonly string[], { built, of }: Asked): Case {
  const holds = ({ params }: Known): boolean => {
    const value = memberAt(JSON.parse(params ?? 'null'), path);
    return value !== absent && of(value);
  };
  return { predicate: built, holds };
}

function paramCases(): fc.Arbitrary<Case> {
  const paths = paramPaths();
  const short = paths.filter((path) => path.length < 3);
  return fc
    .tuple(
      fc.oneof(fc.constantFrom(...paths), fc.constantFrom(...short), fc.constantFrom(['x'], ['lr'])),
      limit,
      limit,
      lists(paramValues),
    )
    .chain(([path, a, b, list]) => {
      const conditions = param(...(path as readonly [string, ...string[]]));
      return fc
        .oneof(
          fc.constantFrom(...comparisons(conditions, a, b)),
          fc.constantFrom(
            ...memberships(
              conditions,
              list.filter((one) => typeof one !== 'number' || Number.isFinite(one)),
            ),
          ),
          fc.constantFrom(...likes(conditions)),
        )
        .map((asked) => ofParam(path, asked));
    });
}

const date = fc.nat(22).map((minute) => new Date(start + minute * 60_000));
const timeCases: fc.Arbitrary<Case> = fc.oneof(
  ...(
    [
      [started, (scope: Known) => scope.startedAt],
      [ended, (scope: Known) => scope.startedAt + scope.durationMs],
    ] as const
  ).flatMap(([conditions, at]) => [
    date.map((time) => ({ predicate: conditions.before(time), holds: (scope: Known) => at(scope) < time.getTime() })),
    date.map((time) => ({ predicate: conditions.after(time), holds: (scope: Known) => at(scope) > time.getTime() })),
    fc.tuple(date, fc.nat(300_000)).map(([from, span]) => ({
      predicate: conditions.between(from, new Date(from.getTime() + span)),
      holds: (scope: Known) => from.getTime() <= at(scope) && at(scope) <= from.getTime() + span,
    })),
  ]),
  fc
    .tuple(fc.constantFrom(...durations, Infinity, -1), fc.constantFrom(...durations))
    .chain(([a, b]) => fc.constantFrom(...comparisons(duration, a, b)))
    .map(({ built, of }) => ({ predicate: built, holds: (scope: Known) => of(scope.durationMs) })),
);

const otherCases: fc.Arbitrary<Case> = fc.oneof(
  fc
    .constantFrom(...idPatterns)
    .map(([pattern, matches]) => ({ predicate: id(pattern), holds: (scope: Known) => matches(scope.id) })),
  fc.subarray(statuses).map((some) => ({ predicate: status(...some), holds: (scope: Known) => some.includes(scope.status) })),
);

function cases(): fc.Arbitrary<Case> {
  return fc.letrec<{ case: Case }>((tie) => ({
    case: fc.oneof(
      { maxDepth: 4, depthSize: 'medium' },
      { weight: 3, arbitrary: tagCases },
      { weight: 3, arbitrary: paramCases() },
      { weight: 1, arbitrary: timeCases },
      { weight: 1, arbitrary: otherCases },
      {
        weight: 2,
        arbitrary: fc.array(tie('case'), { maxLength: 3 }).map((all) => ({
          predicate: and(...all.map(({ predicate }) => predicate)),
          holds: (scope: Known) => all.every(({ holds }) => holds(scope)),
        })),
      },
      {
        weight: 2,
        arbitrary: fc.array(tie('case'), { maxLength: 3 }).map((any) => ({
          predicate: or(...any.map(({ predicate }) => predicate)),
          holds: (scope: Known) => any.some(({ holds }) => holds(scope)),
        })),
      },
      {
        weight: 2,
        arbitrary: tie('case').map(({ predicate, holds }) => ({
          predicate: not(predicate),
          holds: (scope: Known) => !holds(scope),
        })),
      },
    ),
  })).case;
}

/** The rest of a search, with its meaning: which scopes it looks at, in which order, how many of them. */
const surroundings = fc.record({
  flow: fc.constantFrom(null, null, null, ...flows),
  glob: fc.constantFrom(null, null, null, ...idPatterns),
  runs: fc.constantFrom<Search['runs']>(
    { kind: 'all' },
    { kind: 'all' },
    { kind: 'number', number: 2 },
    { kind: 'recent', back: 0, before: null },
    { kind: 'recent', back: 1, before: 5 },
  ),
  order: fc.constantFrom('newest' as const, 'oldest' as const),
  limit: fc.constantFrom(null, null, 0, 1, 7),
});

function expected(surrounding: typeof surroundings extends fc.Arbitrary<infer S> ? S : never, { holds }: Case): number[] {
  const { flow, glob, runs, order, limit } = surrounding;
  let sids = known
    .filter((scope) => (flow === null || scope.flow === flow) && (glob === null || glob[1](scope.id)) && holds(scope))
    .map(({ sid }) => sid)
    .sort((a, b) => (order === 'newest' ? b - a : a - b));
  if (runs.kind === 'number') sids = sids.filter((sid) => runNumberOf(sid) === runs.number);
  if (runs.kind === 'recent') {
    const { back, before } = runs;
    sids = sids.filter((sid) => before === null || runNumberOf(sid) < before);
    const run = [...new Set(sids.map(runNumberOf))].sort((a, b) => b - a)[back];
    sids = sids.filter((sid) => runNumberOf(sid) === run);
  }
  return limit === null ? sids : sids.slice(0, limit);
}

async function expectFound(search: Search, sids: readonly number[]): Promise<void> {
  const found = await Promise.all(snapshots.map(async ([name, snapshot]) => [name, await snapshot.find(search)] as const));
  expect(found).toEqual(snapshots.map(([name]) => [name, sids]));
}

/** Each test by itself: of a param, of a tag, of a param under each key. */
function plainCases(): readonly Case[] {
  const [ofX, tagX] = [param('x'), tag('x')];
  const ends = [0, 0.1, -Infinity];
  return [
    ...[...paramValues.map((value) => [value]), paramValues]
      .flatMap((list) => memberships(ofX, list))
      .map((asked) => ofParam(['x'], asked)),
    ...ends.flatMap((a) => comparisons(ofX, a, 1)).map((asked) => ofParam(['x'], asked)),
    ...likes(ofX).map((asked) => ofParam(['x'], asked)),
    ...[null, ...limits].flatMap((value) => memberships(tagX, [value])).map((asked) => ofTags((text) => text === 'x', asked)),
    ...ends.flatMap((a) => comparisons(tagX, a, 1)).map((asked) => ofTags((text) => text === 'x', asked)),
    ...keys.map((key) => ofParam(['k', key], { built: param('k', key).eq(1), of: (value) => value === 1 })),
    ofParam(['k', 'k', '0', '0'], { built: param('k', 'k', '0', '0').exists(), of: () => true }),
  ];
}

describe('a predicate', () => {
  test('means of each kind of value what it means in plain JavaScript, and its opposite the opposite', async () => {
    const plain = [...new Map(plainCases().map((one) => [JSON.stringify(one.predicate), one])).values()];
    expect(plain.length).toBeGreaterThan(150);
    for (const { predicate, holds } of plain) {
      const sids = (wanted: boolean) => known.filter((scope) => holds(scope) === wanted).map(({ sid }) => sid);
      await expectFound(searchFor({ predicate }), sids(true));
      await expectFound(searchFor({ predicate: not(predicate) }), sids(false));
    }
  });

  test(
    'means in every storage what it means in plain JavaScript: the same scopes in the same order',
    { timeout: isLarge ? 3_600_000 : 600_000 },
    async () => {
      const numRuns = isLarge ? 10_000 : 2_500; // searches, each on four storages
      let [some, all, none] = [0, 0, 0];
      await fc.assert(
        fc.asyncProperty(cases(), surroundings, async (one, surrounding) => {
          const sids = expected(surrounding, one);
          const { glob, ...rest } = surrounding;
          const search = searchFor({ ...rest, glob: glob === null ? null : compileGlob(glob[0]), predicate: one.predicate });
          await expectFound(search, sids);
          if (sids.length === 0) none++;
          else if (sids.length === known.length) all++;
          else some++;
        }),
        { seed: 20_261_122, numRuns },
      );
      expect({ some: some > numRuns / 4, none: none < numRuns * 0.7, all: all < numRuns / 4 }).toEqual({
        some: true,
        none: true,
        all: true,
      });
    },
  );
});
