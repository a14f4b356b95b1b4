import { describe, expect, test } from 'vitest';
import { type AnalysisOptions, Flow, type Grid, MarqueError, MemoryStorage, step } from '../src/index.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { deviation, mean, quantileOfT, tails } from './analytics-reference.ts';
import { type MadeUp, type RunParts, StorageOver, writeScopes } from './analytics-store.ts';

/** A storage of runs that are called a, b, c, …. */
async function storageOf(...runs: readonly (readonly MadeUp[])[]): Promise<StorageOver> {
  return await storageWith(...runs.map((scopes) => ({ scopes })));
}

async function storageWith(...runs: readonly (RunParts & { readonly scopes: readonly MadeUp[] })[]): Promise<StorageOver> {
  const store = new MemoryStore();
  for (const [index, { scopes, ...parts }] of runs.entries()) {
    await writeScopes(store, String.fromCharCode(97 + index), scopes, parts);
  }
  return new StorageOver(store);
}

describe('over a storage without any run', () => {
  const questions: Readonly<Record<string, (storage: StorageOver) => PromiseLike<readonly object[]>>> = {
    best: (storage) => storage.best('loss', { order: 'lowest' }),
    series: (storage) => storage.series('loss'),
    importance: (storage) => storage.importance('loss'),
    durations: (storage) => storage.durations(),
    errorGroups: (storage) => storage.errorGroups(),
    retries: (storage) => storage.retries(),
    observed: (storage) => storage.coverage({ lr: 'observed' }),
    latest: (storage) => storage.durations({ runs: 'latest' }),
    glob: (storage) => storage.durations({ runs: '*-otters' }),
  };

  test.each(Object.entries(questions))('%s has no row', async (_name, ask) => {
    await using storage = await storageOf();
    expect(await ask(storage)).toEqual([]);
  });

  test('every point of a grid is missing', async () => {
    await using storage = await storageOf();
    expect(await storage.coverage({ lr: [1] })).toEqual([{ params: '{"lr":1}', status: 'missing', n_ok: 0, n_failed: 0 }]);
  });
});

