import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance, listValue } from '@duckdb/node-api';
import { beforeAll, describe, expect, test } from 'vitest';
import { readAnalysis } from '../src/analysis.ts';
import type * as rows from '../src/analytics-rows.ts';
import type { LineageRow } from '../src/lineage.ts';
import { analysisSql, schemaSql, viewsSql } from '../src/sql.ts';
import { DuckDBStore } from '../src/storage/duckdb-store.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import type { Store } from '../src/store.ts';
import { tails } from './analytics-reference.ts';
import { type MadeUp, StorageOver, writeScopes } from './analytics-store.ts';
import { suiteFolder, temporaryFolder } from './folders.ts';

/** The types of DuckDB that give a column its type in TypeScript. */
type DuckDBTypeOf<T> = [NonNullable<T>] extends [number]
  ? 'BIGINT' | 'INTEGER' | 'DOUBLE'
  : [NonNullable<T>] extends [boolean]
    ? 'BOOLEAN'
    : [NonNullable<T>] extends [Date]
      ? 'TIMESTAMP_MS'
      : 'VARCHAR';
type Columns<Row> = { readonly [column in keyof Row]: DuckDBTypeOf<Row[column]> };

/** A row type and its columns in order: the compiler checks one against the other, the test against DuckDB. */
function columns<Row>(types: Columns<Row>): Columns<Row> {
  return types;
}

const link = {
  depth: 'INTEGER',
  kind: 'VARCHAR',
  name: 'VARCHAR',
  sid: 'BIGINT',
  id: 'VARCHAR',
  from_sid: 'BIGINT',
  from_id: 'VARCHAR',
  flow: 'VARCHAR',
  step: 'VARCHAR',
  run: 'VARCHAR',
  status: 'VARCHAR',
  has_more: 'BOOLEAN',
} as const;
const place = { flow: 'VARCHAR', step: 'VARCHAR' } as const;
const chosen = { ...place, runs: 'VARCHAR[]' };

