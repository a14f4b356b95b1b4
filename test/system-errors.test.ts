import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { MarqueError } from '../src/index.ts';
import { AcknowledgedFile } from '../src/storage/acknowledged.ts';
import { fingerprint } from '../src/storage/checksum.ts';
import { checkClaims } from '../src/storage/claim-check.ts';
import { beatingRuns, claimRun, lapsedRuns } from '../src/storage/claims.ts';
import { isThere, namesIn, remove, syncFolder } from '../src/storage/files.ts';
import { lockFile } from '../src/storage/lock.ts';
import { currentOwner } from '../src/storage/owner.ts';
import { type SpillFile, Spills } from '../src/storage/spills.ts';
import { type Operation, release, systemError, watch } from './faults/shim.mjs';
import { temporaryFolder } from './folders.ts';
import { storageIn, storeIn, writeRun } from './parquet-history.ts';
import { claimRows } from './store-rows.ts';

afterEach(() => void release());

/** Lets every operation of a kind fail, on paths below a folder that fit. */
function fail(folder: string, name: string, path: RegExp): void {
  const isMeant = (operation: Operation) => operation.name === name && path.test(operation.path.slice(folder.length));
  watch(folder, {
    before: (operation) => {
      if (isMeant(operation)) throw systemError('EIO', operation);
      return undefined;
    },
  });
}

/** What a job that has to fail is rejected with, the system being as before afterwards. */
async function failureOf(job: () => Promise<unknown>): Promise<unknown> {
  try {
    return await job().then(
      () => null,
      (error: unknown) => error,
    );
  } finally {
    release();
  }
}

function expectWords(error: unknown, code: string, path: string): void {
  expect(error).toBeInstanceOf(MarqueError);
  expect(error).toMatchObject({ code, message: expect.stringContaining(path), cause: { code: 'EIO' } });
}

describe('a store of which the system refuses', () => {
  const flush = async (folder: string): Promise<void> => {
    const store = storeIn(folder);
    const run = await claimRows(store, crypto.randomUUID());
    await store.write(await run.scope(1).tag(1, 0, 'a').batch());
  };
  const query = async (folder: string) => await storageIn(folder).ids();
  const vacuum = async (folder: string) => await storageIn(folder).vacuum({ retention: 0 });

  test.each([
    ['the claims', 'readdir', /^\/_runs$/, flush],
    ['a segment that was just written', 'open', /^\/tags\/[^/]+\.parquet$/, flush],
    ['the end of that segment', 'read', /^\/tags\/[^/]+\.parquet$/, flush],
    ['word of that segment', 'stat', /^\/tags\/[^/]+\.parquet$/, flush],
    ['the spills', 'readdir', /^\/spill$/, query],
    ['the folder of a table', 'readdir', /^\/tags$/, vacuum],
    ['word of a file that is needed no more', 'stat', /^\/tags\/[^/]+\.parquet$/, vacuum],
  ] as const)('%s (%s): says so with the place, and goes on the next time', async (_what, operation, path, job) => {
    const folder = join(temporaryFolder(), 'history');
    await writeRun(storeIn(folder), 'brave-otter', 2);
    await storageIn(folder).compact();
    fail(folder, operation, path);
    expectWords(await failureOf(() => job(folder)), 'STORE_PATH', folder);
    await job(folder);
  });

  test('the sync of a log that holds the batch already: says so, and goes on the next time', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const batch = await (await claimRows(store, 'brave-otter')).scope(1).tag(1, 0, 'a').batch();
    await store.write(batch);
    fail(folder, 'sync', /^\/tags\/_delta_log$/);
    expectWords(await failureOf(() => store.write(batch)), 'STORE_UNWRITABLE', join(folder, 'tags', '_delta_log'));
    await store.write(batch);
  });
});

describe('what the system says of a file is told with its path', () => {
  const spills = (path: string) => new Spills(dirname(path));
  const spill = (path: string): SpillFile => ({ path, uuid: 'a', writer: 'a/0', number: 1 });
  const acknowledged = (path: string) => new AcknowledgedFile(path.replace('.acknowledged', ''));
  const nothing = { batches: 0, claims: 0 };
  const claim = (path: string) => claimRun(path, { uuid: 'u', flow: 'f', drawSlug: () => 'brave-otter' });

  test.each([
    ['isThere', 'stat', 'STORE_PATH', 'file', isThere],
    ['namesIn', 'readdir', 'STORE_PATH', 'folder', namesIn],
    ['fingerprint opens', 'open', 'STORE_PATH', 'file', fingerprint],
    ['fingerprint reads', 'read', 'STORE_PATH', 'file', fingerprint],
    ['claimRun', 'readdir', 'STORE_PATH', 'folder', claim],
    ['beatingRuns lists', 'readdir', 'STORE_PATH', 'folder', (path: string) => beatingRuns(path, 60_000)],
    ['beatingRuns looks', 'stat', 'STORE_PATH', '7.json', (path: string) => beatingRuns(dirname(path), 60_000)],
    ['lapsedRuns', 'readFile', 'STORE_PATH', '7.json', (path: string) => lapsedRuns(dirname(path), [7])],
    ['checkClaims', 'readdir', 'STORE_PATH', 'folder', checkClaims],
    ['Spills.list', 'readdir', 'STORE_PATH', 'folder', (path: string) => new Spills(path).list()],
    ['Spills.remove', 'rm', 'STORE_UNWRITABLE', 'file', (path: string) => spills(path).remove([spill(path)])],
    ['Spills.setAside', 'rename', 'STORE_UNWRITABLE', 'file', (path: string) => spills(path).setAside([spill(path)])],
    ['remove', 'rm', 'STORE_UNWRITABLE', 'file', remove],
    [
      'a lock that is released',
      'rm',
      'STORE_UNWRITABLE',
      'file.lock',
      async (path: string) => (await lockFile(path.slice(0, -5))).release(),
    ],
    ['a lock that is inherited', 'rename', 'STORE_UNWRITABLE', 'dead.lock', (path: string) => lockFile(path.slice(0, -5))],
    ['AcknowledgedFile', 'readFile', 'STORE_PATH', 'f.acknowledged', (path: string) => acknowledged(path).check('f', nothing)],
    ['syncFolder opens', 'open', 'STORE_UNWRITABLE', 'folder', syncFolder],
    ['syncFolder syncs', 'sync', 'STORE_UNWRITABLE', 'folder', syncFolder],
  ] as const)('by %s (%s): %s', async (_who, operation, code, name, job) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'folder'));
    writeFileSync(join(folder, 'file'), 'content');
    writeFileSync(join(folder, '7.json'), '{}');
    writeFileSync(join(folder, 'dead.lock'), JSON.stringify({ ...currentOwner(), id: crypto.randomUUID(), pid: 2 ** 30 }));
    fail(folder, operation, new RegExp(`^/${name}`));
    expectWords(await failureOf(() => job(join(folder, name))), code, join(folder, name));
  });

  test('by Spills.read', async () => {
    const path = join(temporaryFolder(), 'a-0-1.jsonl');
    mkdirSync(path);
    await expect(spills(path).read(spill(path))).rejects.toMatchObject({
      code: 'STORE_PATH',
      message: expect.stringContaining(path),
    });
  });
});
