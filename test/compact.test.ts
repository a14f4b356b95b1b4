import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Flow } from '../src/flow.ts';
import type { StepFlow } from '../src/step-flow.ts';
import { repeat } from '../src/step.ts';
import { tableNames } from '../src/schema.ts';
import { piecesOf } from '../src/storage/compact.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { SegmentWriter } from '../src/storage/segment-writer.ts';
import type { Segment } from '../src/storage/table-state.ts';
import { temporaryFolder } from './folders.ts';
import { everything, filesOf, segmentCounts, storageIn, storeIn, writeRun } from './parquet-history.ts';
import { selectIn } from './store-rows.ts';

const one = Object.fromEntries(tableNames.map((table) => [table, 2])); // the segment without rows stays

describe('compact', () => {
  test('merges the segments of all runs into one a table, and changes no row', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    for (const slug of ['brave-otter', 'calm-heron', 'deep-lynx']) await writeRun(store, slug, 3);
    const storage = storageIn(folder);
    const before = await everything(storage);
    const done = await storage.compact();
    expect(done.map(({ table }) => table)).toEqual(tableNames);
    expect(done.find(({ table }) => table === 'tags')).toMatchObject({ segmentsBefore: 10, segmentsAfter: 2 });
    expect(await segmentCounts(store)).toEqual(one);
    expect(await everything(storage)).toEqual(before);
    expect(await everything(storageIn(folder))).toEqual(before);
    expect(filesOf(folder, 'tags')).toHaveLength(11);
    expect((await storage.compact()).every(({ segmentsBefore, segmentsAfter }) => segmentsBefore === segmentsAfter)).toBe(true);
  });

  test('leaves segments above half the size alone, and makes none that are larger', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 4);
    const storage = storageIn(folder);
    await storage.compact({ segmentBytes: 1 });
    expect(await segmentCounts(store)).toMatchObject({ scopes: 5, tags: 5 });
    await expect(storage.compact({ segmentBytes: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  test('leaves no file of a merge that has another number of rows than its segments were to have', async () => {
    const folder = join(temporaryFolder(), 'history');
    await writeRun(storeIn(folder), 'brave-otter', 2);
    const before = filesOf(folder, 'artifacts');
    const merge = Reflect.get<SegmentWriter, 'merge'>(SegmentWriter.prototype, 'merge');
    const lacking = vi.spyOn(SegmentWriter.prototype, 'merge').mockImplementation(async function (this: SegmentWriter, ...parts) {
      const merged = await merge.apply(this, parts);
      return merged === null ? null : { ...merged, rows: (merged.rows as number) - 1 };
    });
    onTestFinished(() => lacking.mockRestore());
    await expect(storageIn(folder).compact()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    expect(filesOf(folder, 'artifacts')).toEqual(before);
  });

  test('keeps batches that are not committed in segments of their own', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await writeRun(store, 'brave-otter', 2);
    const append = Reflect.get<DeltaLog, 'append'>(DeltaLog.prototype, 'append');
    const failing = vi.spyOn(DeltaLog.prototype, 'append').mockImplementation(async function (this: DeltaLog, ...parts) {
      if (this.table === 'scopes') throw new Error('no');
      return await append.apply(this, parts);
    });
    onTestFinished(() => failing.mockRestore());
    const batch = await run.scope(9).tag(9, 0, 'late').batch();
    await expect(store.write(batch)).rejects.toThrow('no');
    failing.mockRestore();
    await storageIn(folder).compact();
    expect((await segmentCounts(store)).tags).toBe(3);
    const tags = `SELECT count(*) FROM tags WHERE content = 'late'`;
    expect(await selectIn(store, tags)).toEqual([[0]]);
    expect(await selectIn(store, tags, [batch])).toEqual([[1]]);
    await store.write(batch);
    expect(await selectIn(store, tags, [batch])).toEqual([[1]]);
    expect(await selectIn(store, `SELECT count(*), count(DISTINCT sid) FROM tags`)).toEqual([[6, 6]]);
  });

  test('shows rows once to a reader who still has their batch in memory', async () => {
    const folder = join(temporaryFolder(), 'history');
    const [store, other] = [storeIn(folder), storageIn(folder)];
    const run = await writeRun(store, 'brave-otter', 2);
    const batch = await run.scope(9).tag(9, 0, 'late').batch();
    await selectIn(store, 'SELECT 1'); // it knows the logs by now
    // Between the reader's look at `scopes` and its look at `tags` the batch is committed, and merged.
    const refresh = Reflect.get<DeltaLog, 'refresh'>(DeltaLog.prototype, 'refresh');
    let isFirst = true;
    const between = vi.spyOn(DeltaLog.prototype, 'refresh').mockImplementation(async function (this: DeltaLog) {
      const state = await refresh.call(this);
      if (this.table === 'scopes' && isFirst) {
        isFirst = false;
        await storeIn(folder).write(batch);
        await other.compact();
      }
      return state;
    });
    onTestFinished(() => between.mockRestore());
    expect(await selectIn(store, `SELECT count(*) FROM tags WHERE content = 'late'`, [batch])).toEqual([[1]]);
    expect(isFirst).toBe(false);
  });

  test('plans anew where somebody else was faster, and leaves no file of the lost race', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 3);
    const before = await everything(storageIn(folder));
    const merge = Reflect.get<SegmentWriter, 'merge'>(SegmentWriter.prototype, 'merge');
    let races = 0;
    const racing = vi.spyOn(SegmentWriter.prototype, 'merge').mockImplementation(async function (this: SegmentWriter, ...parts) {
      const merged = await merge.apply(this, parts);
      if (races++ === 0) await storageIn(folder).compact();
      return merged;
    });
    onTestFinished(() => racing.mockRestore());
    await storageIn(folder).compact();
    expect(await segmentCounts(store)).toEqual(one);
    expect(await everything(storageIn(folder))).toEqual(before);
    const ofTags = filesOf(folder, 'tags').filter((name) => name.includes('merged'));
    expect(ofTags).toHaveLength(1);
  });

  test('does not give damage a checksum that fits', async () => {
    const folder = join(temporaryFolder(), 'history');
    await writeRun(storeIn(folder), 'brave-otter', 2);
    const [name] = filesOf(folder, 'tags').filter((name) => name !== 'empty.parquet');
    const path = join(folder, 'tags', name as string);
    const bytes = readFileSync(path);
    bytes[40] = (bytes[40] as number) ^ 1;
    writeFileSync(path, bytes);
    await expect(storageIn(folder).compact()).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
      message: expect.stringContaining(path),
    });
  });

  test('refuses a folder without a store, and makes none', async () => {
    const folder = join(temporaryFolder(), 'history');
    await expect(storageIn(folder).compact()).rejects.toMatchObject({ code: 'STORE_PATH' });
    mkdirSync(folder);
    writeFileSync(join(folder, 'mine.txt'), '');
    await expect(storageIn(folder).compact()).rejects.toMatchObject({ code: 'STORE_PATH' });
  });

  test('may go on while flows write, search and count in the same process', async () => {
    const folder = join(temporaryFolder(), 'history');
    const storage = storageIn(folder);
    await writeRun(storeIn(folder), 'brave-otter', 2);
    async function work(flow: StepFlow) {
      await sleep(5);
      flow.tag('loss', 1);
    }
    const flows = ['a', 'b'].map((name) => new Flow(name, storage, { progress: false }).push(repeat(work, 60)));
    const writer = { isDone: false };
    const running = Promise.all(flows.map((flow) => flow.execute())).finally(() => (writer.isDone = true));
    let least = 0;
    while (!writer.isDone) {
      await storage.flush();
      await storage.compact();
      const count = await storage.search('*', { runs: 'all' }).count();
      expect(count).toBeGreaterThanOrEqual(least);
      least = count;
    }
    await running;
    expect(await storage.sql`SELECT count(*) AS n, (SELECT count(*) FROM tags) AS tags FROM scopes`).toEqual([
      { n: 124, tags: 125 },
    ]);
  });
});

