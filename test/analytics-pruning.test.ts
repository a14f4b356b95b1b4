import { beforeAll, describe, expect, test } from 'vitest';
import { Flow, ParquetStorage, Random, step, type SqlQuery } from '../src/index.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import type { AnalysisOptions } from '../src/analytics.ts';
import { randomScopes, StorageOver, writeScopes } from './analytics-store.ts';
import { suiteFolder, temporaryFolder } from './folders.ts';
import { isLarge } from './size.ts';

/** Every question that can be about some runs, flows and steps only. */
const questions: Readonly<Record<string, (storage: StorageOver | ParquetStorage, about: AnalysisOptions) => SqlQuery<object>>> = {
  best: (storage, about) => storage.best('loss', { order: 'lowest', by: ['lr'], ...about }),
  series: (storage, about) => storage.series('loss', about),
  importance: (storage, about) => storage.importance('loss', about),
  durations: (storage, about) => storage.durations(about),
  errorGroups: (storage, about) => storage.errorGroups(about),
  retries: (storage, about) => storage.retries(about),
  coverage: (storage, about) => storage.coverage({ lr: 'observed', same: ['x', 'y'] }, about),
  wide: (storage, about) => storage.wide(about),
  'wide of some columns': (storage, about) => storage.wide({ tags: ['loss', 'mark'], params: ['lr'], ...about }),
};

/** Rows without what depends on the order in which numbers were added up. */
function plain(rows: readonly object[]): readonly string[] {
  const rounded = (_key: string, value: unknown) =>
    typeof value === 'number' ? (Math.abs(value) < 1e-12 ? 0 : value).toPrecision(9) : value;
  return rows.map((row) => JSON.stringify(row, rounded)).toSorted();
}

describe('of one run in six', () => {
  const folder = suiteFolder();
  let storage: StorageOver;

  beforeAll(async () => {
    const store = new ParquetStore(folder);
    for (let run = 1; run <= 6; run++) {
      const made = randomScopes(run, 30).map((scope) => ({ ...scope, step: run % 2 === 0 ? 'even' : 'odd' }));
      await writeScopes(store, `run-${run}`, made, { flow: run <= 4 ? 'early' : 'late' });
    }
    storage = new StorageOver(store);
    return () => storage.close();
  });

  /** How many segments with rows of scopes or tags a question reads, at most. */
  async function segmentsOf(question: SqlQuery<object>): Promise<number> {
    const { tables } = await question.explain();
    const counts = tables.flatMap(({ table, segments }) =>
      table === 'scopes' || table === 'tags' ? [segments?.read.length ?? Number.NaN] : [],
    );
    expect(counts).not.toEqual([]);
    return Math.max(...counts);
  }

  const parts: readonly (readonly [string, AnalysisOptions, number])[] = [
    ['a run', { runs: 'run-3' }, 1],
    ['the latest run', { runs: 'latest' }, 1],
    ['the latest run of a flow', { runs: 'latest', flow: 'early' }, 1],
    ['several runs', { runs: ['run-5', 'run-2'] }, 2],
    ['the runs that a glob names', { runs: 'run-[1-3]' }, 3],
    ['no run', { runs: 'x*' }, 0],
    ['a flow', { flow: 'late' }, 2],
    ['a step', { step: 'even' }, 3],
    ['a step of a flow', { flow: 'late', step: 'odd' }, 1],
  ];

  test.each(Object.entries(questions))('%s opens no segment in vain', async (_name, ask) => {
    for (const [what, about, segments] of parts) expect([what, await segmentsOf(ask(storage, about))]).toEqual([what, segments]);
  });

  test('a comparison opens those of the runs that it compares', async () => {
    const { params, metrics } = storage.compare(['run-2', 'run-4'], { step: 'even' });
    for (const query of [params, metrics]) expect(await segmentsOf(query as SqlQuery<object>)).toBe(2);
  });

  test('a run is found without a look at what happened to others', async () => {
    const { tables } = await storage.compare(['run-2', 'run-4']).params.explain();
    expect(tables.find(({ table }) => table === 'runs')?.segments?.read).toHaveLength(2);
  });
});

