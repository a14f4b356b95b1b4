import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import * as marque from '../src/index.ts';
import { release, systemError, watch } from './faults/shim.mjs';
import { scratchFolder } from './faults/scratch.ts';
import { keysOf, workFlow } from './faults/work.mjs';

const scratch = scratchFolder();
const disk = join(scratch, 'disk');
const megabyte = 2 ** 20;
mkdirSync(disk);
const isMounted = mountSmall(disk);
afterAll(() => {
  if (isMounted) execFileSync('umount', ['--lazy', disk]);
});

const storages: readonly (readonly [name: string, open: () => marque.ParquetStorage | marque.DuckDBStorage])[] = [
  ['ParquetStorage', () => new marque.ParquetStorage(join(disk, 'history'), { threads: 1, flush: { ms: 600_000 } })],
  ['DuckDBStorage', () => new marque.DuckDBStorage(join(disk, 'history.duckdb'), { threads: 1, flush: { ms: 600_000 } })],
];

describe.each(storages)('%s on a full disk', (_, open) => {
  test('keeps what it cannot write, says so, and stores it once when there is space again', async () => {
    await using storage = open();
    await workFlow(marque, storage, 'a', 2).execute();
    let space: () => void = () => undefined;
    const flow = workFlow(marque, storage, 'b', 20, (index, handle) => {
      if (index === 0) space = fill(); // the run has begun by then, and nothing is left to do but its one flush
      handle.keep('noise', randomBytes(100_000));
    });
    await expect(flow.execute()).rejects.toMatchObject({
      code: 'STORE_UNWRITABLE',
      message: expect.stringContaining(disk) as string,
    });
    for (let time = 0; time < 2; time++) await expect(storage.flush()).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
    expect((await storage.search('*', { runs: 'all' }).ids()).length).toBe(22);

    space();
    await storage.flush();
    await storage.flush();
    await storage.close();
    await using again = open();
    expect(await keysIn(again)).toEqual([...keysOf('a', 2), ...keysOf('b', 20)].sort());
    expect(await again.sql`SELECT count(*) AS n FROM artifacts WHERE name = 'noise'`).toEqual([{ n: 20 }]);
    await workFlow(marque, again, 'c', 2).execute();
    expect((await keysIn(again)).length).toBe(24);
  });
});

/** As heldBy, where steps keep more than the data. */
async function keysIn(storage: marque.ParquetStorage | marque.DuckDBStorage): Promise<string[]> {
  const rows = await storage.sql<{ content: string }>`SELECT content FROM scopes JOIN tags USING (sid) ORDER BY content`;
  return rows.map(({ content }) => content);
}

/** Leaves no space, until the function returned is called. */
function fill(): () => void {
  if (!isMounted) {
    const full = new Set(['appendFile', 'copyFile', 'link', 'mkdir', 'open', 'rename', 'sync', 'write', 'writeFile']);
    watch(disk, {
      before: (operation) => {
        if (operation.changes && full.has(operation.name)) throw systemError('ENOSPC', operation);
        return undefined;
      },
    });
    onTestFinished(() => void release());
    return () => void release();
  }
  const { bavail, bsize } = statfsSync(disk);
  const ballast = join(disk, 'ballast');
  writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - megabyte / 2)));
  return () => rmSync(ballast);
}

/** A disk of a few megabytes, where the system lets us have one. */
function mountSmall(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder], { stdio: 'pipe' });
    return true;
  } catch (error) {
    const why = (error as { stderr?: Buffer }).stderr?.toString().trim() ?? String(error);
    process.stderr.write(`no small disk can be mounted (${why}): it is simulated below our own file operations\n`);
    return false;
  }
}
