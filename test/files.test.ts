import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { makeFolder, publish, publishIfAbsent, putIfAbsent, temporaryBeside, writeWhole } from '../src/storage/files.ts';
import { release, systemError, watch } from './faults/shim.mjs';
import { temporaryFolder } from './folders.ts';

describe('writeWhole', () => {
  test('creates a file, then replaces it, and leaves nothing else', async () => {
    const folder = temporaryFolder();
    for (const content of ['first', '', 'a third, longer content']) {
      await writeWhole(join(folder, 'file'), content);
      expect(readFileSync(join(folder, 'file'), 'utf8')).toBe(content);
    }
    expect(readdirSync(folder)).toEqual(['file']);
  });

  test('leaves a whole file when the process is killed', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'file');
    const module = fileURLToPath(new URL('../src/storage/files.ts', import.meta.url));
    const script = `import { writeWhole } from ${JSON.stringify(module)};
      for (let turn = 0; ; turn++) await writeWhole(process.argv[1], String(turn % 10).repeat(1_000_000));`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, path], { stdio: 'inherit' });
    while (!existsSync(path)) await sleep(5);
    await sleep(50);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(readFileSync(path, 'utf8')).toMatch(/^(\d)\1{999999}$/);
    expect(readdirSync(folder).filter((name) => !name.startsWith('.'))).toEqual(['file']);
  });
});

describe('a file that cannot be put in its place', () => {
  test.each([
    ['writeWhole', (path: string) => writeWhole(path, 'x')],
    [
      'publish',
      async (path: string) => {
        const temporary = temporaryBeside(path);
        writeFileSync(temporary, 'x');
        await publish(temporary, path);
      },
    ],
  ])('by %s leaves nothing behind', async (_name, job) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'taken'));
    await expect(job(join(folder, 'taken'))).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
    expect(readdirSync(folder)).toEqual(['taken']);
  });
});

test('a new name that cannot be made durable is told as the file or folder that it was to be', async () => {
  const folder = temporaryFolder();
  const failing = (path: string) =>
    watch(dirname(folder), {
      before: (operation) => {
        if (operation.name === 'sync' && operation.path === path) throw systemError('EIO', operation);
        return undefined;
      },
    });
  const jobs = [
    (path: string) => makeFolder(path),
    (path: string) => writeWhole(path, 'x'),
    (path: string) => putIfAbsent(path, 'x'),
  ];
  for (const [index, job] of jobs.entries()) {
    const path = join(folder, `new-${index}`);
    failing(folder);
    try {
      await expect(job(path)).rejects.toMatchObject({
        code: 'STORE_UNWRITABLE',
        message: expect.stringContaining(`"${path}" cannot be written`),
      });
    } finally {
      release();
    }
  }
});

describe('putIfAbsent', () => {
  test('gives exactly one of many that try at once the file', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'file');
    const won = await Promise.all(Array.from({ length: 20 }, (_, index) => putIfAbsent(path, String(index))));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(readFileSync(path, 'utf8')).toBe(String(won.indexOf(true)));
    expect(readdirSync(folder)).toEqual(['file']);
  });
});

describe('a file that somebody else wrote', () => {
  test('replaces the one of its name, or gives way to it', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'file');
    const written = (content: string) => {
      const temporary = temporaryBeside(path);
      writeFileSync(temporary, content);
      return temporary;
    };
    expect(await publishIfAbsent(written('1'), path)).toBe(true);
    expect(await publishIfAbsent(written('2'), path)).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('1');
    await publish(written('3'), path);
    expect(readFileSync(path, 'utf8')).toBe('3');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  test('has a hidden name until then, which no *.parquet finds, short enough for any file', () => {
    const name = temporaryBeside(`/folder/${'n'.repeat(255)}`);
    expect(name).toMatch(/^\/folder\/\.[0-9a-f-]{36}\.inprogress$/);
  });
});

describe('makeFolder', () => {
  test('makes parents, and is content with what is there', async () => {
    const folder = join(temporaryFolder(), 'a', 'b', 'c');
    await Promise.all([makeFolder(folder), makeFolder(folder)]);
    await makeFolder(folder);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('says that a file is in the way', async () => {
    const path = join(temporaryFolder(), 'file');
    writeFileSync(path, 'mine');
    await expect(makeFolder(path)).rejects.toMatchObject({ code: 'STORE_PATH', message: expect.stringContaining(path) });
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });
});

describe('what cannot be written is STORE_UNWRITABLE, with the path and the cause', () => {
  const jobs: readonly [string, (path: string) => Promise<unknown>][] = [
    ['writeWhole', (path) => writeWhole(path, 'x')],
    ['putIfAbsent', (path) => putIfAbsent(path, 'x')],
    ['publish', (path) => publish(`${path}.inprogress`, path)],
    ['publishIfAbsent', (path) => publishIfAbsent(`${path}.inprogress`, path)],
    ['makeFolder', (path) => makeFolder(path)],
  ];

  test.each(jobs)('%s below a file', async (_name, job) => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    const path = join(file, 'below');
    await expect(job(path)).rejects.toMatchObject({
      code: 'STORE_UNWRITABLE',
      message: expect.stringContaining(path),
      cause: { code: 'ENOTDIR' },
    });
  });

  test.runIf(existsSync('/proc/self')).each(jobs)('%s in /proc', async (_name, job) => {
    await expect(job('/proc/marque/below')).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
  });
});