/** Every file, with its parameters and columns. */
const files = {
  best: [
    { ...chosen, tag: 'VARCHAR', params: 'VARCHAR[]', best: 'VARCHAR' },
    columns<rows.BestRow>({
      ...place,
      params: 'VARCHAR',
      n: 'BIGINT',
      n_missing: 'BIGINT',
      mean: 'DOUBLE',
      sd: 'DOUBLE',
      ci_low: 'DOUBLE',
      ci_high: 'DOUBLE',
      lowest: 'DOUBLE',
      highest: 'DOUBLE',
    }),
  ],
  'compare-params': [
    chosen,
    columns<rows.ParamDifference>({
      step: 'VARCHAR',
      param: 'VARCHAR',
      run: 'VARCHAR',
      levels: 'VARCHAR',
      n_levels: 'BIGINT',
      n_scopes: 'BIGINT',
    }),
  ],
  'compare-metrics': [
    chosen,
    columns<rows.MetricDifference>({
      step: 'VARCHAR',
      tag: 'VARCHAR',
      run: 'VARCHAR',
      n: 'BIGINT',
      mean: 'DOUBLE',
      sd: 'DOUBLE',
      baseline: 'VARCHAR',
      baseline_n: 'BIGINT',
      baseline_mean: 'DOUBLE',
      baseline_sd: 'DOUBLE',
      difference: 'DOUBLE',
      relative: 'DOUBLE',
      p_value: 'DOUBLE',
      is_noise: 'BOOLEAN',
    }),
  ],
  series: [
    { ...chosen, tag: 'VARCHAR' },
    columns<rows.SeriesRow>({
      sid: 'BIGINT',
      flow: 'VARCHAR',
      run: 'VARCHAR',
      step: 'VARCHAR',
      id: 'VARCHAR',
      status: 'VARCHAR',
      position: 'INTEGER',
      value: 'DOUBLE',
      started_at: 'TIMESTAMP_MS',
      params: 'VARCHAR',
    }),
  ],
  importance: [
    { ...chosen, tag: 'VARCHAR' },
    columns<rows.ImportanceRow>({
      ...place,
      param: 'VARCHAR',
      is_numeric: 'BOOLEAN',
      n: 'BIGINT',
      levels: 'BIGINT',
      pearson: 'DOUBLE',
      spearman: 'DOUBLE',
      variance_explained: 'DOUBLE',
      variance_explained_adjusted: 'DOUBLE',
      importance: 'DOUBLE',
    }),
  ],
  durations: [
    chosen,
    columns<rows.DurationRow>({
      ...place,
      run: 'VARCHAR',
      n: 'BIGINT',
      total_ms: 'DOUBLE',
      mean_ms: 'DOUBLE',
      median_ms: 'DOUBLE',
      p95_ms: 'DOUBLE',
      max_ms: 'DOUBLE',
      n_retried: 'BIGINT',
      retried_ms: 'DOUBLE',
      dispatch_ms: 'DOUBLE',
      encode_ms: 'DOUBLE',
      overhead: 'DOUBLE',
    }),
  ],
  errors: [
    chosen,
    columns<rows.ErrorGroup>({
      kind: 'VARCHAR',
      n: 'BIGINT',
      n_retried: 'BIGINT',
      steps: 'VARCHAR',
      n_runs: 'BIGINT',
      first_seen: 'TIMESTAMP_MS',
      last_seen: 'TIMESTAMP_MS',
      example_id: 'VARCHAR',
      example_message: 'VARCHAR',
    }),
  ],
  retries: [
    chosen,
    columns<rows.RetryRow>({
      ...place,
      n: 'BIGINT',
      attempts: 'BIGINT',
      retried: 'BIGINT',
      recovered: 'BIGINT',
      failed: 'BIGINT',
      unfinished: 'BIGINT',
      attempt_failure_rate: 'DOUBLE',
      failure_rate: 'DOUBLE',
      retry_rate: 'DOUBLE',
      recovery_rate: 'DOUBLE',
    }),
  ],
  coverage: [
    { ...chosen, grid: 'VARCHAR' },
    columns<rows.CoverageRow>({ params: 'VARCHAR', status: 'VARCHAR', n_ok: 'BIGINT', n_failed: 'BIGINT' }),
  ],
  lineage: [{ sid: 'BIGINT', depth: 'DOUBLE' }, columns<LineageRow>(link)],
  impact: [{ sid: 'BIGINT', depth: 'DOUBLE' }, columns<LineageRow>(link)],
} as const;

test('no file of sql/analytics is left out here', () => {
  const found = readdirSync(new URL('../sql/analytics/', import.meta.url));
  expect(found.toSorted()).toEqual(
    Object.keys(files)
      .map((name) => `${name}.sql`)
      .toSorted(),
  );
});

describe.each(Object.entries(files))('sql/analytics/%s.sql', (name, [parameters, types]) => {
  test('has the parameters and columns that TypeScript says', async () => {
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    await connection.run(schemaSql());
    await connection.run(viewsSql());
    const analysis = readAnalysis(name);
    const prepared = await connection.prepare(analysis.text);
    const given = analysis.parameters.map((parameter, index) => [parameter, String(prepared.parameterType(index + 1))]);
    expect(Object.fromEntries(given)).toEqual(parameters);
    const found = Array.from({ length: prepared.columnCount }, (_, index) => [
      prepared.columnName(index),
      String(prepared.columnType(index)),
    ]);
    expect(found).toEqual(Object.entries(types));
  });

  test('says first what it answers, then each of its parameters', () => {
    const [head = ''] = analysisSql(name).split(/^(?!--)/m);
    expect(head).toMatch(/^-- [A-Z].*\?/);
    const said = head.match(/^-- \$\w+ /gm)?.map((line) => line.slice(4).trim());
    expect(said?.toSorted()).toEqual(Object.keys(parameters).toSorted());
  });
});

