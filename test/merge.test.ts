import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DuckDBStorage, Flow, JsonStorage, MemoryStorage, ParquetStorage, step, type StepFlow, Storage } from '../src/index.ts';
import type { Batch, Claim, ClaimRequest } from '../src/store.ts';
import { DuckDBStore } from '../src/storage/duckdb-store.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { temporaryFolder } from './folders.ts';
import { everything, sampleRuns } from './sample-runs.ts';

const kinds: Readonly<Record<string, () => Storage>> = {
  MemoryStorage: () => new MemoryStorage(),
  JsonStorage: () => new JsonStorage(temporaryFolder()),
  ParquetStorage: () => new ParquetStorage(temporaryFolder(), { threads: 1 }),
  DuckDBStorage: () => new DuckDBStorage(join(temporaryFolder(), 'history.duckdb'), { threads: 1 }),
};

describe.each(Object.entries(kinds))('%s', (_name, makeSource) => {
  test.each(Object.entries(kinds))('is merged into %s with every value as it was', async (_other, makeTarget) => {
    await using source = makeSource();
    await using target = makeTarget();
    await sampleRuns(source);
    const { merged, skipped } = await target.merge(source);
    expect(skipped).toEqual([]);
    expect(merged.map(({ from, run }) => [from, from === run])).toEqual(
      (await source.sql<{ slug: string }>`SELECT slug FROM runs ORDER BY run_number`).map(({ slug }) => [slug, true]),
    );
    expect(await everything(target)).toEqual(await everything(source));
    const [kept] = await target.search('sample.second.*', { runs: 'all', order: 'oldest' });
    expect(kept?.recall('seen')).toEqual((await source.search('sample.first.*', { runs: 'all' }).first())?.recall('json'));
  });
});

function nothing(): void {}

async function runOf(storage: Storage, name = 'flow'): Promise<Flow> {
  const flow = new Flow(name, storage, { logLevel: 'silent' }).push(step('nothing', nothing));
  await flow.execute();
  return flow;
}

/** A memory whose n-th write fails, as if the process had died there. */
class FailingStore extends MemoryStore {
  writes = 0;
  failsAt = Number.POSITIVE_INFINITY;

  override async write(batch: Batch): Promise<void> {
    if (++this.writes === this.failsAt) throw new Error('killed');
    await super.write(batch);
  }
}

/** Its first run gets this slug. */
class FixedSlugStore extends MemoryStore {
  readonly #slug: string;

  constructor(slug: string) {
    super();
    this.#slug = slug;
  }

  override async claim(request: ClaimRequest): Promise<Claim> {
    let first = true;
    const drawSlug = (): string => {
      if (!first) return request.drawSlug();
      first = false;
      return this.#slug;
    };
    return await super.claim({ ...request, drawSlug });
  }
}

class StorageOf extends Storage {}

