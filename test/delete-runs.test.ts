import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { Flow } from '../src/flow.ts';
import { sidOf } from '../src/sid.ts';
import { lockFile } from '../src/storage/lock.ts';
import { markOfRows } from '../src/storage/row-batch.ts';
import { SegmentWriter } from '../src/storage/segment-writer.ts';
import { Spills } from '../src/storage/spills.ts';
import { flip, segmentOf, twoRuns } from './damaged-stores.ts';
import { temporaryFolder } from './folders.ts';
import { everything, segmentCounts, storageIn, storeIn, writeRun } from './parquet-history.ts';
import { claimRows, RowMaker, selectIn } from './store-rows.ts';

const counts = `SELECT (SELECT count(*) FROM scopes), (SELECT count(*) FROM tags), (SELECT count(*) FROM logs),
  (SELECT count(*) FROM artifacts), (SELECT count(*) FROM edges)`;
const rawCounts = counts.replaceAll('FROM ', 'FROM raw.');

async function threeRuns(folder: string, { merged = false } = {}): Promise<void> {
  const store = storeIn(folder);
  for (const slug of ['brave-otter', 'calm-heron', 'deep-lynx']) await writeRun(store, slug, 2, { ends: true });
  if (merged) await storageIn(folder).compact();
  await store.close();
}