describe('best', () => {
  test('gives equal means in the order of their parameters, and groups without a value last', async () => {
    await using storage = await storageOf(
      ['c', 'a', 'd', 'b'].map((name, index) => ({ params: { name }, series: index === 1 ? [null] : [7] })),
    );
    for (const order of ['lowest', 'highest'] as const) {
      const ranked = await storage.best('loss', { order });
      expect(ranked.map(({ params, n }) => `${params} ${n}`)).toEqual(
        ['b', 'c', 'd', 'a'].map((name) => `{"name":"${name}"} ${name === 'a' ? 0 : 1}`),
      );
    }
  });

  test('has an interval of no width where nothing varies', async () => {
    await using storage = await storageOf([{ series: [0.5] }, { series: [0.5] }, { series: [0.5] }]);
    expect(await storage.best('loss', { order: 'lowest' })).toMatchObject([
      { n: 3, mean: 0.5, sd: 0, ci_low: 0.5, ci_high: 0.5 },
    ]);
  });

  // How DuckDB divides the work decides what is rounded: of these means without care hundreds are not the constant, one time in two.
  test('has means that are within the values, whatever rounding does', async () => {
    const constants = Array.from({ length: 999 }, (_, index) => (index + 1) / 1000);
    const scopes = constants.map((constant): MadeUp => ({ params: { constant }, series: [constant] }));
    await using storage = await storageOf(Array.from({ length: 10 }, () => scopes).flat());
    for (let time = 0; time < 8; time++) {
      const ranked = await storage.best('loss', { order: 'lowest' });
      expect(ranked.map(({ params }) => JSON.parse(params) as object)).toEqual(constants.map((constant) => ({ constant })));
      const apart = ranked.filter(
        ({ mean: m, sd, ci_low: low, ci_high: high, lowest }) => sd !== 0 || [m, low, high].some((x) => x !== lowest),
      );
      expect(apart).toEqual([]);
    }
  });

  test('knows no deviation where its square is too small for a DOUBLE', async () => {
    await using storage = await storageOf([{ series: [1e-170] }, { series: [3e-170] }]);
    const [row] = await storage.best('loss', { order: 'lowest' });
    expect(row).toMatchObject({ n: 2, sd: null, ci_low: null, ci_high: null, lowest: 1e-170, highest: 3e-170 });
    expect((row?.mean as number) / 2e-170).toBeCloseTo(1, 12);
  });

  test('counts a scope that was skipped among those without a value', async () => {
    await using storage = await storageOf([{ series: [1] }, { status: 'skipped' }]);
    expect(await storage.best('loss', { order: 'lowest' })).toMatchObject([{ n: 1, n_missing: 1 }]);
  });

  test('leaves out and counts what no mean survives', async () => {
    const lost = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e200, -1e308, null];
    await using storage = await storageOf([{ series: [1] }, {}, ...lost.map((value) => ({ series: [value] }))]);
    expect(await storage.best('loss', { order: 'lowest' })).toMatchObject([{ n: 1, n_missing: 7, mean: 1, highest: 1 }]);
  });

  test('takes a number for the last of a series though the tag went on without one, but not what was before NaN', async () => {
    await using storage = await storageOf([{ series: [3, 5, null] }, { series: [3, Number.NaN] }]);
    expect(await storage.best('loss', { order: 'lowest' })).toMatchObject([{ n: 1, n_missing: 1, mean: 5 }]);
  });

  test('has intervals that are exact to 7 digits for every number of scopes', async () => {
    const sizes = [2, 3, 4, 5, 7, 10, 20, 30, 31, 32, 33, 40, 60, 100];
    const values = (size: number) => Array.from({ length: size }, (_, index) => (index * 7919) % 101);
    await using storage = await storageOf(
      sizes.flatMap((size) => values(size).map((value) => ({ params: { size }, series: [value] }))),
    );
    const ranked = await storage.best('loss', { order: 'lowest' });
    expect(ranked.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(sizes);
    for (const { n, mean: centre, ci_low: low, ci_high: high } of ranked) {
      const half = (quantileOfT(n - 1) * (deviation(values(n)) as number)) / Math.sqrt(n);
      expect(
        [centre, low, high].map((found) => (found as number) / half),
        `${n} scopes`,
      ).toEqual([
        expect.closeTo(mean(values(n)) / half, 7),
        expect.closeTo(mean(values(n)) / half - 1, 7),
        expect.closeTo(mean(values(n)) / half + 1, 7),
      ]);
    }
  });
});

