import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { temporaryFolder } from './folders.ts';
import { everything, filesOf, storageIn, storeIn, writeRun } from './parquet-history.ts';

describe('asOf', () => {
  test('shows the store as it was at each of its versions, whatever was merged or deleted since', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const storage = storageIn(folder);
    const seen: { version: number; at: Date; all: unknown }[] = [];
    const look = async () => {
      const [latest] = await storage.versions();
      seen.push({ version: latest?.version as number, at: new Date(), all: await everything(storage) });
      await sleep(3); // versions carry milliseconds
    };
    for (const slug of ['brave-otter', 'calm-heron', 'deep-lynx']) {
      await writeRun(store, slug, 2, { ends: true });
      await look();
    }
    await storage.compact();
    await look();
    await storage.deleteRuns('calm-heron');
    await look();
    await writeRun(store, 'eager-crane', 2);
    await storage.compact();
    await look();
    for (const each of [storage, storageIn(folder)]) {
      for (const { version, at, all } of seen) {
        expect(await everything(each.asOf(version)), `version ${version}`).toEqual(all);
        expect(await everything(each.asOf(at)), at.toISOString()).toEqual(all);
      }
    }
    const past = storage.asOf(seen[0]?.version as number);
    expect(await past.ids()).toHaveLength(4);
    expect((await past.load((await past.ids())[0] as string)).tags).toEqual([{ content: 'loss', value: 4 }]);
    expect(await past.search('flow.*').count()).toBe(4);
    expect(`${past}`).toContain(`version ${seen[0]?.version}`);
  });

  test('lists its versions, newest first, with time and operation', async () => {
    const folder = join(temporaryFolder(), 'history');
    await writeRun(storeIn(folder), 'brave-otter', 2);
    const storage = storageIn(folder);
    await storage.compact();
    const versions = await storage.versions();
    expect(versions.map(({ version, operation }) => [version, operation])).toEqual([
      [3, 'OPTIMIZE'],
      [2, 'WRITE'],
      [1, 'WRITE'],
      [0, 'CREATE TABLE'],
    ]);
    expect(versions.every(({ at }) => Math.abs(at.getTime() - Date.now()) < 60_000)).toBe(true);
    expect(await storage.asOf(0).ids()).toEqual([]);
    expect(await storage.asOf(1).ids()).toHaveLength(2);
  });

  test('says clearly what it cannot show', async () => {
    const folder = join(temporaryFolder(), 'history');
    await writeRun(storeIn(folder), 'brave-otter', 2);
    const storage = storageIn(folder);
    await storage.compact();
    await sleep(3);
    await storage.vacuum({ retention: 0 });
    const unknown = (pattern: RegExp) => ({ code: 'VERSION_UNKNOWN', message: expect.stringMatching(pattern) });
    await expect(storage.asOf(2).ids()).rejects.toMatchObject(unknown(/version 2 .*\.parquet" has been removed by a vacuum/));
    await expect(storage.asOf(4).ids()).rejects.toMatchObject(unknown(/no version 4: the last one is 3/));
    await expect(storage.asOf(new Date(0)).ids()).rejects.toMatchObject(unknown(/was made at .*, after 1970/));
    expect(await storage.asOf(3).ids()).toHaveLength(4);
    expect(await storage.asOf(new Date()).ids()).toHaveLength(4);
    for (const point of [-1, 1.5, Number.NaN, new Date(Number.NaN), '3', null]) {
      expect(() => storage.asOf(point as number)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    }
    // What still counts today and has gone is damage, not the past.
    const [merged] = filesOf(folder, 'scopes').filter((name) => name.includes('merged'));
    rmSync(join(folder, 'scopes', merged as string));
    await expect(storageIn(folder).asOf(3).ids()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  });

  test('shows the run of every scope, whatever others commit between the two', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    for (const slug of ['brave-otter', 'calm-heron']) await writeRun(store, slug, 1, { ends: true });
    const storage = storageIn(folder);
    const append = Reflect.get<DeltaLog, 'append'>(DeltaLog.prototype, 'append');
    let isFirst = true;
    const between = vi.spyOn(DeltaLog.prototype, 'append').mockImplementation(async function (this: DeltaLog, ...parts) {
      if (this.table === 'runs' && isFirst) {
        isFirst = false;
        await sleep(3);
        await storage.deleteRuns('brave-otter');
        await storage.compact();
        await writeRun(storeIn(folder), 'deep-lynx', 1); // its scopes come later than those of the run that waits
      }
      return await append.apply(this, parts);
    });
    onTestFinished(() => between.mockRestore());
    await writeRun(store, 'eager-crane', 1);
    expect(isFirst).toBe(false);
    const versions = (await storage.versions()).filter(({ operation }) => operation === 'WRITE');
    const seen = await Promise.all(
      versions.map(async ({ version }) => {
        const past = storage.asOf(version);
        const runs = await past.sql<{ slug: string }>`SELECT slug FROM runs WHERE state <> 'deleted' ORDER BY slug`;
        const ofScopes = await past.sql<{ slug: string }>`SELECT DISTINCT run AS slug FROM scopes ORDER BY slug`;
        expect(ofScopes, `version ${version}`).toEqual(runs);
        return runs.length;
      }),
    );
    expect(seen.toReversed()).toEqual([1, 2, 3, 3]);
  });

  test('ends with its storage, and refuses a folder without a store', async () => {
    const folder = join(temporaryFolder(), 'history');
    await expect(storageIn(folder).asOf(0).ids()).rejects.toMatchObject({ code: 'STORE_PATH' });
    await expect(storageIn(folder).versions()).rejects.toMatchObject({ code: 'STORE_PATH' });
    await writeRun(storeIn(folder), 'brave-otter', 1);
    const storage = storageIn(folder);
    const past = storage.asOf(1);
    expect(await past.ids()).toHaveLength(2);
    await storage.close();
    await expect(past.ids()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});