describe('deleteRuns', () => {
  test.each([
    ['from segments of its own', false],
    ['from segments that hold others as well', true],
  ])('removes a run %s, and nothing else', async (_name, merged) => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder, { merged });
    const storage = storageIn(folder);
    const rows = async () => await storage.sql`SELECT * FROM tags WHERE run <> 'calm-heron' ORDER BY ALL`;
    const before = await rows();
    expect(await storage.deleteRuns('calm-heron')).toEqual([{ number: 2, slug: 'calm-heron', flow: 'flow', scopes: 4 }]);
    for (const each of [storage, storageIn(folder)]) {
      expect(await each.sql`SELECT run, count(*) AS n FROM scopes GROUP BY run ORDER BY run`).toEqual([
        { run: 'brave-otter', n: 4 },
        { run: 'deep-lynx', n: 4 },
      ]);
      expect(await each.sql`SELECT slug, state, scopes, len(tags) AS tags FROM runs ORDER BY run_number`).toEqual([
        { slug: 'brave-otter', state: 'finished', scopes: 4, tags: 1 },
        { slug: 'calm-heron', state: 'deleted', scopes: 0, tags: 0 },
        { slug: 'deep-lynx', state: 'finished', scopes: 4, tags: 1 },
      ]);
    }
    expect(await rows()).toEqual(before);
    const store = storeIn(folder);
    expect(await selectIn(store, rawCounts)).toEqual([[8, 10, 10, 8, 8]]);
    const next = await claimRows(store, 'calm-heron').catch(() => null);
    expect(next?.slug).not.toBe('calm-heron');
  });

  test('takes a list, or a function of the rows of the view runs, and can only say what it would do', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    const storage = storageIn(folder);
    const before = await everything(storage);
    const meant = await storage.deleteRuns((run) => run.run_number !== 2 && run.scopes === 4 && run.started_at instanceof Date, {
      dryRun: true,
    });
    expect(meant.map(({ slug }) => slug)).toEqual(['brave-otter', 'deep-lynx']);
    expect(await everything(storage)).toEqual(before);
    await storage.deleteRuns(['deep-lynx', 'brave-otter', 'deep-lynx']);
    expect(await storage.ids()).toHaveLength(4);
    expect((await storage.deleteRuns(() => true)).map(({ slug }) => slug)).toEqual(['calm-heron']);
    expect(await storage.ids()).toEqual([]);
    expect(await storage.deleteRuns('calm-heron')).toMatchObject([{ slug: 'calm-heron', scopes: 0 }]);
  });

  test.each<[string, unknown, string]>([
    ['an unknown slug', 'calm-herom', 'RUN_UNKNOWN'],
    ['a list with an unknown slug', ['brave-otter', 'nobody'], 'RUN_UNKNOWN'],
    ['nothing', undefined, 'OPTION_INVALID'],
    ['a list of other things', [1], 'OPTION_INVALID'],
    ['an async function', async () => await Promise.resolve(false), 'OPTION_INVALID'],
  ])('refuses %s and deletes nothing', async (_name, which, code) => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    const storage = storageIn(folder);
    await expect(storage.deleteRuns(which as string)).rejects.toMatchObject({ code });
    expect(await storage.ids()).toHaveLength(12);
    expect(await storage.sql`SELECT count(*) AS n FROM runs WHERE state = 'deleted'`).toEqual([{ n: 0 }]);
  });

  test('refuses runs that may still be writing, names them, and deletes nothing', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    const storage = storageIn(folder);
    let refused: unknown;
    const flow = new Flow('live', storage, { progress: false }).push(async function work(step) {
      step.tag('loss', 1);
      await storage.flush();
      refused = await storage.deleteRuns(() => true).catch((error: unknown) => error);
    });
    await flow.execute();
    expect(refused).toMatchObject({ code: 'RUN_ACTIVE', message: expect.stringContaining(flow.run) });
    expect(await storage.ids()).toHaveLength(13);
    expect(await storage.deleteRuns(() => true)).toHaveLength(4);
    expect(await storage.ids()).toEqual([]);
  });

  test.each([
    ['of its own', false],
    ['that hold others as well', true],
  ])(
    'that was interrupted after its event shows nothing of segments %s, and is finished by a compaction',
    async (_name, merged) => {
      const folder = join(temporaryFolder(), 'history');
      await threeRuns(folder, { merged });
      await interrupted(folder, 'scopes', 'deep-lynx');
      const store = storeIn(folder);
      const storage = storageIn(folder);
      const latest = async () => (await storage.search('*')).map(({ run }) => run);
      expect(await selectIn(store, counts)).toEqual([[8, 10, 10, 8, 8]]);
      expect(await selectIn(store, `SELECT state, scopes, len(tags) FROM runs WHERE slug = 'deep-lynx'`)).toEqual([
        ['deleted', 0, 0],
      ]);
      expect(new Set(await latest())).toEqual(new Set(['calm-heron']));
      expect(await storage.search('*.deep-lynx.*', { runs: 'all' }).count()).toBe(0);
      expect((await selectIn(store, rawCounts))[0]?.[1]).toBe(15); // they are still there
      await storage.compact();
      expect(await selectIn(store, rawCounts)).toEqual([[8, 10, 10, 8, 8]]);
      expect(new Set(await latest())).toEqual(new Set(['calm-heron']));
    },
  );

  test('that begins, and is interrupted, while a compaction goes on, hides the run until the next one', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    const replace = Reflect.get<DeltaLog, 'replace'>(DeltaLog.prototype, 'replace');
    let isFirst = true;
    const between = vi.spyOn(DeltaLog.prototype, 'replace').mockImplementation(async function (this: DeltaLog, ...parts) {
      if (parts[0].operation === 'DELETE') throw new Error('killed');
      if (isFirst) {
        isFirst = false;
        await expect(storageIn(folder).deleteRuns('calm-heron')).rejects.toThrow('killed');
      }
      return await replace.apply(this, parts);
    });
    await storageIn(folder).compact();
    between.mockRestore();
    const store = storeIn(folder);
    expect(isFirst).toBe(false);
    expect(await selectIn(store, counts)).toEqual([[8, 10, 10, 8, 8]]);
    await storageIn(folder).compact();
    expect(await selectIn(store, rawCounts)).toEqual([[8, 10, 10, 8, 8]]);
  });

  test('costs compactions nothing once one of them has found it done', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder, { merged: true });
    const storage = storageIn(folder);
    await storage.deleteRuns('calm-heron');
    await storage.compact();
    const looks = vi.spyOn(SegmentWriter.prototype, 'runsIn');
    onTestFinished(() => looks.mockRestore());
    await storage.compact();
    await storage.deleteRuns('deep-lynx'); // its segments have to be looked into, but for itself alone
    expect(new Set(looks.mock.calls.map(([table]) => table)).size).toBe(looks.mock.calls.length);
    expect(await selectIn(storeIn(folder), rawCounts)).toEqual([[4, 5, 5, 4, 4]]);
  });

  test('takes what is spilled of a run with it, and nothing comes back', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    const storage = storageIn(folder);
    await storage.compact(); // it has looked for spills, and will not again
    spillOf(folder, 2, 'calm-heron');
    expect(await storage.search('*.calm-heron.*', { runs: 'all' }).count()).toBe(5);
    const lock = await lockFile(join(folder, 'spill')); // somebody stores what was spilled
    setTimeout(() => void lock.release(), 250);
    expect(await storage.deleteRuns('calm-heron')).toMatchObject([{ scopes: 5 }]);
    expect(readdirSync(join(folder, 'spill'))).toEqual([]);
    await writeRun(storeIn(folder), 'eager-crane', 1);
    for (const each of [storage, storageIn(folder)]) {
      expect(await each.search('*.calm-heron.*', { runs: 'all' }).count()).toBe(0);
      expect(await each.sql`SELECT state, scopes FROM runs WHERE slug = 'calm-heron'`).toEqual([{ state: 'deleted', scopes: 0 }]);
      expect(await each.sql`SELECT count(*) AS n FROM raw.tags WHERE run = 'calm-heron'`).toEqual([{ n: 0 }]);
    }
  });

  test('that was interrupted before it removed a spill hides it, and the next writer drops it', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    const storage = storageIn(folder);
    await storage.compact();
    spillOf(folder, 2, 'calm-heron');
    const killed = vi.spyOn(Spills.prototype, 'remove').mockRejectedValue(new Error('killed'));
    await expect(storage.deleteRuns('calm-heron')).rejects.toThrow('killed');
    killed.mockRestore();
    await storage.compact(); // the rest of the deletion is done, and this one looks for no spills
    const live = async () => await storage.sql`SELECT count(*) AS n FROM tags WHERE run = 'calm-heron'`;
    expect(await live()).toEqual([{ n: 0 }]);
    expect(await storage.search('*.calm-heron.*', { runs: 'all' }).count()).toBe(0);
    expect(readdirSync(join(folder, 'spill'))).toHaveLength(1);
    await writeRun(storeIn(folder), 'eager-crane', 1);
    expect(readdirSync(join(folder, 'spill'))).toEqual([]);
    await storage.compact();
    expect(await live()).toEqual([{ n: 0 }]);
    expect(await storage.sql`SELECT count(*) AS n FROM raw.scopes WHERE run = 'calm-heron'`).toEqual([{ n: 0 }]);
  });

  test.each([
    ['tags', 2],
    ['scopes', null],
  ] as const)('by its slug does not need to read damaged %s of the run', async (table, scopes) => {
    const folder = await twoRuns();
    const path = segmentOf(folder, table, '000000000002-0-1');
    flip(path, 60);
    const storage = storageIn(folder);
    await expect(storage.deleteRuns((run) => run.slug === 'calm-heron')).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
      message: expect.stringMatching(`${basename(path)}.* name the runs by their slugs`),
    });
    expect(await storage.deleteRuns('calm-heron')).toMatchObject([{ slug: 'calm-heron', scopes }]);
    expect(await storage.sql`SELECT DISTINCT run FROM tags`).toEqual([{ run: 'brave-otter' }]);
    expect((await storage.verify()).problems).toEqual([]);
  });

  test('that was interrupted after the scopes shows nothing of the run, and is finished by the next one', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder, { merged: true });
    await interrupted(folder, 'tags', 'calm-heron');
    const store = storeIn(folder);
    expect(await selectIn(store, counts)).toEqual([[8, 10, 10, 8, 8]]);
    expect((await selectIn(store, rawCounts))[0]?.[1]).toBe(15);
    await storageIn(folder).deleteRuns('calm-heron');
    expect(await selectIn(store, rawCounts)).toEqual([[8, 10, 10, 8, 8]]);
  });

  test('and a compaction at the same time leave exactly the other runs', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    await Promise.all([storageIn(folder).deleteRuns('calm-heron'), storageIn(folder).compact(), storageIn(folder).compact()]);
    const store = storeIn(folder);
    expect(await selectIn(store, rawCounts)).toEqual([[8, 10, 10, 8, 8]]);
    await storageIn(folder).compact();
    expect(await segmentCounts(store)).toMatchObject({ scopes: 2, tags: 2 });
  });

  test('never shows a scope of the run without its children', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    const reader = storeIn(folder);
    await selectIn(reader, 'SELECT 1');
    const refresh = Reflect.get<DeltaLog, 'refresh'>(DeltaLog.prototype, 'refresh');
    let isFirst = true;
    const between = vi.spyOn(DeltaLog.prototype, 'refresh').mockImplementation(async function (this: DeltaLog) {
      const state = await refresh.call(this);
      if (this.table === 'scopes' && isFirst) {
        isFirst = false;
        await storageIn(folder).deleteRuns('calm-heron');
      }
      return state;
    });
    onTestFinished(() => between.mockRestore());
    expect(await selectIn(reader, counts)).toEqual([[8, 10, 10, 8, 8]]);
  });

  test('is the last that is said of a run, whatever comes after', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.event('started', 1_000).event('ended', 2_000, { state: 'finished' }).scope(1).batch());
    const storage = storageIn(folder);
    await storage.deleteRuns('brave-otter');
    const late = Date.now() + 3_600_000; // by a clock that is ahead
    await store.write(await run.event('resumed', late).event('ended', late, { state: 'finished' }).batch());
    expect(await storage.sql`SELECT slug, state FROM runs`).toEqual([{ slug: 'brave-otter', state: 'deleted' }]);
    expect(await storage.sql`SELECT * FROM live_runs`).toEqual([]);
    const asked: string[] = [];
    await storage.deleteRuns(({ slug }) => asked.push(slug) > 0);
    expect(asked).toEqual([]);
  });

  test('refuses a folder without a store', async () => {
    await expect(storageIn(join(temporaryFolder(), 'history')).deleteRuns(() => true)).rejects.toMatchObject({
      code: 'STORE_PATH',
    });
  });
});