describe('compare', () => {
  const of = (values: readonly number[]): MadeUp[] => values.map((value) => ({ series: [value] }));

  test.each([
    ['equal, and nothing varies', [2, 2], [2, 2], 1, true],
    ['different, and nothing varies', [2, 2], [3, 3], 0, false],
    ['one value in one of them', [2], [3, 4], null, null],
    ['equal means', [1, 3], [0, 4], 1, true],
    ['different, by less than a DOUBLE holds squared', [1e-170, 2e-170], [3e-170, 4e-170], null, null],
    ['one that varies by less than that, one that does not', [1e-170, 2e-170], [1, 1], null, null],
  ])('tells noise where runs are %s', async (_case, first, second, p, isNoise) => {
    await using storage = await storageOf(of(first), of(second));
    const [row] = await storage.compare(['a', 'b']).metrics;
    expect(row?.p_value).toEqual(p === null ? null : expect.closeTo(p, 9));
    expect(row?.is_noise).toBe(isNoise);
  });

  test('does not take runs for different that have the same constants, but not as often', async () => {
    const tags = Array.from({ length: 999 }, (_, index) => [`m${index}`, (index + 1) / 1000] as const);
    const times = (count: number): MadeUp[] => Array.from({ length: count }, () => ({ tags }));
    await using storage = await storageOf(times(10), times(100));
    for (let time = 0; time < 4; time++) {
      const metrics = await storage.compare(['a', 'b']).metrics;
      expect(metrics.length).toBe(999);
      const moved = metrics.filter(
        ({ sd, baseline_sd: base, difference, p_value: p }) => sd !== 0 || base !== 0 || difference !== 0 || p !== 1,
      );
      expect(moved).toEqual([]);
    }
  });

  test('has probabilities that are exact to 8 digits, whatever the sizes and variances', async () => {
    const sizes = [2, 3, 5, 30, 400];
    const shifts = [0, 0.01, 0.5, 3, 40];
    for (const size of sizes) {
      const base = Array.from({ length: size }, (_, index) => ((index * 7919) % 13) / 13);
      const others = sizes.flatMap((other) =>
        shifts.map((shift) => Array.from({ length: other }, (_, index) => shift + (((index * 104_729) % 17) / 17) * other)),
      );
      const tags = (values: readonly number[], name: string) => values.map((value): MadeUp => ({ tags: [[name, value]] }));
      await using storage = await storageOf(
        others.flatMap((_, index) => tags(base, `m${index}`)),
        others.flatMap((values, index) => tags(values, `m${index}`)),
      );
      for (const row of await storage.compare(['a', 'b']).metrics) {
        const other = others[Number(row.tag.slice(1))] as number[];
        const [a, b] = [base, other].map((list) => (deviation(list) as number) ** 2 / list.length) as [number, number];
        const freedom = (a + b) ** 2 / (a ** 2 / (base.length - 1) + b ** 2 / (other.length - 1));
        const expected = tails(Math.abs(mean(other) - mean(base)) / Math.sqrt(a + b), freedom);
        expect(Math.abs((row.p_value as number) - expected), `${base.length} and ${other.length}, p = ${expected}`).toBeLessThan(
          1e-8,
        );
      }
    }
  });

  test('compares each of several runs with the first, also of tags and parameters that only some have', async () => {
    await using storage = await storageWith(
      { scopes: [{ params: { x: 1 }, tags: [['old', 1]] }], runTags: [['score', 2]], runParams: { model: 'a', same: 1 } },
      { scopes: [{ params: { x: 1, y: [2] }, tags: [['new', 1]] }], runTags: [['score', 3]], runParams: { model: 'b', same: 1 } },
      { scopes: [{ params: { x: 1 }, tags: [['old', 5]] }], runTags: [['score', 2]], runParams: { same: 1 } },
    );
    const { params, metrics } = storage.compare(['a', 'b', 'c']);
    expect((await params).map(({ step: of, param, run, levels, n_levels: n }) => [of, param, run, levels, n])).toEqual([
      [null, 'model', 'a', '["a"]', 1],
      [null, 'model', 'b', '["b"]', 1],
      [null, 'model', 'c', '[]', 0],
      ['train', 'y', 'a', '[]', 0],
      ['train', 'y', 'b', '[[2]]', 1],
      ['train', 'y', 'c', '[]', 0],
    ]);
    expect((await metrics).map(({ step: of, tag, run, difference, relative }) => [of, tag, run, difference, relative])).toEqual([
      ['train', 'old', 'c', 4, 4],
      [null, 'score', 'b', 1, 0.5],
      [null, 'score', 'c', 0, 0],
      ['train', 'new', 'b', null, null],
      ['train', 'old', 'b', null, null],
    ]);
    expect(await storage.compare(['a', 'b'], { step: 'test' }).metrics).toEqual([]);
  });

  test('shows of many values the first 20', async () => {
    await using storage = await storageOf(
      Array.from({ length: 30 }, (_, index) => ({ params: { x: 29 - index } })),
      [{ params: { x: 1 } }],
    );
    const [row] = await storage.compare(['a', 'b']).params;
    expect([row?.levels, row?.n_levels]).toEqual([JSON.stringify(Array.from({ length: 20 }, (_, index) => index)), 30]);
  });
});

