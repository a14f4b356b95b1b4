import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { Flow } from '../src/flow.ts';
import { temporaryFolder } from './folders.ts';
import { everything, segmentCounts, storageIn, storeIn, writeRun } from './parquet-history.ts';
import { claimRows, selectIn } from './store-rows.ts';

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

  test('that was interrupted after its event shows nothing of the run itself, and is finished by a compaction', async () => {
    const folder = join(temporaryFolder(), 'history');
    await threeRuns(folder);
    await interrupted(folder, 'scopes', 'calm-heron');
    const store = storeIn(folder);
    expect(await selectIn(store, counts)).toEqual([[12, 14, 14, 12, 12]]);
    expect(await selectIn(store, `SELECT state, len(tags) FROM runs WHERE slug = 'calm-heron'`)).toEqual([['deleted', 0]]);
    await storageIn(folder).compact();
    expect(await selectIn(store, rawCounts)).toEqual([[8, 10, 10, 8, 8]]);
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

  test('refuses a folder without a store', async () => {
    await expect(storageIn(join(temporaryFolder(), 'history')).deleteRuns(() => true)).rejects.toMatchObject({
      code: 'STORE_PATH',
    });
  });
});

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