/** What a process that ended has spilled of a run: the batch after its last, of one scope with a tag. */
function spillOf(folder: string, number: number, slug: string): void {
  const place = { sid: sidOf(number, 9), flow: 'flow', run: slug, step: 'step' };
  const scope = { ...place, path: '0-9', attempt: 1, status: 'ok', started_at: 1_750_000_000_000, duration_ms: 1 };
  const rows = markOfRows({ scopes: [scope], tags: [{ ...place, seq: 0, content: 'late' }] });
  const { uuid } = new RowMaker({ number, slug });
  new Spills(join(folder, 'spill')).writeSync([{ id: { writer: `${uuid}/0`, number: 3 }, rows }]);
}

/** Deletes a run as a process does that dies before it commits the deletion from a table. */
async function interrupted(folder: string, table: string, slug: string): Promise<void> {
  const replace = Reflect.get<DeltaLog, 'replace'>(DeltaLog.prototype, 'replace');
  const failing = vi.spyOn(DeltaLog.prototype, 'replace').mockImplementation(async function (this: DeltaLog, ...parts) {
    if (this.table === table && parts[0].operation === 'DELETE') throw new Error('killed');
    return await replace.apply(this, parts);
  });
  await expect(storageIn(folder).deleteRuns(slug)).rejects.toThrow('killed');
  failing.mockRestore();
}
