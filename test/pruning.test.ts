import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { MarqueError } from '../src/error.ts';
import { extentOfSearch } from '../src/extent.ts';
import { compileGlob } from '../src/glob.ts';
import { and, ended, id, not, or, started, status, tag } from '../src/predicate.ts';
import { type TableName, tableNames } from '../src/schema.ts';
import type { RunSelection, Search } from '../src/search.ts';
import type { Batch, Snapshot, Status, Store } from '../src/store.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { type LogStates, ParquetReader } from '../src/storage/parquet-reader.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { mayHold } from '../src/storage/pruning.ts';
import { SegmentWriter } from '../src/storage/segment-writer.ts';
import { suiteFolder } from './folders.ts';
import { isLarge } from './size.ts';
import { claimRows } from './store-rows.ts';

const flows = ['f', 'fg', 'größe', '\u{10000}', '\uffee', '0-late'];
const steps = ['s', 'st', '漢', '😀'];
const slugs = ['a-b', 'a-c', 'ab-b', 'z-z', '😀-\uffee', 'a-\u{10000}', 'z-a', 'b-b', 'c-c', 'd-d', 'e-e', 'f-f'];
const statuses: Status[] = ['ok', 'error', 'retried', 'skipped'];
const start = 1_750_000_000_000;
const day = 86_400_000;

/** The same history twice: in segments of a few rows, some of them merged, and in memory, where nothing is ever left out. */
let reader: ParquetReader;
let states: LogStates;
let unflushed: readonly Batch[];
let oracle: Snapshot;
let sids: readonly number[];

const folder = suiteFolder();

beforeAll(async () => {
  const store = new ParquetStore(folder, { threads: 1 });
  const memory = new MemoryStore({ threads: 1 });
  const batches = await histories(store);
  await histories(memory); // takes the same numbers and slugs
  for (const batch of batches) await memory.write(batch);
  unflushed = batches.slice(-4);
  for (const batch of batches.slice(0, -4)) await store.write(batch);
  await store.close();
  const writer = await SegmentWriter.open(folder, { threads: 1 });
  for (const table of tableNames) {
    const log = new DeltaLog(table, join(folder, table), writer);
    const { segments } = await log.refresh();
    for (const removed of [segments.slice(2, 4), segments.slice(5, 9)]) {
      const merged = await writer.merge(table, removed);
      await log.replace({ operation: 'OPTIMIZE', removed, added: merged === null ? [] : [merged], dataChange: false });
    }
  }
  await writer.close();
  reader = await ParquetReader.open(folder, { threads: 1 });
  const logs = tableNames.map(async (table) => [table, await new DeltaLog(table, join(folder, table), reader).refresh()]);
  states = Object.fromEntries(await Promise.all(logs)) as LogStates;
  oracle = await memory.snapshot([]);
  sids = await oracle.find({ ...everything, runs: { kind: 'all' } });
  return async () => {
    await oracle.release();
    await reader.close();
    await memory.close();
  };
});

/** Runs whose flows, steps and statuses come and go, so that most segments lack most of them. */
async function histories(store: Store): Promise<readonly Batch[]> {
  const batches: Batch[] = [];
  for (const [index, slug] of slugs.entries()) {
    const run = await claimRows(store, slug, index === slugs.length - 1 ? '0-late' : flows[(index * 3) % 5]); // 0-late is not flushed
    run.event('started', start + index * day);
    for (let part = 0; part < 2; part++) {
      for (let ordinal = part * 3 + 1; ordinal <= part * 3 + 3; ordinal++) {
        const step = steps[(index + part) % steps.length] as string;
        const status = statuses[(index * part + ordinal) % (1 + (index % 4))] as Status;
        run.scope(ordinal, { step, status, started_at: start + index * day + ordinal });
        run.tag(ordinal, 0, ['loss', 'model'][ordinal % 2] as string, index / ordinal, { step });
        run.log(ordinal, 0, `line ${ordinal}`, { step, logged_at: start + index * day + ordinal + 500 });
        run.artifact(ordinal, 0, 'data', { step, text: `${index}` });
        run.edge(ordinal, run.sid(1));
      }
      run.tag(0, part, 'of the run', index);
      if (part === 1) run.event('ended', start + index * day + 900, { state: 'finished', durationMs: 900 });
      batches.push(await run.batch());
    }
  }
  return batches;
}