describe('merge', () => {
  test('gives new run numbers behind those that are taken', async () => {
    const [source, target] = pair();
    for (let count = 0; count < 3; count++) await runOf(target);
    await runOf(source);
    await target.merge(source);
    expect(await target.sql`SELECT run_number, sid // 4294967296 AS run_of_scope FROM scopes ORDER BY sid DESC LIMIT 1`).toEqual([
      { run_number: 4, run_of_scope: 4 },
    ]);
  });

  test('keeps a slug that is free, gives another for one that is taken, and notes where the run was', async () => {
    const [source, target] = pair();
    const { run } = await runOf(source);
    await target.merge(source);
    await using taken = new StorageOf(new FixedSlugStore(run));
    await runOf(taken);
    const { merged } = await taken.merge(target);
    expect(merged).toEqual([{ from: run, run: expect.not.stringMatching(new RegExp(`^${run}$`)) as string }]);
    const [row] = await taken.sql<{
      slug: string;
      details: string;
    }>`SELECT slug, start_details AS details FROM runs WHERE run_number = 2`;
    expect(row?.slug).toBe(merged[0]?.run);
    expect(await taken.sql`SELECT DISTINCT run FROM scopes WHERE run_number = 2`).toEqual([{ run: row?.slug }]);
    expect(JSON.parse(row?.details ?? '')).toMatchObject({
      params: {},
      node: process.version,
      origin: { slug: run, number: 1, store: 'MemoryStorage()', origin: { slug: run, number: 1 } },
    });
  });

  test('done again, or from a copy of a copy, brings nothing twice', async () => {
    const [source, target] = pair();
    await sampleRuns(source);
    await target.merge(source);
    const before = await everything(target);
    const { merged, skipped } = await target.merge(source);
    expect([merged, skipped.map(({ why }) => why.replace(/as .*/, 'as …'))]).toEqual([
      [],
      Array(3).fill('it is here already, as …'),
    ]);
    expect((await source.merge(target)).merged).toEqual([]);
    expect(await everything(target)).toEqual(before);
  });

  test('stopped before any write, goes on where it was: nothing missing, nothing twice, and no half of a run has ended', async () => {
    await using source = new MemoryStorage();
    await runOf(source);
    await largeRun(source);
    const whole = new FailingStore();
    await using complete = new StorageOf(whole);
    await complete.merge(source);
    const wanted = await everything(complete);
    expect(whole.writes).toBe(3 + 4); // the large run has two pieces
    for (let failsAt = 1; failsAt <= whole.writes; failsAt++) {
      const store = new FailingStore();
      await using target = new StorageOf(store);
      store.failsAt = failsAt;
      await expect(target.merge(source)).rejects.toThrow('killed');
      for (const { state, scopes, slug } of await target.sql<{
        state: string;
        scopes: number;
        slug: string;
      }>`SELECT state, scopes, slug FROM runs`) {
        const [{ scopes: all } = { scopes: -1 }] = await source.sql<{
          scopes: number;
        }>`SELECT scopes FROM runs WHERE slug = ${slug}`;
        if (state !== 'merging') expect(scopes).toBe(all);
      }
      await target.merge(source);
      expect(await target.sql`SELECT count(DISTINCT uuid) AS n, count(*) FILTER (state = 'finished') AS ended FROM runs`).toEqual(
        [{ n: 2, ended: 2 }],
      );
      const [found, expected] = [await everything(target), wanted].map(withoutSlugs);
      expect(found, `stopped at write ${failsAt}`).toEqual(expected);
    }
  });

  test.each([
    ['JsonStorage', (folder: string) => new JsonStorage(folder)],
    ['ParquetStorage', (folder: string) => new ParquetStorage(folder, { threads: 1 })],
    ['DuckDBStorage', (folder: string) => new DuckDBStorage(join(folder, 'x.duckdb'), { threads: 1 })],
  ] as const)('killed between a claim and what it is for, uses up no further number of a %s', async (_name, make) => {
    const source = new MemoryStorage();
    onTestFinished(async () => await source.close());
    const { run } = await runOf(source);
    const folder = temporaryFolder();
    const uuid = (await source.sql<{ uuid: string }>`SELECT uuid FROM runs`)[0]?.uuid as string;
    for (const _ of [1, 2]) await claimOnly(make(folder), source);
    await using target = make(folder);
    expect((await target.merge(source)).merged).toEqual([{ from: run, run }]);
    expect(await target.sql`SELECT run_number, uuid, slug, state FROM runs`).toEqual([
      { run_number: 1, uuid, slug: run, state: 'finished' },
    ]);
    if (target instanceof ParquetStorage) expect(await target.verify()).toMatchObject({ ok: true });
  });

  test('of a run that others are half done with verifies well: of several claims of a run at most one has rows', async () => {
    const source = new MemoryStorage();
    onTestFinished(async () => await source.close());
    await runOf(source);
    const folder = temporaryFolder();
    await using target = new ParquetStorage(folder, { threads: 1 });
    await target.merge(source);
    const claim = JSON.parse(readFileSync(join(folder, '_runs', '1.json'), 'utf8')) as { slug: string };
    writeFileSync(join(folder, '_runs', '2.json'), JSON.stringify({ ...claim, number: 2, slug: 'another-one' }));
    expect(await target.verify()).toMatchObject({ ok: true, problems: [] });
  });

  test('that was stopped leaves a run in the state merging, which can be deleted, and is not merged on', async () => {
    const source = new MemoryStorage();
    onTestFinished(async () => await source.close());
    await largeRun(source);
    const folder = temporaryFolder();
    const stopped = new ParquetStorage(folder, { threads: 1 });
    const merging = stopped.merge(source);
    merging.catch(() => undefined);
    while (segmentsIn(folder, 'artifacts') < 2) await new Promise((resolve) => setTimeout(resolve, 2)); // the one without rows, and a first piece
    await expect(stopped.deleteRuns(() => true)).rejects.toMatchObject({ code: 'RUN_ACTIVE' });
    await stopped.close();
    await expect(merging).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await using storage = new ParquetStorage(folder, { threads: 1 });
    const [run] = await storage.sql<{ slug: string; state: string }>`SELECT slug, state FROM runs`;
    expect(run?.state).toBe('merging');
    await using further = new MemoryStorage();
    expect((await further.merge(storage)).skipped).toEqual([
      { run: run?.slug, why: 'it is there in part only: the merge that brings it has not ended' },
    ]);
    expect(await storage.deleteRuns((one) => one.state === 'merging')).toHaveLength(1);
    expect(await storage.sql`SELECT (SELECT state FROM runs) AS state, (SELECT count(*) FROM artifacts) AS n`).toEqual([
      { state: 'deleted', n: 0 },
    ]);
    expect(await storage.verify()).toMatchObject({ ok: true });
  });

  test('two at once bring each run once', async () => {
    const [source, target] = pair();
    await sampleRuns(source);
    const results = await Promise.all([target.merge(source), target.merge(source)]);
    expect(results.map(({ merged }) => merged.length).sort((a, b) => a - b)).toEqual([0, 3]);
    expect(await everything(target)).toEqual(await everything(source));
  });

  test('into a JsonStorage while another is faster, leaves no run behind that is merging for ever', async () => {
    await using source = new MemoryStorage();
    const { run } = await runOf(source);
    const folder = temporaryFolder();
    const slow = new JsonStore(folder);
    const claim = slow.claim.bind(slow);
    await using faster = new JsonStorage(folder);
    vi.spyOn(slow, 'claim').mockImplementationOnce(async (request) => {
      await faster.merge(source);
      return await claim(request);
    });
    await using target = new StorageOf(slow);
    expect(await target.merge(source)).toEqual({
      merged: [],
      skipped: [{ run, why: `it was brought in by another process meanwhile, as ${run}` }],
    });
    expect(await target.sql`SELECT run_number, slug, state FROM runs`).toEqual([{ run_number: 1, slug: run, state: 'finished' }]);
  });

  test('leaves out runs that are still running, until they have ended', async () => {
    const [source, target] = pair();
    let inside: unknown;
    async function looks(): Promise<void> {
      inside = await target.merge(source);
    }
    const flow = new Flow('flow', source, { logLevel: 'silent' }).failFast().push(step('looks', looks));
    await flow.execute();
    expect(inside).toEqual({ merged: [], skipped: [{ run: flow.run, why: 'it is still running' }] });
    expect((await target.merge(source)).merged).toEqual([{ from: flow.run, run: flow.run }]);
  });

  test('takes what has finished and is not flushed', async () => {
    const store = new FailingStore();
    await using source = new StorageOf(store);
    await using target = new MemoryStorage();
    store.failsAt = 1;
    await runOf(source).catch(() => null);
    expect((await target.merge(source)).merged).toHaveLength(1);
    expect(await target.search('*').count()).toBe(1);
  });

  test('moves references between runs, also to a younger one, and drops those to a run that stays behind', async () => {
    const [source, target] = pair();
    await runOf(target);
    function keeps(flow: StepFlow): void {
      flow.keep('it', 1);
    }
    function recalls(flow: StepFlow): void {
      flow.keep('sum', flow.recall<number>('it') + 1);
    }
    async function waits(flow: StepFlow): Promise<void> {
      const younger = new Flow('younger', source, { logLevel: 'silent' }).push(keeps);
      await younger.execute();
      flow.push(recalls, {}, { scope: await source.search('younger.keeps.*', { runs: 'all' }).first() });
    }
    await new Flow('older', source, { logLevel: 'silent' }).failFast().push(waits).execute();
    await target.merge(source);
    const refs = async (storage: Storage) =>
      await storage.sql`SELECT s.step AS recalls, t.step AS from_step, t.flow FROM scopes AS s JOIN scopes AS t ON t.sid = s.ref_sid ORDER BY s.sid`;
    expect(await refs(target)).toEqual([{ recalls: 'recalls', from_step: 'keeps', flow: 'younger' }]);
    await using part = new MemoryStorage();
    await part.merge(source, { flow: 'older' });
    expect(await part.sql`SELECT count(*) AS n, count(ref_sid) AS refs FROM scopes`).toEqual([{ n: 2, refs: 0 }]);
  });

  test('takes the runs that are asked for', async () => {
    const [source, target] = pair();
    await sampleRuns(source);
    const slugs = (await source.sql<{ slug: string }>`SELECT slug FROM runs ORDER BY run_number`).map(({ slug }) => slug);
    const froms = async (options: object) => (await target.merge(source, options)).merged.map(({ from }) => from);
    expect(await froms({ runs: 'latest', flow: 'sample' })).toEqual([slugs[1]]);
    expect(await froms({ runs: slugs[0] })).toEqual([slugs[0]]);
    expect(await froms({ runs: 'no-such-run' })).toEqual([]);
    await expect(target.merge(source, { runs: 3 as never })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(target.merge(source, { runs: '[' })).rejects.toMatchObject({ code: 'GLOB_INVALID' });
  });

  test('with itself is an error, also by another name', async () => {
    const folder = temporaryFolder();
    await using one = new JsonStorage(folder);
    await using other = new JsonStorage(join(folder, '..', folder.slice(folder.lastIndexOf('/') + 1), '.'));
    await runOf(one);
    for (const self of [one, other]) {
      await expect(one.merge(self)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        message: expect.stringContaining('into itself') as string,
      });
    }
    await expect(one.merge({} as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  test('ends with the storage that it goes into, and goes on in the next one', async () => {
    const folder = temporaryFolder();
    await using source = new MemoryStorage();
    await sampleRuns(source);
    await largeRun(source);
    const first = new ParquetStorage(folder, { threads: 1 });
    const merging = first.merge(source);
    merging.catch(() => undefined);
    while (segmentsIn(folder, 'tags') < 2) await new Promise((resolve) => setTimeout(resolve, 2)); // the one without rows, and one of a first run
    await first.close();
    await expect(merging).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await using second = new ParquetStorage(folder, { threads: 1 });
    await second.merge(source);
    expect(withoutSlugs(await everything(second))).toEqual(withoutSlugs(await everything(source)));
  });

  test('of a damaged store names the file, and no run that misses anything has ended', async () => {
    const folder = temporaryFolder();
    const source = new ParquetStorage(folder, { threads: 1 });
    await sampleRuns(source);
    await source.close();
    const segments = readdirSync(join(folder, 'tags')).filter(
      (name) => name.endsWith('.parquet') && statSync(join(folder, 'tags', name)).size > 1_000,
    );
    const [segment] = segments.sort();
    const bytes = readFileSync(join(folder, 'tags', segment as string));
    writeFileSync(join(folder, 'tags', segment as string), bytes.fill(0, 4, bytes.length >>> 1));
    await using damaged = new ParquetStorage(folder, { threads: 1 });
    await using target = new MemoryStorage();
    await expect(target.merge(damaged)).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
      message: expect.stringContaining(segment as string) as string,
    });
    await expect(damaged.export(join(temporaryFolder(), 'x.csv'))).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(await target.sql`SELECT state, scopes FROM runs WHERE state <> 'merging' AND scopes = 0`).toEqual([]);
  });

  test('of a place without a store says so, and makes none there', async () => {
    await using target = new MemoryStorage();
    await using source = new ParquetStorage(join(temporaryFolder(), 'none'));
    await expect(target.merge(source)).rejects.toMatchObject({ code: 'STORE_PATH' });
    await target.close();
    await expect(target.merge(new MemoryStorage())).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});

function pair(): readonly [source: Storage, target: Storage] {
  const both = [new MemoryStorage(), new MemoryStorage()] as const;
  onTestFinished(async () => void (await Promise.all(both.map((storage) => storage.close()))));
  return both;
}

/** Claims what a merge would, and ends there. */
async function claimOnly(target: Storage, source: Storage): Promise<void> {
  const stores = [JsonStore, ParquetStore, DuckDBStore].map(({ prototype }) => prototype);
  const writes = stores.map((store) => vi.spyOn(store, 'write').mockRejectedValue(new Error('killed')));
  try {
    await expect(target.merge(source)).rejects.toThrow('killed');
  } finally {
    for (const write of writes) write.mockRestore();
    await target.close();
  }
}

async function largeRun(storage: Storage): Promise<void> {
  function large(flow: StepFlow): void {
    for (let count = 0; count < 5; count++) flow.keep(`text ${count}`, 'x'.repeat(3 * 2 ** 20));
    for (let count = 0; count < 100; count++) flow.tag('tag', count);
  }
  await new Flow('large', storage, { logLevel: 'silent' }).push([large, step('nothing', nothing)]).execute();
}

/** A claim whose process died at once keeps its slug for ever: the run then has another. */
function withoutSlugs(all: unknown): unknown {
  return JSON.parse(
    JSON.stringify(all, (key, value: unknown) => (['id', 'run', 'slug'].includes(key) ? undefined : value)),
  ) as unknown;
}

function segmentsIn(folder: string, table: string): number {
  return readdirSync(folder).includes(table)
    ? readdirSync(join(folder, table)).filter((name) => !name.startsWith('.') && name.endsWith('.parquet')).length
    : 0;
}
