import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { temporaryBeside } from '../src/storage/files.ts';
import { markOfRows } from '../src/storage/row-batch.ts';
import { mergedName, segmentName } from '../src/storage/segment.ts';
import { temporaryFolder } from './folders.ts';
import { everything, filesOf, storageIn, storeIn, writeRun } from './parquet-history.ts';
import { claimRows, selectIn } from './store-rows.ts';

const hour = 3_600_000;

function age(path: string, ms: number): string {
  const at = new Date(Date.now() - ms);
  utimesSync(path, at, at);
  return path;
}

async function compacted(folder: string): Promise<void> {
  await writeRun(storeIn(folder), 'brave-otter', 3);
  await storageIn(folder).compact();
}

describe('vacuum', () => {
  test('removes what left the tables before the retention began, and leaves every row', async () => {
    const folder = join(temporaryFolder(), 'history');
    await compacted(folder);
    const storage = storageIn(folder);
    const before = await everything(storage);
    expect(filesOf(folder, 'tags')).toHaveLength(5);
    expect(await storage.vacuum()).toEqual({ files: 0, bytes: 0 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const would = await storage.vacuum({ retention: 0, dryRun: true });
    expect(would.files).toBe(5 * 3); // the table runs had one segment to begin with
    expect(filesOf(folder, 'tags')).toHaveLength(5);
    expect(await storage.vacuum({ retention: '1ms' })).toEqual(would);
    expect(filesOf(folder, 'tags')).toHaveLength(2);
    expect(await storage.vacuum({ retention: 0 })).toEqual({ files: 0, bytes: 0 });
    expect(await everything(storage)).toEqual(before);
    expect(await everything(storageIn(folder))).toEqual(before);
    expect(readdirSync(join(folder, 'tags', '_delta_log')).filter((name) => name.endsWith('.json'))).toHaveLength(5);
  });

  test('removes leftovers that are old, and neither young ones nor what is not of this library', async () => {
    const folder = join(temporaryFolder(), 'history');
    await compacted(folder);
    const tags = join(folder, 'tags');
    const put = (name: string, ms: number) => {
      writeFileSync(join(tags, name), 'x');
      return age(join(tags, name), ms);
    };
    const id = { writer: '00000000-0000-7000-8000-00000000dead/0', number: 3 };
    const old = [put(segmentName(id), 2 * hour), put(mergedName(), 2 * hour), age(temporaryFile(tags), 2 * hour)];
    old.push(age(temporaryFile(join(tags, '_delta_log')), 2 * hour), age(temporaryFile(join(folder, '_runs')), 2 * hour));
    const kept = [
      put(segmentName(id), 0.5 * hour),
      put(mergedName(), 0.5 * hour),
      put('mine.parquet', 900 * hour),
      put('notes.txt', 900 * hour),
    ];
    expect(await storageIn(folder).vacuum({ retention: '3h' })).toEqual({ files: 0, bytes: 0 });
    expect(await storageIn(folder).vacuum({ retention: '1h' })).toEqual({ files: old.length, bytes: old.length });
    expect(old.filter((path) => existsSync(path))).toEqual([]);
    expect(kept.filter((path) => existsSync(path))).toEqual(kept);
    expect(filesOf(folder, 'scopes')).toContain('empty.parquet');
  });

  test('leaves files of a run that is alive, however old', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 1);
    const uuid = crypto.randomUUID();
    const claim = await store.claim({ uuid, flow: 'flow', drawSlug: () => 'calm-heron' });
    onTestFinished(() => claim.release());
    const path = join(folder, 'tags', segmentName({ writer: `${uuid}/0`, number: 1 }));
    writeFileSync(path, 'x');
    age(path, 200 * hour);
    expect(await storageIn(folder).vacuum({ retention: 0 })).toEqual({ files: 0, bytes: 0 });
    await claim.release({ abandoned: true });
    expect(await storageIn(folder).vacuum({ retention: 0 })).toEqual({ files: 1, bytes: 1 });
  });

  test('leaves what a run that is alive has parked, and what it wrote, also where it has held its event loop for days', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 1);
    const [uuid, dead] = [crypto.randomUUID(), '00000000-0000-7000-8000-00000000dead'];
    const claim = await store.claim({ uuid, flow: 'flow', drawSlug: () => 'calm-heron' });
    onTestFinished(() => claim.release());
    const segment = join(folder, 'tags', segmentName({ writer: `${uuid}/0`, number: 1 }));
    writeFileSync(segment, 'x');
    const mark = markOfRows({ tags: [{ sid: 1, content: 'parked' }] });
    const parked = store.park({ writer: `${uuid}/0`, number: 2 }, mark);
    store.park({ writer: `${dead}/0`, number: 2 }, mark);
    const files = readdirSync(join(folder, 'spill')).map((name) => join(folder, 'spill', name));
    for (const path of [...files, segment, join(folder, '_runs', `${claim.number}.json`)]) age(path, 200 * hour);
    expect(await storageIn(folder).vacuum({ retention: 0 })).toMatchObject({ files: 1 }); // nobody has claimed the other's run
    expect(existsSync(segment)).toBe(true);
    expect((await parked?.read())?.tables.tags?.numRows).toBe(1);
    await claim.release({ abandoned: true });
    expect(await storageIn(folder).vacuum({ retention: 0 })).toMatchObject({ files: 2 });
  });

  test('takes what a run in another container has left once it has not been heard of for so long that it counts as dead', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 1);
    const uuid = crypto.randomUUID();
    const claim = await store.claim({ uuid, flow: 'flow', drawSlug: () => 'calm-heron' });
    await claim.release();
    const path = join(folder, '_runs', `${claim.number}.json`);
    const record = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...record, pidNamespace: 'pid:[1]', pid: 2 ** 30 }));
    const segment = join(folder, 'tags', segmentName({ writer: `${uuid}/0`, number: 1 }));
    writeFileSync(segment, 'x');
    age(segment, 200 * hour);
    expect(await storageIn(folder).vacuum({ retention: 0 })).toEqual({ files: 0, bytes: 0 });
    store.park({ writer: `${uuid}/0`, number: 2 }, markOfRows({ tags: [{ sid: 1, content: 'parked' }] }));
    const [parked = ''] = readdirSync(join(folder, 'spill'));
    age(join(folder, 'spill', parked), 200 * hour);
    age(path, hour / 10); // silent, but not for so long
    expect(await storageIn(folder).vacuum({ retention: 0 })).toEqual({ files: 0, bytes: 0 });
    age(path, 2 * hour);
    expect(await storageIn(folder).vacuum({ retention: 0 })).toMatchObject({ files: 2 });
    expect(existsSync(segment)).toBe(false);
    expect(readdirSync(join(folder, 'spill'))).toEqual([]);
  });

  test('cannot make a writer that has slept commit the name of a file that has gone', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await writeRun(store, 'brave-otter', 1);
    const batch = await run.scope(9).tag(9, 0, 'late').batch();
    const append = Reflect.get<DeltaLog, 'append'>(DeltaLog.prototype, 'append');
    let sleeps = true;
    const sleeping = vi.spyOn(DeltaLog.prototype, 'append').mockImplementation(async function (this: DeltaLog, ...parts) {
      if (sleeps && this.table === 'tags') {
        sleeps = false;
        for (const name of filesOf(folder, 'tags')) if (name.includes('-0-2.')) age(join(folder, 'tags', name), 2 * hour);
        await storageIn(folder).vacuum({ retention: 0 });
      }
      return await append.apply(this, parts);
    });
    onTestFinished(() => sleeping.mockRestore());
    await expect(store.write(batch)).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
    expect(sleeps).toBe(false);
    await store.write(batch);
    expect(await selectIn(storeIn(folder), `SELECT count(*) FROM tags WHERE content = 'late'`)).toEqual([[1]]);
    expect(await selectIn(storeIn(folder), `SELECT count(*), count(DISTINCT sid) FROM scopes`)).toEqual([[3, 3]]);
  });

  test('may run with any retention while flows write and others compact', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await claimRows(store, 'brave-otter');
    const writer = { isDone: false };
    const writing = (async () => {
      for (let batch = 1; batch <= 40; batch++) await store.write(await run.scope(batch).tag(batch, 0, 'a').batch());
    })().finally(() => (writer.isDone = true));
    const storage = storageIn(folder);
    while (!writer.isDone) {
      try {
        await storage.compact();
        await storage.vacuum({ retention: 0 });
      } catch (error) {
        if ((error as { code?: string }).code !== 'STORE_PATH') throw error; // it is not there yet
      }
    }
    await writing;
    expect(await storage.sql`SELECT count(*) AS n, (SELECT count(*) FROM tags) AS tags FROM scopes`).toEqual([
      { n: 40, tags: 40 },
    ]);
  });

  test.each([-1, Number.NaN, '7', '7 weeks', null, {}])('refuses the retention %j', async (retention) => {
    const folder = join(temporaryFolder(), 'history');
    await writeRun(storeIn(folder), 'brave-otter', 1);
    await expect(storageIn(folder).vacuum({ retention: retention as string })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  test('refuses a folder without a store', async () => {
    await expect(storageIn(join(temporaryFolder(), 'history')).vacuum()).rejects.toMatchObject({ code: 'STORE_PATH' });
  });
});

function temporaryFile(folder: string): string {
  const path = temporaryBeside(join(folder, 'x'));
  writeFileSync(path, 'x');
  return path;
}