describe('importance', () => {
  test('knows no correlation and no share where nothing varies, and none of texts', async () => {
    const same = await storageOf([1, 2, 3].map((lr) => ({ params: { lr, kind: `k${lr}` }, series: [5] })));
    for (const row of await same.importance('loss')) {
      expect(row).toMatchObject({ n: 3, levels: 3, pearson: null, spearman: null, variance_explained: null, importance: null });
    }
    await same.close();
    await using one = await storageOf([{ params: { lr: 1 }, series: [5] }]);
    expect(await one.importance('loss')).toMatchObject([
      { n: 1, levels: 1, is_numeric: true, pearson: null, variance_explained: null },
    ]);
  });

  test('explains nothing of a value that is always the same, of which the mean is not exact', async () => {
    await using storage = await storageOf(
      Array.from({ length: 70 }, (_, index) => ({ params: { x: index % 3, kind: `k${index % 7}` }, series: [0.1] })),
    );
    for (const row of await storage.importance('loss')) {
      expect(row).toMatchObject({ n: 70, variance_explained: null, variance_explained_adjusted: null, importance: null });
    }
  });

  test('does not take a parameter for important that has another value for each scope', async () => {
    await using storage = await storageOf(
      [5, 1, 4, 1, 5, 9].map((value, index) => ({ params: { id: `scope ${index}`, half: index < 3 }, series: [value] })),
    );
    const [half, id] = await storage.importance('loss');
    expect(half).toMatchObject({ param: 'half', is_numeric: false, levels: 2 });
    expect(id).toMatchObject({ param: 'id', variance_explained: 1, variance_explained_adjusted: null, importance: null });
  });

  test('sees what only rises by ranks, whatever its shape', async () => {
    await using storage = await storageOf([1, 2, 3, 4].map((x) => ({ params: { x }, series: [Math.exp(x * x)] })));
    const [row] = await storage.importance('loss');
    expect(row?.spearman).toBeCloseTo(1, 12);
    expect(row?.pearson).toBeLessThan(0.8);
  });

  test('takes a number that is infinite for a number, and reckons without it', async () => {
    const levels = [1, 2, 3, Number.NaN, Number.POSITIVE_INFINITY];
    const texts = levels.map((level) => (Number.isFinite(level) ? level : String(level)));
    await using storage = await storageOf(texts.map((x, index) => ({ params: { x }, series: [index] })));
    expect(await storage.importance('loss')).toMatchObject([{ is_numeric: true, n: 5, levels: 5, pearson: 1, spearman: 1 }]);
  });
});

describe('errorGroups', () => {
  test.each([
    [`cannot read property 'foo' of undefined`, `cannot read property '…' of undefined`],
    [`the artifact "model 7" isn't there, but "x's" is`, `the artifact '…' isn't there, but '…' is`],
    [`it's too late, it isn't here`, `it's too late, it isn't here`],
    ['no such file: /home/ann/run-7/model.bin', 'no such file: <path>'],
    ['no such file: ./data/x.csv, nor C:\\temp\\x.csv', 'no such file: <path>, nor <path>'],
    ['https://example.com/a/1 gave 503', '<path> gave <n>'],
    ['or/and are words', 'or/and are words'],
    ['at 0xDEADbeef in 550e8400-e29b-41d4-a716-446655440000', 'at <hex> in <hex>'],
    ['commit da39a3ee5e6b4b0d is not decade', 'commit <hex> is not decade'],
    ['loss -1.5e-7 after 1,000 steps of run2', 'loss <n> after <n> steps of run<n>'],
    ['first line 1\nsecond line', 'first line <n>'],
    ['first line 1\r\nsecond line', 'first line <n>'],
    ['\n \t first line 1 \nsecond line', 'first line <n>'],
    [' \r\n', ''],
    ['', ''],
  ])('takes %j for %j', async (error, kind) => {
    await using storage = await storageOf([{ status: 'error', error }]);
    const [group] = await storage.errorGroups();
    expect(group).toMatchObject({ kind, n: 1, example_message: error });
  });

  test('puts the most frequent first, with the steps and runs that it happened in', async () => {
    const failing = (at: string, error: string): MadeUp => ({ step: at, status: 'error', error });
    await using storage = await storageOf([failing('b', 'x 1'), failing('a', 'y')], [failing('a', 'x 2'), failing('a', 'x 3')]);
    expect((await storage.errorGroups()).map(({ kind, n, steps, n_runs: runs }) => [kind, n, steps, runs])).toEqual([
      ['x <n>', 3, 'a, b', 2],
      ['y', 1, 'a', 1],
    ]);
    expect((await storage.errorGroups({ runs: 'b' })).map(({ n, example_id: id }) => [n, id])).toEqual([[2, 'flow.a.b.0-2']]);
  });
});

