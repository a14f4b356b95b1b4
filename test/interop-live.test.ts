import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { ParquetStorage } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';
import { closeReaders, type Reader, storeReaders } from './interop/readers.ts';
import { isLarge } from './size.ts';

/** For so long the store is written, in milliseconds. */
const duration = isLarge ? 60_000 : 6_000;

afterAll(closeReaders);

test(
  'every reader of a store sees it grow, whole, while two processes write it and one compacts it',
  { timeout: duration + 60_000 },
  async () => {
    const folder = join(temporaryFolder(), 'history');
    await using storage = new ParquetStorage(folder, { threads: 1 });
    const writers = [0, 1].map(() => writerProcess(folder, duration));
    while ((await storage.ids().catch(() => [])).length === 0) await sleep(20);

    const over = new AbortController();
    const compacting = (async () => {
      let compactions = 0;
      for (; !over.signal.aborted; compactions++) {
        await storage.compact();
        await sleep(100);
      }
      return compactions;
    })();
    const watching = storeReaders.map(async (reader) => {
      const counts: number[] = [];
      while (!over.signal.aborted) counts.push(await countScopes(reader, folder));
      return { reader, counts };
    });
    const written = await Promise.all(writers.map(async (output) => Number(await output)));
    over.abort();

    expect(await compacting).toBeGreaterThan(1);
    const total = (written[0] as number) + (written[1] as number);
    for (const { reader, counts } of await Promise.all(watching)) {
      expect(counts.length, reader.name).toBeGreaterThan(1);
      expect(counts, reader.name).toEqual([...counts].sort((a, b) => a - b));
      expect(await countScopes(reader, folder), reader.name).toBe(total);
    }
    expect(await storage.search('*', { runs: 'all' }).count()).toBe(total);
  },
);

/** How many scopes a reader sees. Throws where it sees one twice. */
async function countScopes(reader: Reader, folder: string): Promise<number> {
  const path = reader.source === 'log' ? join(folder, 'scopes') : folder;
  const { sid } = await reader.read(path, { sid: 'bigint' }, 'scopes');
  const count = sid?.cells.length ?? 0;
  if (new Set(sid?.cells).size !== count) throw new Error(`${reader.name} sees scopes twice`);
  return count;
}

/** What a writing process says in the end: how many scopes it has written. */
async function writerProcess(folder: string, milliseconds: number): Promise<string> {
  const script = fileURLToPath(new URL('programs/interop-writer.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, folder, String(milliseconds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return await text(child.stdout);
}