const everything: Search = {
  glob: null,
  flow: null,
  step: null,
  predicate: null,
  where: null,
  runs: { kind: 'all' },
  order: 'newest',
  limit: null,
  status: statuses,
};

/** Which segments are to have come without statistics. */
const bare = fc.record({ rate: fc.constantFrom(0, 0, 0.2, 0.7), seed: fc.nat() });

function withoutSome({ rate, seed }: { readonly rate: number; readonly seed: number }): LogStates {
  let next = seed;
  const isBare = (): boolean => (next = (next * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31 < rate;
  const entries = tableNames.map((table) => {
    const segments = states[table].segments.map((segment) => (isBare() ? { ...segment, stats: {} } : segment));
    return [table, { ...states[table], segments }];
  });
  return Object.fromEntries(entries) as LogStates;
}

const optional = <T>(values: readonly T[]): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constantFrom(...values) });
const patterns =
  '* f.* 0-late.* fg.* f* größe.s* *.s.* *.*.a-b.* \u{10000}.* \uffee* {f,fg}.* f.s.a-* f.{s,st}.* !f.* *-1 gr?ße.* none.* f.s.a-b.0-1'
    .split(' ')
    .map(compileGlob);
const slugPatterns = ['*', 'a-b', 'a-*', '!a-b', '{a-b,b-b}', '😀*', 'a-\u{10000}', 'z-?', 'none'].map(compileGlob);

const runs: fc.Arbitrary<RunSelection> = fc.oneof(
  fc.constant({ kind: 'all' } as const),
  fc.record({ kind: fc.constant('number' as const), number: fc.integer({ min: 1, max: slugs.length + 1 }) }),
  fc.record({ kind: fc.constant('slug' as const), glob: fc.constantFrom(...slugPatterns) }),
  fc.record({
    kind: fc.constant('recent' as const),
    back: fc.constantFrom(0 as const, 1 as const),
    before: fc.option(fc.integer({ min: 1, max: slugs.length + 2 })),
  }),
);

const midway = new Date(start + 4 * day + 2);
const predicates = [
  started.before(midway),
  started.between(midway, new Date(start + 6 * day)),
  and(started.after(midway), tag('loss').gt(1)),
  or(started.before(midway), tag('model').exists()),
  not(tag('loss').exists()),
  status('error', 'retried'),
  not(status('ok')),
  id('f.{s,st}.*'),
  and(id('*.s*.*'), not(id('fg.*')), status('ok')),
  or(id('f.*'), id('größe.*')),
  ended.before(midway),
];

const searches: fc.Arbitrary<Search> = fc.record({
  glob: optional(patterns),
  flow: optional(flows),
  step: optional(steps),
  predicate: optional(predicates),
  where: optional([(tag) => tag.content === 'model', (tag) => (tag.value ?? 0) > 2, () => false] satisfies Search['where'][]),
  runs,
  order: fc.constantFrom('newest', 'oldest'),
  limit: fc.constantFrom(null, null, 0, 1, 5),
  status: fc.oneof(fc.constant(statuses), fc.subarray(statuses)),
});

const numRuns = isLarge ? 2_000 : 150;

async function withReader<T>(some: LogStates, job: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  const snapshot = reader.snapshot(some, unflushed);
  try {
    return await job(snapshot);
  } finally {
    await snapshot.release();
  }
}

