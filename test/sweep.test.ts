import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MemoryStorage, ParquetStorage, Random, type Flow } from 'marque';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Classifier, type Model } from '../examples/sweep/classifier.ts';
import { accuracyOf, confusionOf, macroF1Of, totalOf, type Confusion } from '../examples/sweep/confusion.ts';
import { drawFolds } from '../examples/sweep/folds.ts';
import { Grid } from '../examples/sweep/grid.ts';
import type { Hyperparameters } from '../examples/sweep/hyperparameters.ts';
import { flowers } from '../examples/sweep/iris.ts';
import { formatLeaderboard, leaderboard, type Standing } from '../examples/sweep/leaderboard.ts';
import { nextLines } from '../examples/sweep/next-lines.ts';
import { evaluate, refine, report, split } from '../examples/sweep/steps.ts';
import { sweep, type SweepOptions } from '../examples/sweep/sweep.ts';

describe('the pieces of the sweep', () => {
  test('folds hold equally many flowers of each species, differ by seed, and repeat with it', () => {
    const folds = drawFolds(flowers, 5, new Random(1));
    for (let fold = 0; fold < 5; fold++) {
      for (let species = 0; species < 3; species++) {
        const both = flowers.filter((flower, row) => flower.species === species && folds[row] === fold);
        expect(both).toHaveLength(10);
      }
    }
    expect(drawFolds(flowers, 5, new Random(1))).toEqual(folds);
    expect(drawFolds(flowers, 5, new Random(2))).not.toEqual(folds);
  });

  test('folds of species that do not divide evenly differ by one flower at most', () => {
    const folds = drawFolds(flowers.slice(0, 53), 4, new Random(1));
    const sizes = [0, 1, 2, 3].map((fold) => folds.filter((one) => one === fold).length);
    expect(sizes.toSorted((a, b) => a - b)).toEqual([13, 13, 13, 14]);
  });

  test.each<[name: string, counts: [number, number, number, number], accuracy: number, macroF1: number]>([
    ['all right', [5, 0, 0, 5], 1, 1],
    ['all wrong', [0, 5, 5, 0], 0, 0],
    ['one species never predicted', [6, 0, 2, 0], 0.75, (12 / 14 + 0) / 2],
    ['one species neither there nor predicted', [4, 0, 0, 0], 1, (1 + 0) / 2],
    ['one wrong each way', [3, 1, 1, 5], 0.8, (6 / 8 + 10 / 12) / 2],
  ])('accuracy and macro F1: %s', (_, [a, b, c, d], accuracy, macroF1) => {
    const confusion = [
      [a, b],
      [c, d],
    ];
    expect(accuracyOf(confusion)).toBeCloseTo(accuracy, 12);
    expect(macroF1Of(confusion)).toBeCloseTo(macroF1, 12);
  });

  test('confusion counts pairs of actual and predicted, and adds up', () => {
    const one = confusionOf([1, 1, 0].entries(), 3);
    expect(one.flat()).toEqual([0, 1, 0, 0, 1, 0, 1, 0, 0]);
    expect(totalOf([one, one]).flat()).toEqual([0, 2, 0, 0, 2, 0, 2, 0, 0]);
  });

  test('the coarse grid has at least 1,000 evaluations on five splits, all different', () => {
    const { cells } = Grid.coarse();
    expect(cells.length * 5).toBeGreaterThanOrEqual(1_000);
    expect(new Set(cells.map((cell) => JSON.stringify(cell))).size).toBe(cells.length);
  });

  test.each([
    [7, 3 * 25],
    [1, 2 * 25],
  ])('the finer grid around %i neighbours has %i cells, none of them without neighbours', (neighbours, count) => {
    const { cells } = Grid.around({ neighbours, petals: 2, widths: 0.5 });
    expect(cells).toHaveLength(count);
    expect(cells).toContainEqual({ neighbours, petals: 2, widths: 0.5 });
    expect(Math.min(...cells.map((cell) => cell.neighbours))).toBe(Math.max(1, neighbours - 1));
  });

  test('a grid without another keeps the order of what is left', () => {
    const [first, second, third] = Grid.coarse().cells as [Hyperparameters, Hyperparameters, Hyperparameters];
    expect(new Grid([third, first, second]).without(new Grid([{ ...first }])).cells).toEqual([third, second]);
  });

  test('a classifier ignores the unit of measurement', () => {
    const inches = flowers.map((flower) => ({ ...flower, measures: flower.measures.map((measure) => measure / 2.54) }));
    const cell = { neighbours: 5, petals: 2, widths: 1 };
    expect(Classifier.fit(inches, cell).predict(inches)).toEqual(Classifier.fit(flowers, cell).predict(flowers));
  });
});

// Five and six neighbours are next to each other: the finer grid around one meets the other.
const small = Grid.of({ neighbours: [5, 6], petals: [0.5, 2], widths: [0.5, 1] });
const shuffled = new Grid(new Random(7).shuffle(small.cells));

async function execute(options: SweepOptions): Promise<Flow> {
  const flow = sweep(new MemoryStorage(), { splits: 2, grid: small, logLevel: 'silent', ...options });
  await flow.execute();
  return flow;
}

/** What every evaluation measured, by split and hyperparameters: in an order that owes nothing to how the run went. */
async function measured(flow: Flow): Promise<unknown[]> {
  return await flow.sql`
    SELECT splits.path AS split, scopes.params, list({ content: tags.content, value: tags.value } ORDER BY tags.seq) AS measured
    FROM scopes JOIN scopes AS splits ON splits.sid = scopes.ref_sid JOIN tags ON tags.sid = scopes.sid
    WHERE scopes.step = 'evaluate'
    GROUP BY splits.path, scopes.params
    ORDER BY splits.path, scopes.params`;
}

