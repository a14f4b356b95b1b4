import { expect, test } from 'vitest';
import { Flow, MemoryStorage, repeat, retry } from '../src/index.ts';
import { describeProgress, type Progress } from '../src/progress.ts';

const half: Progress = { run: 'brave-otters', done: 1_200, total: 2_400, errors: 0, elapsedMs: 6_000 };

test.each<readonly [string, Partial<Progress>, string]>([
  ['a run half way', {}, 'brave-otters: 1,200 of 2,400 steps, 200/s, 6s left'],
  ['one with errors', { errors: 2 }, 'brave-otters: 1,200 of 2,400 steps, 200/s, 2 errors, 6s left'],
  ['one that ended', { done: 2_400, errors: 1 }, 'brave-otters: 2,400 steps, 400/s, 1 error, 6s'],
  ['one whose length nobody knows', { total: Number.POSITIVE_INFINITY }, 'brave-otters: 1,200 steps, 200/s, 6s'],
  ['one that has just begun', { done: 0, elapsedMs: 0 }, 'brave-otters: 0 of 2,400 steps, 0/s, ~0ms'],
])('%s is told in one line', (_name, change, line) => {
  expect(describeProgress({ ...half, ...change })).toBe(line);
});

test('a retried step counts once, and what was pushed while the flow ran counts too', async () => {
  let calls = 0;
  const flow = new Flow('test', new MemoryStorage(), { logLevel: 'silent' });
  function flaky(): void {
    if (++calls < 3) throw new Error('not yet');
  }
  function bad(): never {
    throw new Error('bad');
  }
  flow
    .push(
      repeat(function parent(inner) {
        inner.push(bad);
      }, 2),
    )
    .push(retry(flaky, 3));
  await flow.execute();
  expect(flow.progress).toMatchObject({ run: flow.run, done: 5, total: 5, errors: 2 });
});