describe('leaving segments out', () => {
  test('never changes what a search finds', async () => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(bare, searches, async (some, search) => {
        const expected = await oracle.find(search);
        expect(await withReader(withoutSome(some), (snapshot) => snapshot.find(search))).toEqual(expected);
        found += Math.sign(expected.length);
      }),
      { seed: 20_260_202, numRuns },
    );
    expect(found).toBeGreaterThan(numRuns / 5); // a search that finds nothing shows little
  });

  test.each([
    ['0-late', 'latest', 0],
    ['f', 'latest', 0],
    ['f', 'previous', 1],
    ['größe', 'previous', 1],
  ] as const)('never changes which run of the flow %s is the %s one', async (flow, _, back) => {
    const search: Search = { ...everything, flow, runs: { kind: 'recent', back, before: null } }; // 0-late is not flushed at all
    const found = await withReader(states, (snapshot) => snapshot.find(search));
    expect(found.length).toBeGreaterThan(0);
    expect(found).toEqual(await oracle.find(search));
  });

  test('never changes what is read of a scope', async () => {
    const wanted = fc
      .tuple(fc.constant(null), fc.nat(), fc.integer({ min: 0, max: 5 }))
      .map(([, first, count]) => Array.from({ length: count }, (_, index) => sids[(first + index * 17) % sids.length] as number));
    await fc.assert(
      fc.asyncProperty(bare, wanted, async (some, list) => {
        expect(await withReader(withoutSome(some), (snapshot) => snapshot.read(list))).toEqual(await oracle.read(list));
      }),
      { seed: 20_260_203, numRuns: numRuns / 5 },
    );
  });

  test('never changes what a SELECT gives', async () => {
    let rows = 0;
    await fc.assert(
      fc.asyncProperty(bare, selects, async (some, { text, values }) => {
        const expected = await oracle.select({ text, values });
        const { values: given, rowCount } = await withReader(withoutSome(some), (snapshot) => snapshot.select({ text, values }));
        expect({ text, rowCount, given }).toEqual({ text, rowCount: expected.rowCount, given: expected.values });
        rows += Math.sign(expected.rowCount);
      }),
      { seed: 20_260_204, numRuns: numRuns * 2 },
    );
    expect(rows).toBeGreaterThan(numRuns / 2);
  });

  test('never changes what a SELECT gives in which names stand for something else than columns of the view', async () => {
    let answers = 0;
    await fc.assert(
      fc.asyncProperty(namings, async (text) => {
        const expected = await outcome(oracle, text);
        expect({ text, given: await withReader(states, (snapshot) => outcome(snapshot, text)) }).toEqual({
          text,
          given: expected,
        });
        if (Array.isArray(expected)) answers++;
      }),
      { seed: 20_260_205, numRuns: numRuns * 2 },
    );
    expect(answers).toBeGreaterThan(numRuns / 2);
  });
});

/** A condition on a name that may be a column, or what the statement calls so, or what a table around the SELECT has. */
const namings = fc
  .record({
    view: fc.constantFrom(
      'scopes',
      'tags',
      'logs',
      'edges',
      'runs',
      'live_runs',
      'raw.scopes',
      'raw.tags',
      'raw.edges',
      'raw.runs',
    ),
    condition: fc.oneof(
      fc
        .constantFrom('run', 'flow', 'step', 'slug', 'status')
        .chain((name) =>
          fc
            .constantFrom(...flows.slice(0, 2), ...steps.slice(0, 2), 'a-b', 'ok')
            .map((text) => ({ name, literal: `'${text}'` })),
        ),
      fc
        .constantFrom('sid', 'run_number')
        .chain((name) =>
          fc.constantFrom(0, 1, 2, 2 ** 32 + 1, 3 * 2 ** 32 + 2).map((number) => ({ name, literal: String(number) })),
        ),
    ),
    operator: fc.constantFrom('=', '<', '>='),
    other: fc.constantFrom(
      'seq',
      'kind',
      'target_sid',
      'run_number',
      'sid % 4294967296',
      'sid // 4294967296',
      'run',
      'flow',
      '1',
      `'f'`,
    ),
    frame: fc.nat({ max: 7 }),
  })
  .map(({ view, condition: { name, literal }, operator, other, frame }) => {
    const where = `${name} ${operator} ${literal}`;
    const count = `SELECT count(*) AS n FROM ${view} WHERE ${where}`;
    const frames = [
      count,
      `SELECT ${other} AS ${name}, count(*) OVER () AS n FROM ${view} WHERE ${where} ORDER BY ALL`,
      `SELECT (${count}) AS n FROM (VALUES (${literal})) AS v(${name})`,
      `SELECT v.*, t.n FROM (SELECT DISTINCT ${other} AS ${name} FROM scopes) AS v, LATERAL (${count}) AS t ORDER BY ALL`,
      `WITH v AS (SELECT ${literal} AS ${name}) SELECT (${count}) AS n, * FROM v`,
      `SELECT count(*) AS n FROM ${view} AS ${name} WHERE ${where}`,
      `SELECT * FROM (SELECT ${other} AS ${name} FROM ${view}) WHERE ${where} ORDER BY ALL`,
      `SELECT count(*) AS n FROM (SELECT ${literal} AS ${name}) AS v WHERE EXISTS (SELECT ${other} FROM ${view} WHERE ${where})`,
    ];
    return frames[frame] as string;
  });