/** Two runs of which every question has an answer that can be worked out by hand. */
const firstRun: readonly MadeUp[] = [
  { params: { lr: 0.1, seed: 1 }, series: [9, 2], durationMs: 10, dispatchMs: 1, encodeMs: 1 },
  { params: { lr: 0.1, seed: 2 }, series: [4, null], durationMs: 20, encodeMs: 4 },
  { params: { lr: 0.01, seed: 1 }, series: [1], durationMs: 30 },
  { params: { lr: 0.01, seed: 2 }, series: [Number.NaN], durationMs: 40 },
  {
    params: { lr: 1, seed: 1 },
    path: '0-5',
    attempt: 1,
    status: 'retried',
    series: [0],
    error: 'no answer in 10 s',
    durationMs: 5,
  },
  { params: { lr: 1, seed: 1 }, path: '0-5', attempt: 2, series: [6], durationMs: 50 },
  { params: { lr: 1, seed: 2 }, status: 'error', error: 'no answer in 2.5 s', durationMs: 60 },
  { step: 'plot', durationMs: 1 },
];
const secondRun: readonly MadeUp[] = [
  { params: { lr: 0.1, seed: 3 }, series: [8], durationMs: 10, tags: [['mark', null]] },
  { params: { lr: 0.1, seed: 4 }, series: [10], durationMs: 20 },
];

const kinds: Readonly<Record<string, (folder: string) => Store>> = {
  MemoryStore: () => new MemoryStore(),
  JsonStore: (folder) => new JsonStore(folder),
  ParquetStore: (folder) => new ParquetStore(folder),
  DuckDBStore: (folder) => new DuckDBStore(join(folder, 'history.duckdb')),
};