describe('the pieces of a compaction', () => {
  test('are in the order of keys, hold at least two segments and no more than the size', () => {
    const segment = (name: string, min: number, bytes: number): Segment => {
      const stats = { sid: { min, max: min, nulls: 0 } };
      return { name, bytes, rows: 1, checksum: null, stats, batch: null };
    };
    const segments = [
      segment('c', 3, 40),
      segment('a', 1, 40),
      segment('large', 0, 51),
      segment('b', 2, 40),
      segment('d', 4, 40),
      segment('e', 5, 40),
    ];
    expect(piecesOf('tags', segments, 100).map((piece) => piece.map(({ name }) => name))).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
  });
});

describe('a run that ends', () => {
  test('merges its own small segments in the background, those of others not', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 5);
    await writeRun(store, 'calm-heron', 3, { ends: true });
    await writeRun(store, 'deep-lynx', 5, { ends: true });
    await store.close();
    const counts = await segmentCounts(storeIn(folder));
    expect(counts).toMatchObject({ scopes: 1 + 5 + 3 + 1, tags: 1 + 5 + 3 + 1, artifacts: 10 });
    const storage = storageIn(folder);
    expect(await storage.sql`SELECT count(*) AS n, count(DISTINCT sid) AS sids FROM tags`).toEqual([
      { n: 13 * 2 + 3, sids: 13 * 2 + 3 },
    ]);
  });

  test('has ended well also where its segments cannot be merged, and somebody is told', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const failing = vi.spyOn(SegmentWriter.prototype, 'merge').mockRejectedValue(new Error('the disk is full'));
    onTestFinished(() => {
      warned.mockRestore();
      failing.mockRestore();
    });
    await writeRun(store, 'brave-otter', 5, { ends: true });
    await store.close();
    expect(warned.mock.calls.map(([message]) => String(message))).toEqual([
      expect.stringMatching(/stay small.*the disk is full/),
    ]);
    failing.mockRestore();
    await storageIn(folder).compact();
    expect(await segmentCounts(storeIn(folder))).toEqual(one);
  });
});