/** What a SELECT gives, or why it gives nothing. */
async function outcome(snapshot: Snapshot, text: string): Promise<unknown> {
  try {
    return (await snapshot.select({ text, values: [] })).values;
  } catch (error) {
    return error instanceof MarqueError ? error.code : error;
  }
}

/** Conditions on the columns that statistics know, in the ways in which people write them. */
function conditionsOn(view: string): fc.Arbitrary<{ text: string; value: string | number | bigint | Date | null }> {
  const inRun = view === 'runs' ? 'slug' : 'run';
  const texts: [string, readonly string[]][] = [
    ['flow', flows],
    [inRun, slugs],
    ...(view === 'runs' || view === 'edges' ? [] : [['step', steps] as [string, readonly string[]]]),
    ...(view === 'scopes' ? [['status', statuses] as [string, readonly string[]]] : []),
  ];
  const text = fc
    .constantFrom(...texts)
    .chain(([column, values]) =>
      fc
        .tuple(fc.constantFrom(...values), fc.constantFrom(...values))
        .chain(([one, other]) =>
          fc.constantFrom(
            { text: `${column} = $1`, value: one },
            { text: `$1 = "${column.toUpperCase()}"`, value: one },
            { text: `v.${column} IN ($1, '${other}')`, value: one },
            { text: `${column} <> $1`, value: one },
            { text: `NOT (${column} = $1)`, value: one },
            { text: `(${column} = $1 OR ${column} = '${other}')`, value: one },
            { text: `${column} > $1`, value: one },
            { text: `upper(${column}) = upper($1)`, value: one },
            { text: `${column} LIKE $1 || '%'`, value: one },
            { text: `${column} = $1`, value: null },
          ),
        ),
    );
  const number = fc.integer({ min: -1, max: slugs.length + 1 }).chain((run) =>
    fc.constantFrom(
      ...(view === 'runs' || view === 'scopes'
        ? [
            { text: 'run_number = $1', value: BigInt(run) },
            { text: 'run_number >= $1', value: run + 0.5 },
            { text: `run_number BETWEEN ${run} AND ($1::BIGINT + 1)`, value: run },
            { text: `run_number IN (${run}, $1)`, value: run + 3 },
            { text: `$1 > v.run_number`, value: run },
          ]
        : []),
      ...(view === 'runs'
        ? []
        : [
            { text: 'sid < $1', value: BigInt(run) << 32n },
            { text: 'sid = $1', value: (BigInt(run) << 32n) + 2n },
            { text: `sid BETWEEN $1 AND ${(run + 2) * 2 ** 32}`, value: BigInt(run) << 32n },
            { text: 'sid // 4294967296 = $1', value: BigInt(run) },
          ]),
    ),
  );
  const column = view === 'scopes' || view === 'runs' ? 'started_at' : view === 'logs' ? 'logged_at' : null;
  const time = fc.integer({ min: 0, max: slugs.length }).chain((index) => {
    const value = new Date(start + index * day + 2);
    return fc.constantFrom(
      { text: `${column} >= $1`, value },
      { text: `${column} < $1`, value: value.toISOString().replace('Z', '') },
      { text: `${column} BETWEEN TIMESTAMP '2025-06-18' AND $1`, value },
      { text: `${column} > DATE '${value.toISOString().slice(0, 10)}' AND $1 IS NOT NULL`, value },
    );
  });
  return fc.oneof({ weight: 3, arbitrary: text }, number, ...(column === null ? [] : [time]));
}