describe.each(Object.entries(kinds))('over a %s', (_name, open) => {
  const folder = join(suiteFolder(), 'history');
  let storage: StorageOver;

  beforeAll(async () => {
    const store = open(folder);
    storage = new StorageOver(store);
    await writeScopes(store, 'first-run', firstRun, { runParams: { depth: 3 }, runTags: [['loss', 5]] });
    await writeScopes(store, 'second-run', secondRun, { runParams: { depth: 4 } });
    return () => storage.close();
  });

  test('best ranks combinations of parameters, and counts what has no value', async () => {
    const ranked = await storage.best('loss', { order: 'lowest', by: ['lr'], runs: 'first-run' });
    const half = (12.7062047362 * Math.SQRT2) / Math.SQRT2; // of 2 and 4: sd √2, of the mean 1
    const common = { flow: 'flow', step: 'train' };
    expect(ranked).toEqual([
      {
        ...common,
        params: '{"lr":0.01}',
        n: 1,
        n_missing: 1,
        mean: 1,
        sd: null,
        ci_low: null,
        ci_high: null,
        lowest: 1,
        highest: 1,
      },
      {
        ...common,
        params: '{"lr":0.1}',
        n: 2,
        n_missing: 0,
        mean: 3,
        sd: expect.closeTo(Math.SQRT2, 12) as number,
        ci_low: expect.closeTo(3 - half, 8) as number,
        ci_high: expect.closeTo(3 + half, 8) as number,
        lowest: 2,
        highest: 4,
      },
      {
        ...common,
        params: '{"lr":1}',
        n: 1,
        n_missing: 1,
        mean: 6,
        sd: null,
        ci_low: null,
        ci_high: null,
        lowest: 6,
        highest: 6,
      },
    ]);
    const highest = await storage.best('loss', { order: 'highest', by: ['lr'], runs: ['second-run', 'first-run'] });
    expect(highest.map(({ params, mean, n }) => [params, mean, n])).toEqual([
      ['{"lr":0.1}', 6, 4],
      ['{"lr":1}', 6, 1],
      ['{"lr":0.01}', 1, 1],
    ]);
    expect((await storage.best('loss', { order: 'lowest' })).length).toBe(8);
    expect(await storage.best('loss', { order: 'lowest', by: [], runs: 'latest' })).toMatchObject([
      { params: '{}', n: 2, mean: 9 },
    ]);
    expect(await storage.best('loss', { order: 'lowest', step: 'plot' })).toEqual([]);
  });

  test('compare tells which parameters differ and which metrics moved', async () => {
    const { params, metrics } = storage.compare(['first-run', 'second-run']);
    expect((await params).map(({ step, param, run, levels, n_scopes: n }) => [step, param, run, levels, n])).toEqual([
      [null, 'depth', 'first-run', '[3]', 0],
      [null, 'depth', 'second-run', '[4]', 0],
      ['train', 'lr', 'first-run', '[0.01,0.1,1]', 6],
      ['train', 'lr', 'second-run', '[0.1]', 2],
      ['train', 'seed', 'first-run', '[1,2]', 6],
      ['train', 'seed', 'second-run', '[3,4]', 2],
    ]);
    const [train, own, ...none] = await metrics;
    expect(none).toEqual([]);
    // 1, 2, 4 and 6 against 8 and 10: variances 59/12 and 2, of the means 59/48 and 1.
    expect(train).toMatchObject({
      step: 'train',
      tag: 'loss',
      run: 'second-run',
      n: 2,
      mean: 9,
      baseline_n: 4,
      baseline_mean: 3.25,
    });
    expect(train?.difference).toBe(5.75);
    expect(train?.relative).toBeCloseTo(5.75 / 3.25, 12);
    const [a, b] = [59 / 48, 1];
    expect(train?.p_value).toBeCloseTo(tails(5.75 / Math.sqrt(a + b), (a + b) ** 2 / (a ** 2 / 3 + b ** 2)), 8);
    expect(train?.is_noise).toBe(false);
    expect(own).toMatchObject({
      step: null,
      n: 0,
      mean: null,
      baseline_n: 1,
      baseline_mean: 5,
      difference: null,
      p_value: null,
      is_noise: null,
    });
  });

  test('series gives every value in order, the gaps and NaN as well', async () => {
    const series = await storage.series('loss', { runs: 'first-run' });
    expect(series.map(({ sid, position, value, step }) => [sid % 2 ** 32, position, value, step])).toEqual([
      [0, 0, 5, null],
      [1, 0, 9, 'train'],
      [1, 1, 2, 'train'],
      [2, 0, 4, 'train'],
      [2, 1, null, 'train'],
      [3, 0, 1, 'train'],
      [4, 0, Number.NaN, 'train'],
      [6, 0, 6, 'train'],
    ]);
    expect(series[1]).toMatchObject({ id: 'flow.train.first-run.0-1', status: 'ok', params: '{"lr":0.1,"seed":1}' });
    expect(series[1]?.started_at).toEqual(new Date(1_750_000_000_001));
    expect(series[0]).toMatchObject({ id: null, status: null, started_at: null, params: null });
  });

  test('importance puts first what explains most', async () => {
    const [lr, seed, ...none] = await storage.importance('loss', { runs: '{first,third}-run' });
    expect(none).toEqual([]);
    // lr 0.01: 1; 0.1: 2 and 4; 1: 6. Around 3.25 that is 12.75 between the levels, and 2 within.
    expect(lr).toMatchObject({ flow: 'flow', step: 'train', param: 'lr', is_numeric: true, n: 4, levels: 3 });
    expect(lr?.variance_explained).toBeCloseTo(12.75 / 14.75, 12);
    expect(lr?.variance_explained_adjusted).toBeCloseTo(1 - 2 / (14.75 / 3), 12);
    expect(lr?.spearman).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12);
    expect(lr?.importance).toBeCloseTo(0.9, 12);
    expect(seed).toMatchObject({ param: 'seed', is_numeric: true, n: 4, levels: 2 });
  });

  test('durations add up what steps and the engine took', async () => {
    const [train, plot] = await storage.durations({ runs: 'first-run' });
    expect(train).toMatchObject({
      step: 'train',
      run: 'first-run',
      n: 6,
      total_ms: 210,
      mean_ms: 35,
      median_ms: 35,
      p95_ms: 57.5,
    });
    expect(train).toMatchObject({ max_ms: 60, n_retried: 1, retried_ms: 5, dispatch_ms: 1, encode_ms: 5 });
    expect(train?.overhead).toBeCloseTo(6 / 31, 12);
    expect(plot).toMatchObject({ step: 'plot', n: 1, total_ms: 1, dispatch_ms: null, encode_ms: null, overhead: null });
  });

  test('errorGroups puts messages together that differ in numbers only', async () => {
    expect(await storage.errorGroups()).toEqual([
      {
        kind: 'no answer in <n> s',
        n: 2,
        n_retried: 1,
        steps: 'train',
        n_runs: 1,
        first_seen: new Date(1_750_000_000_005),
        last_seen: new Date(1_750_000_000_007),
        example_id: 'flow.train.first-run.0-7',
        example_message: 'no answer in 2.5 s',
      },
    ]);
  });

  test('retries counts positions by how their last attempt went', async () => {
    expect(await storage.retries({ step: 'train' })).toEqual([
      {
        flow: 'flow',
        step: 'train',
        n: 8,
        attempts: 9,
        retried: 1,
        recovered: 1,
        failed: 1,
        unfinished: 0,
        attempt_failure_rate: 2 / 9,
        failure_rate: 1 / 8,
        retry_rate: 1 / 8,
        recovery_rate: 1,
      },
    ]);
  });

  test('coverage says of each point of a grid whether it was computed', async () => {
    const covered = await storage.coverage({ lr: [1, 0.1, 5], seed: [2, 1] }, { runs: 'first-run', step: 'train' });
    expect(covered.map(({ params, status, n_ok: ok, n_failed: failed }) => [params, status, ok, failed])).toEqual([
      ['{"lr":1,"seed":2}', 'failed', 0, 1],
      ['{"lr":1,"seed":1}', 'present', 1, 0],
      ['{"lr":0.1,"seed":2}', 'present', 1, 0],
      ['{"lr":0.1,"seed":1}', 'present', 1, 0],
      ['{"lr":5,"seed":2}', 'missing', 0, 0],
      ['{"lr":5,"seed":1}', 'missing', 0, 0],
    ]);
    const observed = await storage.coverage({ seed: 'observed', lr: [0.1] });
    expect(observed.map(({ params }) => params)).toEqual([1, 2, 3, 4].map((seed) => `{"seed":${seed},"lr":0.1}`));
  });

  test('a table of rows, an Arrow table and an exported file are made of the same answer', async () => {
    const query = storage.best('loss', { order: 'lowest' });
    const table = await query.toArrow();
    expect(table.numRows).toBe((await query).length);
    const path = join(temporaryFolder(), 'best.csv');
    expect((await storage.export(path, { query })).rows).toBe(table.numRows);
    expect(readFileSync(path, 'utf8').split('\n')[0]).toContain('flow,step,params,n,n_missing,mean,sd');
  });
});

