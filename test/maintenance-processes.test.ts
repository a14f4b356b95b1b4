import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { tableNames } from '../src/schema.ts';
import { temporaryFolder } from './folders.ts';
import { everything, segmentCounts, storageIn, storeIn, writeRun } from './parquet-history.ts';
import { root } from './parquet-stores.ts';
import { isLarge } from './size.ts';

type Child = ChildProcess & { readonly stdout: NonNullable<ChildProcess['stdout']> };

function started(...args: readonly string[]): Child {
  const child = spawn(process.execPath, ['--import', 'tsx', ...args], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** A process that compacts a store over and over, having said that it is about to. */
function compactor(folder: string): Child {
  const script = `const { ParquetStorage } = await import('./src/index.ts');
    const storage = new ParquetStorage(process.argv[1], { threads: 1 });
    await storage.versions();
    console.log('ready');
    for (let bytes = 2_000; ; bytes *= 2) await storage.compact({ segmentBytes: bytes });`;
  return started('--input-type=module', '-e', script, folder);
}

describe('other processes', () => {
  test('write while this one compacts, vacuums and verifies: nothing is lost, doubled or reported', async () => {
    const folder = join(temporaryFolder(), 'history');
    const [writers, batches] = [2, isLarge ? 500 : 40];
    const program = fileURLToPath(new URL('parquet-writer.ts', import.meta.url));
    const children = Array.from({ length: writers }, () => started(program, folder, String(batches)));
    const said = Promise.all(children.map((child) => text(child.stdout)));
    await Promise.all(children.map((child) => once(child.stdout, 'data')));
    const storage = storageIn(folder);
    let least = 0;
    while (children.some(({ exitCode }) => exitCode === null)) {
      await storage.compact();
      await storage.vacuum({ retention: 0 });
      expect((await storage.verify()).problems).toEqual([]);
      const [counts] = await storage.sql<{ scopes: number; tags: number }>`
        SELECT (SELECT count(*) FROM scopes) AS scopes, (SELECT count(*) FROM tags) AS tags`;
      expect(counts?.tags).toBe(counts?.scopes);
      expect(counts?.scopes).toBeGreaterThanOrEqual(least);
      least = counts?.scopes as number;
    }
    expect((await said).map((lines) => lines.trim().split('\n').length)).toEqual(Array(writers).fill(batches));
    const scopes = writers * batches * 2;
    expect(await storage.sql`SELECT count(*) AS n, count(DISTINCT sid) AS sids FROM tags`).toEqual([{ n: scopes, sids: scopes }]);
    expect(await storage.sql`SELECT count(*) AS n, count(DISTINCT sid) AS sids FROM scopes`).toEqual([
      { n: scopes, sids: scopes },
    ]);
  });

  test('are killed while they compact: not a row changes, and the next compaction goes on', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 24);
    const before = await everything(storageIn(folder));
    for (const pause of isLarge ? Array(20).keys() : [1, 5]) {
      const child = compactor(folder);
      await once(child.stdout, 'data');
      await sleep(pause * 25);
      child.kill('SIGKILL');
      await once(child, 'close');
      expect(await everything(storageIn(folder))).toEqual(before);
      expect((await storageIn(folder).verify()).problems).toEqual([]);
    }
    await storageIn(folder).compact();
    expect(await everything(storageIn(folder))).toEqual(before);
    expect(await segmentCounts(store)).toEqual(Object.fromEntries(tableNames.map((table) => [table, 2])));
  });
});