describe.each(Array.from({ length: isLarge ? 30 : 2 }, (_, index) => index + 1))('a history of seed %i', (seed) => {
  const folder = suiteFolder();
  let storage: StorageOver;
  let oracle: StorageOver;

  /** The same runs in memory, where nothing is left out, and as segments, of which some hold several runs. */
  beforeAll(async () => {
    const [memory, parquet] = [new MemoryStore(), new ParquetStore(folder)];
    for (let run = 1; run <= 5; run++) {
      const made = randomScopes(seed * 10 + run, 25);
      const parts = { flow: run % 2 === 0 ? 'even' : 'odd', runTags: [['loss', run]] as const };
      for (const store of [memory, parquet]) await writeScopes(store, `run-${run}`, made, parts);
      if (run === 3) {
        const compacting = new ParquetStorage(folder);
        await compacting.compact();
        await compacting.close();
      }
    }
    [storage, oracle] = [new StorageOver(parquet), new StorageOver(memory)];
    return async () => {
      await storage.close();
      await oracle.close();
    };
  });

  test.each(Object.entries(questions))('has the same %s as if nothing were left out', async (_name, ask) => {
    const random = new Random(seed);
    let found = 0;
    for (let turn = 0; turn < 6; turn++) {
      const about = {
        flow: random.choice([undefined, undefined, 'even', 'odd']),
        step: random.choice([undefined, undefined, 'train', 'test', 'other']),
        runs: random.choice<AnalysisOptions['runs']>(['all', 'latest', 'run-2', ['run-4', 'run-1'], 'run-[235]']),
      };
      const [rows, expected] = [await ask(storage, about), await ask(oracle, about)];
      expect({ about, rows: plain(rows) }).toEqual({ about, rows: plain(expected) });
      found += Math.sign(rows.length);
    }
    expect(found).toBeGreaterThan(1);
  });
});

test('a run is found by its name, and as the latest, before anything of it is flushed', async () => {
  await using storage = new ParquetStorage(temporaryFolder(), { flush: { ms: 60_000 } });
  const work = step('work', (flow) => flow.tag('loss', 0.5));
  await new Flow('test', storage, { logLevel: 'silent' }).push(step('work', (flow) => flow.tag('loss', 9))).execute();
  const answers: unknown[] = [];
  const flow = new Flow('test', storage, { logLevel: 'silent' }).failFast();
  const look = step('look', async () => {
    for (const runs of [flow.run, 'latest']) {
      const [best] = await storage.best('loss', { order: 'highest', runs });
      const [row] = await storage.wide({ step: 'work', runs });
      answers.push([best?.n, best?.mean, row?.['tag_loss']]);
    }
  });
  await flow.push([work, work]).push(look).execute();
  expect(answers).toEqual([
    [2, 0.5, 0.5],
    [2, 0.5, 0.5],
  ]);
});

describe('a wide table knows a tag with numbers', () => {
  test('by a scope between others that it leaves out', async () => {
    const retried = { status: 'retried', tags: [['late', 1]] } as const;
    const store = new MemoryStore();
    await writeScopes(store, 'run-1', [retried, { tags: [['late', 2]] }, { ...retried, tags: [['gone', 3]] }, retried]);
    await using storage = new StorageOver(store);
    expect(await storage.wide({ params: [] })).toMatchObject([{ tag_late: 2 }]);
    expect(Object.keys((await storage.wide({ params: [] }))[0] ?? {})).not.toContain('tag_gone');
    expect(await storage.wide({ params: [], tags: ['gone', 'late'] })).toMatchObject([{ tag_gone: false, tag_late: 2 }]);
  });

  test('by a scope behind thousands that lack it', async () => {
    const store = new MemoryStore();
    const scopes = Array.from({ length: 5_000 }, (_, index) => ({ tags: [['loss', index] as const] }));
    await writeScopes(store, 'run-1', [...scopes, { tags: [['late', 1]] }]);
    await using storage = new StorageOver(store);
    const rows = await storage.wide({ params: [], tags: ['late', 'loss'] });
    expect([rows[0]?.['tag_late'], rows.at(-1)?.['tag_late'], rows.at(-2)?.['tag_loss']]).toEqual([null, 1, 4_999]);
  });
});