const selects = fc
  .constantFrom('scopes', 'tags', 'artifacts', 'logs', 'edges', 'runs')
  .chain((view) => fc.tuple(fc.constant(view), fc.array(conditionsOn(view), { minLength: 1, maxLength: 2 }), fc.nat({ max: 6 })))
  .map(([view, conditions, shape]) => {
    const values = conditions.map(({ value }) => value);
    const where = conditions.map(({ text }, index) => text.replaceAll('$1', `$${index + 1}`)).join(' AND ');
    const key = view === 'runs' ? 'run_number' : 'sid';
    const shapes = [
      `SELECT COLUMNS(* EXCLUDE (${view === 'runs' ? 'tags' : key})) FROM ${view} AS v WHERE ${where} ORDER BY ALL`,
      `SELECT count(*), min(${key}), max(${key}) FROM ${view} AS v WHERE ${where}`,
      `SELECT flow AS ${key}, count(*) FROM ${view} AS v WHERE ${where} GROUP BY flow ORDER BY ALL`,
      `WITH tags AS (SELECT * FROM main.${view} AS v WHERE ${where}) SELECT count(*) FROM tags`,
      `SELECT (SELECT count(*) FROM ${view} AS v WHERE ${where}), count(*) FROM range(3)`,
      `SELECT count(*) FROM ${view} AS v, scopes AS s WHERE ${where.replaceAll(/(?<![.\w"'])(flow|run|slug|step|status|sid|run_number|started_at|logged_at)\b/g, 'v.$1').replaceAll(/"(\w+)"/g, 'v."$1"')} AND s.flow = 'f'`,
      `SELECT DISTINCT v.flow FROM ${view} AS v WHERE ${where} QUALIFY rank() OVER (ORDER BY ${key}) % 2 = 1 ORDER BY ALL`,
    ];
    return { text: shapes[shape] as string, values };
  });

describe('a segment', () => {
  test('is opened only where its statistics allow for what is searched', () => {
    const count = (table: TableName, parts: Partial<Search>): number =>
      states[table].segments.filter(({ stats }) => mayHold(table, stats, extentOfSearch({ ...everything, ...parts }))).length;
    const all = states.scopes.segments.length;
    expect(count('scopes', {})).toBe(all - 1); // not the one without rows
    expect(count('scopes', { runs: { kind: 'number', number: 10 } })).toBe(2);
    expect(count('scopes', { runs: { kind: 'number', number: 12 } })).toBe(0); // is not flushed yet
    expect(count('scopes', { runs: { kind: 'slug', glob: compileGlob('d-*') } })).toBe(3); // and a merged one, between whose ends it lies
    expect(count('scopes', { glob: compileGlob('größe.*'), step: 's' })).toBeLessThan(all / 2);
    expect(count('tags', { runs: { kind: 'number', number: 10 } })).toBe(0); // without a where nobody asks for tags
    expect(count('tags', { runs: { kind: 'number', number: 10 }, where: () => true })).toBe(2);
  });

  test('is ordered by the bytes of its texts, as DuckDB orders them', () => {
    const stats = { flow: { min: '\uffee', max: '\u{10000}', nulls: 0 } }; // UTF-16 has them the other way round
    const isAsked = (flow: string): boolean => mayHold('scopes', stats, extentOfSearch({ ...everything, flow }));
    expect(['\uffed', '\uffee', '\uffef', '\u{10000}', '\u{10001}'].map(isAsked)).toEqual([false, true, true, true, false]);
    const begins = (pattern: string): boolean =>
      mayHold('scopes', stats, extentOfSearch({ ...everything, glob: compileGlob(pattern) }));
    expect(['\uffee*', '\u{10000}x*', '\u{10001}*', 'a*'].map(begins)).toEqual([true, false, false, false]);
  });

  test('of which all of a column is null holds nothing that has a value there', () => {
    const stats = { step: { min: null, max: null, nulls: 3 } };
    expect(mayHold('tags', stats, { ...extentOfSearch({ ...everything, where: () => true }) })).toBe(true);
    expect(mayHold('tags', stats, { ...extentOfSearch({ ...everything, where: () => true, step: 's' }) })).toBe(false);
  });
});
