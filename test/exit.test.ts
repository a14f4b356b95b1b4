import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const exit = fileURLToPath(new URL('../src/exit.ts', import.meta.url));

async function run(script: string, stderr: 'pipe' | 'broken' = 'pipe'): Promise<{ code: number | null; stdout: string }> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', `import { lastWords, onExit } from ${JSON.stringify(exit)};\n${script}`],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  if (stderr === 'broken') child.stderr.destroy();
  let stdout = '';
  child.stdout.on('data', (data) => (stdout += String(data)));
  child.stdin.end();
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout };
}

const say = (text: string): string => `onExit(() => process.stdout.write(${JSON.stringify(text)}));`;

test('each job is done, also after one that throws, which the process then tells', async () => {
  const { code, stdout } = await run(`${say('a')} onExit(() => { throw new Error('b'); }); ${say('c')}`);
  expect(stdout).toBe('ac');
  expect(code).not.toBe(0);
});

test.skipIf(process.platform === 'win32')('last words that nobody can hear keep nothing else from happening', async () => {
  const words = `onExit(() => lastWords('x'.repeat(100_000)));`;
  const wait = `await new Promise((resolve) => setTimeout(resolve, 300));`;
  expect(await run(`${words} ${say('done')} ${wait}`, 'broken')).toEqual({ code: 0, stdout: 'done' });
});

test.skipIf(process.platform === 'win32')(
  'a job is done before somebody who listens as well ends the process by a signal',
  async () => {
    const script = `${say('done')}
    const last = () => { if (process.listenerCount('SIGTERM') === 1) { process.off('SIGTERM', last); process.kill(process.pid, 'SIGTERM'); } };
    process.on('SIGTERM', last);
    setTimeout(() => {}, 5_000);
    process.kill(process.pid, 'SIGTERM');`;
    expect(await run(script)).toEqual({ code: null, stdout: 'done' });
  },
);

test('a job that was called off is not done, and leaves signals to themselves', async () => {
  const script = `const off = onExit(() => process.stdout.write('no')); off(); off(); ${say('yes')}
    process.stdout.write(process.listenerCount('SIGTERM') + ' ');`;
  expect(await run(script)).toEqual({ code: 0, stdout: '1 yes' });
});
