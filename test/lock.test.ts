import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { canonicalPath, lockFile, type Lock } from '../src/storage/lock.ts';
import { currentOwner, type Owner } from '../src/storage/owner.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'marque-lock-'));
  file = join(folder, 'history.duckdb');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** A lock left behind by somebody, as the file's name and its content. */
async function leave(path: string, owner: Partial<Owner>): Promise<string> {
  const id = randomUUID();
  await writeFile(path, JSON.stringify({ id, ...currentOwner(), lockedAt: '2026-01-02T03:04:05.000Z', ...owner }));
  return id;
}

/** The pid of a process that has ended. */
async function deadPid(): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', 'console.log(process.pid)']);
  return Number(stdout);
}

/** How many of several attempts at once got the lock, and the codes of those who did not. */
async function contend(times: number): Promise<{ locks: Lock[]; codes: unknown[] }> {
  const results = await Promise.allSettled(Array.from({ length: times }, () => lockFile(file)));
  return {
    locks: results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])),
    codes: results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as { code: unknown }).code] : [])),
  };
}

describe('a lock', () => {
  test('is refused to the second at once, naming the process', async () => {
    const lock = await lockFile(file);
    await expect(lockFile(file)).rejects.toMatchObject({
      code: 'STORE_LOCKED',
      message: expect.stringContaining(`this process (${process.pid})`),
    });
    await lock.release();
  });

  test('is free again after release, and release may be called twice', async () => {
    const first = await lockFile(file);
    await first.release();
    const second = await lockFile(file);
    await first.release();
    await expect(lockFile(file)).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await second.release();
    expect(await readdir(folder)).toEqual([]);
  });

  test('goes to exactly one of twenty who ask at once', async () => {
    const { locks, codes } = await contend(20);
    expect(locks).toHaveLength(1);
    expect(new Set(codes)).toEqual(new Set(['STORE_LOCKED']));
  });

  const deaths: [string, () => Promise<Partial<Owner>>][] = [
    ['has ended', async () => ({ pid: await deadPid() })],
    ['has ended, its pid being used again', async () => ({ pid: process.pid, processStartedAt: 1 })],
    ['ran before the machine was started', async () => ({ bootId: randomUUID() })],
  ];
  test.skipIf(process.platform !== 'linux').for(deaths)(
    'of a process that %s is taken over, by exactly one of twenty',
    async ([, owner]) => {
      await leave(`${file}.lock`, await owner());
      const { locks, codes } = await contend(20);
      expect(locks).toHaveLength(1);
      expect(new Set(codes)).toEqual(new Set(['STORE_LOCKED']));
      expect(await readdir(folder)).toEqual(['history.duckdb.lock']);
      expect(JSON.parse(await readFile(`${file}.lock`, 'utf8'))).toMatchObject({ pid: process.pid });
    },
  );

  test('whose heirs died while taking it over is taken over, and nothing of them stays', async () => {
    const pid = await deadPid();
    const first = await leave(`${file}.lock`, { pid });
    const second = await leave(`${file}.lock.${first}`, { pid });
    await leave(`${file}.lock.${second}`, { pid });
    const { locks } = await contend(20);
    expect(locks).toHaveLength(1);
    expect(await readdir(folder)).toEqual(['history.duckdb.lock']);
  });

  test('that a living heir is just taking over is refused', async () => {
    const first = await leave(`${file}.lock`, { pid: await deadPid() });
    await leave(`${file}.lock.${first}`, {});
    await expect(lockFile(file)).rejects.toMatchObject({ code: 'STORE_LOCKED' });
  });

  test('of another host is never taken over, and the message says which file to delete', async () => {
    await leave(`${file}.lock`, { host: 'elsewhere', pid: 7 });
    await expect(lockFile(file)).rejects.toMatchObject({
      code: 'STORE_LOCKED',
      message: expect.stringMatching(/process 7 on "elsewhere".*\.lock"/),
    });
  });

  test.runIf(process.platform === 'linux')(
    'of another container is taken over once it has been silent for ten minutes',
    async () => {
      await leave(`${file}.lock`, { pidNamespace: 'pid:[1]', pid: 7 });
      const touch = (ms: number) => utimes(`${file}.lock`, new Date(Date.now() - ms), new Date(Date.now() - ms));
      await touch(590_000);
      await expect(lockFile(file)).rejects.toMatchObject({ code: 'STORE_LOCKED' });
      await touch(610_000);
      const lock = await lockFile(file);
      await lock.release();
      expect(await readdir(folder)).toEqual([]);
    },
  );

  test('is touched every ten seconds until it is released', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const lock = await lockFile(file);
    await utimes(`${file}.lock`, 0, 0);
    vi.advanceTimersByTime(10_000);
    await vi.waitFor(async () => expect((await stat(`${file}.lock`)).mtimeMs).toBeGreaterThan(Date.now() - 60_000));
    await lock.release();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('file of somebody else is neither taken over nor removed', async () => {
    await writeFile(`${file}.lock`, 'mine');
    await expect(lockFile(file)).rejects.toMatchObject({ code: 'STORE_LOCKED', message: expect.stringContaining('not a lock') });
    expect(await readFile(`${file}.lock`, 'utf8')).toBe('mine');
  });

  test('below a file raises STORE_UNWRITABLE', async () => {
    await writeFile(file, '');
    await expect(lockFile(join(file, 'history.duckdb'))).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
  });

  test('that a killed process left is contended for by four processes: one wins, three are refused', async () => {
    await leave(`${file}.lock`, { pid: await deadPid() });
    const script = `
      import { lockFile } from ${JSON.stringify(new URL('../src/storage/lock.ts', import.meta.url).href)};
      const start = Number(process.argv[2]);
      while (Date.now() < start);
      try { await lockFile(process.argv[1]); console.log('won'); } catch (error) { console.log(error.code); }
      setTimeout(() => {}, start + 1500 - Date.now());`;
    const start = String(Date.now() + 2_500);
    const run = () =>
      promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, file, start]);
    const said = (await Promise.all([run(), run(), run(), run()])).map(({ stdout }) => stdout.trim());
    expect(said.sort()).toEqual(['STORE_LOCKED', 'STORE_LOCKED', 'STORE_LOCKED', 'won']);
  });
});

describe('canonicalPath', () => {
  test('is the same through links to the file, to its folder, and to nothing yet', async () => {
    await mkdir(join(folder, 'real'));
    await symlink(join(folder, 'real'), join(folder, 'linked'));
    await symlink('real/later.duckdb', join(folder, 'dangling.duckdb'));
    const path = await canonicalPath(join(folder, 'real', 'later.duckdb'));
    expect(await canonicalPath(join(folder, 'linked', 'later.duckdb'))).toBe(path);
    expect(await canonicalPath(join(folder, 'dangling.duckdb'))).toBe(path);
    await writeFile(path, '');
    expect(await canonicalPath(join(folder, 'linked', 'later.duckdb'))).toBe(path);
    expect(await canonicalPath(join(folder, 'dangling.duckdb'))).toBe(path);
    expect(await canonicalPath(join(folder, 'real', 'no', 'such', 'file'))).toBe(join(path, '..', 'no', 'such', 'file'));
  });
});
