import { readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { TableName } from '../src/schema.ts';
import { announceRebuild } from '../src/storage/announce-rebuild.ts';
import { checkpointEvery, lastCheckpointVersion } from '../src/storage/checkpoint.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { logsIn } from '../src/storage/parquet-folder.ts';
import { entry } from './damaged-stores.ts';
import { temporaryFolder } from './folders.ts';
import { everything, storageIn, storeIn, writeRun } from './parquet-history.ts';
import { plainly } from './parquet-stores.ts';
import { claimRows, selectIn } from './store-rows.ts';

const scopesByRun = 'SELECT run_number, count(*), count(DISTINCT sid) FROM scopes GROUP BY ALL ORDER BY ALL';

/** Two runs that were compacted and one after it, in a store that another object has open and knows. */
async function opened() {
  const folder = join(temporaryFolder(), 'history');
  const store = storeIn(folder);
  await writeRun(store, 'brave-otter', 2);
  await writeRun(store, 'calm-heron', 1, { ends: true });
  const open = storageIn(folder);
  await open.compact();
  await writeRun(store, 'deep-lynx', 1);
  const before = await everything(open);
  return { folder, store, open, before };
}

/** The versions of a table that did something, as their own words have it. */
function versions(folder: string, table: TableName, operation: string): number[] {
  const log = join(folder, table, '_delta_log');
  const names = readdirSync(log).filter((name) => /^\d+\.json$/.test(name));
  return names
    .filter((name) => readFileSync(join(log, name), 'utf8').includes(`"operation":"${operation}"`))
    .map((name) => Number(name.slice(0, -'.json'.length)))
    .sort((a, b) => a - b);
}

describe('a process that has a store open while another repairs it', () => {
  test.each(['scopes', 'tags', 'runs'] as const)(
    'does not go on from a merge that the log of %s has lost',
    async (table) => {
      const { folder, store, open, before } = await opened();
      truncateSync(entry(folder, table, versions(folder, table, 'OPTIMIZE')[0] as number), 40);
      expect((await storageIn(folder).repair()).lost).toEqual([]);
      await open.compact(); // with what it knew it would merge the merged segment once more
      for (const each of [open, storageIn(folder)]) expect(await everything(each)).toEqual(before);
      const run = await claimRows(store, 'early-fox');
      await store.write(await run.event('started', 9).scope(1).tag(1, 0, 'a').batch());
      await open.deleteRuns('calm-heron');
      const counts = [
        [1, 4, 4],
        [3, 2, 2],
        [4, 1, 1],
      ];
      expect(await selectIn(store, scopesByRun)).toEqual(counts);
      expect(await selectIn(storeIn(folder), scopesByRun)).toEqual(counts);
      expect(await plainly('SELECT count(*), count(DISTINCT sid) FROM scopes', join(folder, 'open.sql'))).toEqual([['7', '7']]);
      expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
    },
    60_000,
  );

  test('adds nothing between the first look of the repair and its last word', async () => {
    const { folder, open, before } = await opened();
    const lost = versions(folder, 'scopes', 'OPTIMIZE')[0] as number;
    truncateSync(entry(folder, 'scopes', lost), 40);
    // It compacts whenever the repair asks for the last version, which it does before each look and before it announces anything.
    const highest = Reflect.get<DeltaLog, 'highestVersion'>(DeltaLog.prototype, 'highestVersion');
    const outcomes: string[] = [];
    let isInside = false;
    const spy = vi.spyOn(DeltaLog.prototype, 'highestVersion').mockImplementation(async function (this: DeltaLog) {
      const version = await highest.call(this);
      if (isInside || this.table !== 'scopes') return version;
      isInside = true;
      await open.compact().then(
        () => outcomes.push('done'),
        (error: { code: string }) => outcomes.push(error.code),
      );
      isInside = false;
      return version;
    });
    onTestFinished(() => spy.mockRestore());
    await storageIn(folder).repair();
    spy.mockRestore();
    expect(new Set(outcomes)).toEqual(new Set(['done', 'STORE_DAMAGED']));
    for (const each of [open, storageIn(folder)]) expect(await everything(each)).toEqual(before);
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
  });

  test('cannot go on either where the repair was killed before it replaced anything, until the next one has', async () => {
    const { folder, open, before } = await opened();
    const version = versions(folder, 'scopes', 'OPTIMIZE')[0] as number;
    const file = entry(folder, 'scopes', version);
    truncateSync(file, 40);
    const { scopes } = logsIn(folder, { readCheckpoint: () => Promise.reject(new Error('there is none')) });
    await announceRebuild(scopes, [{ version, file, kind: 'damaged', what: 'it is cut' }]);
    const damaged = { code: 'STORE_DAMAGED', message: expect.stringContaining(file) };
    for (const attempt of ['first', 'second']) {
      await expect(open.compact(), attempt).rejects.toMatchObject(damaged);
      await expect(open.sql`SELECT count(*) FROM scopes`, attempt).rejects.toMatchObject(damaged);
    }
    await storageIn(folder).repair();
    await open.compact();
    for (const each of [open, storageIn(folder)]) expect(await everything(each)).toEqual(before);
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
  });

  test('writes no checkpoint of what it knew, and the next one is written at once', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await claimRows(store, 'brave-otter');
    for (let batch = 1; batch <= checkpointEvery + 2; batch++) await store.write(await run.scope(batch).batch());
    const log = join(folder, 'scopes', '_delta_log');
    expect(await lastCheckpointVersion(log)).toBe(checkpointEvery);
    rmSync(entry(folder, 'scopes', 30));
    await storageIn(folder).repair();
    const announced = versions(folder, 'scopes', 'REPAIR').at(-1) as number;
    expect(announced).toBe(checkpointEvery + 3);
    await vi.waitFor(async () => expect(await lastCheckpointVersion(log)).toBeGreaterThanOrEqual(announced));
    await store.write(await run.scope(999).batch());
    expect(await selectIn(store, 'SELECT count(*) FROM scopes')).toEqual([[checkpointEvery + 3]]);
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
  });
});
