import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lockRepairs } from '../src/storage/repair.ts';
import { contentOf, flip, segmentOf, twoRuns } from './damaged-stores.ts';
import { temporaryFolder } from './folders.ts';
import { storageIn } from './parquet-history.ts';

const second = '000000000002-0-1'; // the batch of run 2

test('a store is repaired by one at a time: who comes second is told, and finds nothing to do afterwards', async () => {
  const folder = await twoRuns();
  flip(segmentOf(folder, 'tags', second), 100);
  const repairs = await Promise.allSettled([storageIn(folder).repair(), storageIn(folder).repair()]);
  const [done, refused] = repairs.toSorted((a, b) => (a.status < b.status ? -1 : 1));
  expect(done).toMatchObject({ status: 'fulfilled', value: { lost: [{ table: 'tags' }], left: [] } });
  expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'STORE_LOCKED' } });
  expect(existsSync(join(folder, 'repair.lock'))).toBe(false);
  expect(await storageIn(folder).verify()).toMatchObject({ ok: true });
  expect(await storageIn(folder).repair()).toEqual({ lost: [], done: [], left: [] });
});

test('a repair that is refused names the store, keeps the process as its cause, and touches nothing', async () => {
  const folder = await twoRuns();
  flip(segmentOf(folder, 'tags', second), 100);
  const lock = await lockRepairs(folder);
  const before = contentOf(folder);
  const refused = await storageIn(folder)
    .repair()
    .catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'STORE_LOCKED', message: expect.stringContaining(folder) });
  expect((refused as Error).cause).toMatchObject({ message: expect.stringContaining(String(process.pid)) });
  expect(contentOf(folder)).toEqual(before);
  await lock.release();
  expect((await storageIn(folder).repair()).lost).toHaveLength(1);
});

test('where there is no store, nothing is locked', async () => {
  const folder = join(temporaryFolder(), 'none');
  await expect(storageIn(folder).repair()).rejects.toMatchObject({ code: 'STORE_PATH' });
  expect(existsSync(folder)).toBe(false);
});
