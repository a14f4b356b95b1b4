import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { child } from './child.ts';

const exact = 'execve' in process; // of Node 22.15 and 24

describe('a process that leaves a database open', () => {
  it.each([
    ['ends by itself when nothing is under way', ['idle'], { code: 0, signal: null }],
    ['ends by itself after the query under way', ['query'], { code: 0, signal: null }],
    [
      'ends at once by process.exit during a query',
      ['exit', '3'],
      exact ? { code: 3, signal: null } : { code: null, signal: 'SIGKILL' },
    ],
    [
      'ends at once by process.exit during a scan of batches',
      ['scan', '3'],
      exact ? { code: 3, signal: null } : { code: null, signal: 'SIGKILL' },
    ],
    [
      'ends as interrupted during a scan of batches',
      ['scan', '130'],
      exact ? { code: 130, signal: null } : { code: null, signal: 'SIGINT' },
    ],
    ['ends at once by an uncaught exception', ['throw'], exact ? { code: 1, signal: null } : { code: null, signal: 'SIGKILL' }],
  ])('%s', async (_label, args, expected) => {
    const outcome = await child('exit-with-database.ts', args, { timeout: 15_000 });
    expect(outcome).toMatchObject({
      ...expected,
      output: expect.stringMatching(args[0] === 'throw' ? 'thrown on purpose' : 'survived'),
    });
    const folder = /spills into (.*)/.exec(outcome.output)?.[1] as string;
    expect(readdirSync(tmpdir())).not.toContain(folder);
  });

  it('reads long texts whole while everything unreferenced is collected', async () => {
    expect((await child('results-under-gc.ts', [], { flags: ['--expose-gc'], timeout: 30_000 })).output.trim()).toBe('survived');
  });

  it('is refused in a worker thread, whose end could abort the process', async () => {
    expect((await child('worker-opens.mjs', [], { timeout: 15_000 })).output).toContain('worker thread');
  });
});
