import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

test('the first example prints sums, newest first, then differences, and the same ones every time but for the run', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'marque-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const _ of ['a new store', 'the same store']) {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), path.join(root, 'examples/simple-math.ts')],
      { cwd: folder, env: { ...process.env, TSX_TSCONFIG_PATH: path.join(root, 'tsconfig.json') } },
    );
    const [run, ...lines] = stdout.trimEnd().split('\n');
    expect(run).toMatch(/^run [a-z]+-[a-z]+$/);
    expect(lines).toEqual(['47 + 18', '95 + 74', '78 + 45', '-28', '-11', '12 scopes, 0 errors']);
    expect(stderr).toBe('');
  }
});
