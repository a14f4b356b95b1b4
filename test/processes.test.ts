import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ParquetStorage } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program in a process of its own; sends it the signals once it waits. */
async function run(folder: string, ending: string, signals: readonly NodeJS.Signals[] = [], name = 'slow.ts'): Promise<Ended> {
  const program = fileURLToPath(new URL(`programs/${name}`, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program, folder, ending], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stderr.on('data', (data) => (stderr += String(data)));
  child.stdout.on('data', (data) => {
    stdout += String(data);
    if (String(data).includes('waiting'))
      signals.forEach((signal, index) => setTimeout(() => child.kill(signal), 50 + 100 * index));
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

async function finished(folder: string): Promise<readonly string[]> {
  await using storage = new ParquetStorage(folder);
  return (await storage.search('*', { order: 'oldest' })).map(({ step, status }) => `${step} ${status}`);
}

async function runState(folder: string): Promise<unknown> {
  await using storage = new ParquetStorage(folder);
  return (await storage.sql`SELECT state FROM runs`)[0]?.state;
}

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('the first %s lets the running step finish, flushes and exits with %d', async (signal, code) => {
  const folder = temporaryFolder();
  expect(await run(folder, 'finishes', [signal])).toEqual({ code, stdout: 'waiting\n', stderr: '' });
  expect(await finished(folder)).toEqual(['quick ok', 'quick ok', 'quick ok', 'slow ok']);
  expect(await runState(folder)).toBe('aborted');
});

test('the second Ctrl-C exits at once', async () => {
  const started = performance.now();
  expect(await run(temporaryFolder(), 'hangs', ['SIGINT', 'SIGINT'])).toMatchObject({ code: 130, stdout: 'waiting\n' });
  expect(performance.now() - started).toBeLessThan(60_000);
});

test('a step that never settles is blamed, what finished is flushed, and the exit code is not zero', async () => {
  const folder = temporaryFolder();
  const { code, stderr } = await run(folder, 'never settles');
  expect(code).toBe(1);
  expect(stderr).toContain('STEP_NEVER_SETTLES');
  expect(await finished(folder)).toEqual(['quick ok', 'quick ok', 'quick ok', 'slow error']);
  expect(await runState(folder)).toBe('failed');
});

test('of a flow within a flow only the inner one is stuck: the outer goes on', async () => {
  const { code, stdout } = await run(temporaryFolder(), 'never settles', [], 'nested.ts');
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'inner STEP_NEVER_SETTLES\nouter ok, ok\n' });
});

test('a process whose flow has ended exits by itself', async () => {
  expect(await run(temporaryFolder(), 'ends')).toMatchObject({ code: 0, stdout: 'waiting\nnot reached when interrupted\n' });
});