test('the files run in plain DuckDB after open.sql, with their parameters by name', async () => {
  const folder = join(temporaryFolder(), 'history');
  const store = new ParquetStore(folder);
  await using storage = new StorageOver(store);
  await writeScopes(store, 'first-run', firstRun);
  await writeScopes(store, 'second-run', secondRun);
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  await connection.run(readFileSync(join(folder, 'open.sql'), 'utf8'));
  const plainly = async (name: keyof typeof files, values: object) => {
    const none = Object.keys(files[name][0]).map((parameter) => [parameter, null] as const);
    const given = { ...Object.fromEntries(none), ...values };
    return (await connection.runAndReadAll(analysisSql(name), given)).getRowsJson();
  };
  const both = listValue(['first-run', 'second-run']);
  const rowsOf = {
    best: await plainly('best', { tag: 'loss', best: 'lowest', params: listValue(['lr']) }),
    series: await plainly('series', { tag: 'loss', runs: listValue(['second-run']) }),
    importance: await plainly('importance', { tag: 'loss' }),
    durations: await plainly('durations', {}),
    errors: await plainly('errors', {}),
    retries: await plainly('retries', { step: 'train' }),
    coverage: await plainly('coverage', { grid: '{"lr":[1,2]}' }),
    'compare-params': await plainly('compare-params', { runs: both }),
    'compare-metrics': await plainly('compare-metrics', { runs: both }),
    lineage: await plainly('lineage', { sid: 1n }),
    impact: await plainly('impact', { sid: 1n }),
  } satisfies Record<keyof typeof files, unknown>;
  const best = await storage.best('loss', { order: 'lowest', by: ['lr'] });
  expect(rowsOf.best.map(([, , params, , , mean]) => [params, mean])).toEqual(best.map(({ params, mean }) => [params, mean]));
  expect(Object.values(rowsOf).map(({ length }) => length)).toEqual([3, 2, 2, 3, 1, 1, 2, 4, 1, 0, 0]);
});