test('retries tells a position that was to be tried again from one that failed', async () => {
  await using storage = await storageOf([
    { path: '0-0', status: 'retried' },
    { path: '0-1', status: 'retried' },
    { path: '0-1', attempt: 2, status: 'error' },
    { path: '0-2' },
    { path: '0-3', status: 'skipped' },
  ]);
  expect(await storage.retries()).toMatchObject([
    { n: 3, attempts: 4, retried: 1, recovered: 0, failed: 1, unfinished: 1, attempt_failure_rate: 0.75, recovery_rate: 0 },
  ]);
});

test('durations and coverage leave out what was skipped', async () => {
  await using storage = await storageOf([
    { params: { lr: 1 }, durationMs: 10 },
    { params: { lr: 1 }, status: 'skipped', durationMs: 90 },
    { params: { lr: 2 }, status: 'skipped' },
    { step: 'plot', params: { lr: 1 }, status: 'skipped' },
  ]);
  expect(await storage.durations()).toMatchObject([{ step: 'train', n: 1, total_ms: 10, max_ms: 10, n_retried: 0 }]);
  expect(await storage.coverage({ lr: [1, 2] })).toEqual([
    { params: '{"lr":1}', status: 'present', n_ok: 1, n_failed: 0 },
    { params: '{"lr":2}', status: 'missing', n_ok: 0, n_failed: 0 },
  ]);
  expect(await storage.coverage({ lr: 'observed' })).toEqual([{ params: '{"lr":1}', status: 'present', n_ok: 1, n_failed: 0 }]);
});

describe('coverage', () => {
  // What looks at each value for each value takes longer than a test may.
  test('takes long lists of values, in their order', async () => {
    await using storage = await storageOf([{ params: { x: 7 } }, { params: { x: 'x8' } }]);
    const x = Array.from({ length: 60_000 }, (_, index) => {
      const place = (index * 7919) % 60_000;
      return place % 2 === 0 ? `x${place}` : place;
    });
    const covered = await storage.coverage({ x });
    expect(covered.map(({ params }) => params)).toEqual(x.map((value) => JSON.stringify({ x: value })));
    const present = covered.filter(({ status }) => status === 'present');
    expect(present.map(({ params }) => params).toSorted()).toEqual(['{"x":"x8"}', '{"x":7}']);
    expect(() => storage.coverage({ x: Array.from({ length: 200_000 }, (_, index) => index) })).not.toThrow();
  });

  test('counts observed values among the points of which there may be a million', async () => {
    const scopes = Array.from({ length: 101 }, (_, index) => ({ params: { a: index, 'b/~': `b${index}`, c: [index] } }));
    await using storage = await storageOf(scopes, scopes.slice(0, 3));
    const given = Array.from({ length: 101 }, (_, index) => index);
    const refused = { code: 'OPTION_INVALID', message: expect.stringContaining('1030301 points') as string };
    for (const grid of [
      { a: 'observed', 'b/~': 'observed', c: 'observed' },
      { a: 'observed', 'b/~': given, c: 'observed' },
    ] as const) {
      await expect(Promise.resolve(storage.coverage(grid))).rejects.toMatchObject(refused);
    }
    const few = await storage.coverage({ a: 'observed', 'b/~': 'observed', c: 'observed' }, { runs: 'b' });
    expect(few.length).toBe(27);
    expect(await storage.coverage({ a: 'observed', other: 'observed' })).toEqual([]);
  });
});

test('a question sees what a running flow has not flushed yet', async () => {
  await using storage = new MemoryStorage({ flush: { ms: Number.POSITIVE_INFINITY } });
  let seen: unknown;
  const train = step('train', (flow) => flow.tag('loss', 2));
  const look = step('look', async () => void (seen = await storage.best('loss', { order: 'lowest', step: train })));
  await new Flow('unflushed', storage, { logLevel: 'silent' }).failFast().push(train, { lr: 1 }).push(look).execute();
  expect(seen).toMatchObject([{ flow: 'unflushed', step: 'train', params: '{"lr":1}', n: 1, mean: 2 }]);
});