describe('the sweep', () => {
  test('evaluates every cell on every split, then a finer grid, then reports, without an error', async () => {
    const flow = await execute({});
    expect(await flow.errors).toEqual([]);
    expect(flow.state).toBe('finished');
    const refined = await flow.search(refine).first();
    const finer = refined?.tags[0]?.value ?? 0;
    expect(finer).toBeGreaterThan(2 * 25 - small.cells.length);
    const scopes = await flow.scopes;
    const counts = [split, evaluate, refine, report].map(({ name }) => scopes.filter((scope) => scope.step === name).length);
    expect(counts).toEqual([2, 2 * small.cells.length + 2 * finer, 1, 1]);
    const tried = scopes
      .filter((scope) => scope.step === 'evaluate')
      .map((scope) => `${scope.refSid} ${JSON.stringify(scope.params)}`);
    expect(new Set(tried).size).toBe(tried.length); // no cell twice on one split
  });

  test('every evaluation has five accuracies, their mean, an F1, and artifacts that agree with them', async () => {
    const flow = await execute({ grid: Grid.of({ neighbours: [5], petals: [0.5, 2], widths: [1] }), splits: 1 });
    for await (const scope of flow.search(evaluate)) {
      const accuracies = scope.tags.filter((tag) => tag.content === 'accuracy').map((tag) => tag.value ?? Number.NaN);
      const valueOf = (content: string) => scope.tags.find((tag) => tag.content === content)?.value;
      const confusion = scope.recall<Confusion>('confusion');
      expect(accuracies).toHaveLength(5);
      expect(valueOf('mean accuracy')).toBeCloseTo(accuracies.reduce((sum, value) => sum + value) / 5, 12); // folds of one size
      expect(valueOf('mean accuracy')).toBe(accuracyOf(confusion));
      expect(valueOf('macro F1')).toBe(macroF1Of(confusion));
      expect(confusion.map((row) => row.reduce((sum, count) => sum + count))).toEqual([50, 50, 50]);
    }
  });

  test('the model that an evaluation kept predicts like one fitted anew', async () => {
    const flow = await execute({ splits: 1 });
    const best = await flow.search(evaluate).first();
    const restored = Classifier.restore(best?.recall<Model>('model') as Model);
    const anew = Classifier.fit(flowers, best?.params as unknown as Hyperparameters);
    expect(restored.predict(flowers)).toEqual(anew.predict(flowers));
    const right = restored.predict(flowers).filter((species, row) => species === flowers[row]?.species);
    expect(right.length / flowers.length).toBeGreaterThan(0.9);
  });

  test('results depend on the seed, not on concurrency or on the order of the grid', async () => {
    const plain = await execute({});
    const expected = await measured(plain);
    const standings = await leaderboard(plain, plain.run, 100);
    for (const options of [{ concurrency: 8 }, { grid: shuffled }, { concurrency: 8, grid: shuffled }]) {
      const other = await execute(options);
      expect(await measured(other)).toEqual(expected);
      expect(await leaderboard(other, other.run, 100)).toEqual(standings);
    }
    expect(await measured(await execute({ seed: 43 }))).not.toEqual(expected);
  });

  test('the report is the leaderboard: best first, the best above 0.9, n the number of splits', async () => {
    const flow = await execute({});
    const scope = await flow.search(report).first();
    const standings = scope?.recall<Standing[]>('report') ?? [];
    expect(standings).toEqual(await leaderboard(flow, flow.run, 10));
    expect(standings.map((standing) => standing.mean)).toEqual(
      standings.map((standing) => standing.mean).toSorted((a, b) => b - a),
    );
    expect(standings[0]?.mean).toBeGreaterThan(0.9);
    expect(standings.every((standing) => standing.n === 2)).toBe(true);
    expect(scope?.tags[0]).toEqual({ content: 'best mean accuracy', value: standings[0]?.mean });
    expect(scope?.logs.map((log) => log.message)).toEqual([formatLeaderboard(standings)]);
  });

  test('a second run in the same storage stands beside the first', async () => {
    const storage = new MemoryStorage();
    const options = { grid: Grid.of({ neighbours: [5], petals: [2], widths: [1] }), splits: 1, logLevel: 'silent' } as const;
    const [first, second] = [sweep(storage, options), sweep(storage, options)];
    await first.execute();
    await second.execute();
    expect(await leaderboard(storage, first.run, 100)).toEqual(await leaderboard(storage, second.run, 100));
    expect(await storage.search(split, { runs: 'all' }).count()).toBe(2);
  });
});

test('the lines that the sweep says to type next work', async () => {
  const parent = await mkdtemp(path.join(tmpdir(), "a sweep's "));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  const folder = path.join(parent, 'history');
  await using storage = new ParquetStorage(folder);
  const flow = sweep(storage, { grid: Grid.of({ neighbours: [5], petals: [2], widths: [1] }), splits: 1, logLevel: 'silent' });
  await flow.execute();
  const [best] = await leaderboard(storage, flow.run, 1);
  const cli = `"${process.execPath}" --import tsx src/cli.ts`;
  const outputs = [];
  for (const line of nextLines(folder)) {
    const shell = ['-c', line.replace('npx marque', cli)];
    const { stdout } = await promisify(execFile)('sh', shell, { cwd: fileURLToPath(new URL('..', import.meta.url)) });
    outputs.push(stdout);
  }
  const [runs, search, sql] = outputs;
  expect(runs).toMatch(new RegExp(`${flow.run}.*iris.*finished`));
  expect(search?.match(new RegExp(`^iris\\.evaluate\\.${flow.run}\\..* ok `, 'gm'))).toHaveLength(5);
  expect(sql).toContain(flow.run);
  expect(sql).toContain(`${best?.mean}`.slice(0, 5));
});