describe('what cannot be meant is refused', () => {
  const storage = new MemoryStorage();
  const ask = (grid: unknown) => () => storage.coverage(grid as Grid);
  const choose = (options: object | null) => () => storage.durations(options as AnalysisOptions);

  test.each<[string, () => unknown, string]>([
    ['no order', () => storage.best('loss', {} as never), "'lowest' or 'highest'"],
    ['no tag', () => storage.series(7 as never), 'tag is 7'],
    ['a name twice', () => storage.best('loss', { order: 'lowest', by: ['lr', 'lr'] }), 'each once'],
    ['no grid', ask(null), 'grid is null'],
    ['an empty grid', ask({}), 'grid is {}'],
    ['a parameter without values', ask({ lr: [] }), 'grid.lr'],
    ['NaN in a grid', ask({ lr: [1, Number.NaN] }), 'grid.lr is NaN'],
    [
      'a value twice in a grid',
      ask({
        lr: [
          { a: 1, b: 2 },
          { b: 2, a: 1 },
        ],
      }),
      '{"a":1,"b":2} is there twice',
    ],
    [
      'a million points and more',
      ask(Object.fromEntries(['a', 'b', 'c'].map((name) => [name, Array.from({ length: 101 }, (_, i) => i)]))),
      '1030301 points',
    ],
    ['more than a million values', ask({ lr: Array.from({ length: 2_000_000 }) }), '2000000 points'],
    ['no options', choose(null), 'options is null'],
    ['options that are a list', choose([]), 'options is []'],
    ['no order at all', () => storage.best('loss', undefined as never), 'options is undefined: give an object'],
    ['null for the order', () => storage.best('loss', null as never), 'options is null'],
    ['no options of a comparison', () => storage.compare(['a', 'b'], null as never), 'options is null'],
    ['no options of a table', () => storage.wide(null as never), 'options is null'],
    ['a slip', choose({ setp: 'x' }), 'there is no option "setp". There are "flow", "step" and "runs".'],
    ['a slip in best', () => storage.best('loss', { order: 'lowest', bye: [] } as never), 'Did you mean "by"?'],
    ['a slip in wide', () => storage.wide({ tag: ['loss'] } as never), 'Did you mean "tags"?'],
    ['a slip in a comparison', () => storage.compare(['a', 'b'], { runs: 'all' } as never), 'no option "runs"'],
    ...(['series', 'importance', 'coverage', 'durations', 'errorGroups', 'retries'] as const).map(
      (name): [string, () => unknown, string] => [
        `an option that ${name} does not have`,
        () => {
          const options = { order: 'lowest' } as never;
          if (name === 'series' || name === 'importance') return storage[name]('loss', options);
          return name === 'coverage' ? storage.coverage({ lr: [1] }, options) : storage[name](options);
        },
        'no option "order"',
      ],
    ),
    ['a flow that is no name', choose({ flow: 1 }), 'flow is 1'],
    ['an empty list of runs', choose({ runs: [] }), 'runs is []'],
    ['a run twice', choose({ runs: ['a', 'a'] }), 'each run once'],
    ['one run to compare', () => storage.compare(['a']), 'at least two'],
  ])('%s', (_what, call, says) => {
    expect(call).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(says) as string }));
  });

  test('a function in a grid', () => {
    expect(ask({ lr: [() => 1] })).toThrow(MarqueError);
  });

  test('a run that is not there, when the question is asked, with those that are near', async () => {
    await using some = await storageOf([{ series: [1] }], [{ series: [1] }]);
    for (const query of [
      some.durations({ runs: ['a', 'bx'] }),
      some.durations({ runs: 'bx' }),
      some.compare(['a', 'bx']).metrics,
    ]) {
      await expect(Promise.resolve(query)).rejects.toMatchObject({
        code: 'RUN_UNKNOWN',
        message: expect.stringContaining('there is no run "bx".') as string,
      });
    }
  });
});
