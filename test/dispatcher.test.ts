import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { childPath } from '../src/path.ts';
import { Flow, MemoryStorage, Random, repeat, retry, type Step, step, type StepFlow } from '../src/index.ts';

function newFlow(concurrency = 1): Flow {
  return new Flow('test', new MemoryStorage(), { logLevel: 'silent', concurrency });
}
function nothing(): void {}

/** A random step: how it behaves, and what it pushes. */
interface Plan {
  readonly kind: 'sync' | 'async' | 'fail' | 'flaky';
  readonly children: readonly Plan[];
}
/** Down to ten levels, where paths are shortened; wide at the top. */
const plan = fc.memo((depth): fc.Arbitrary<Plan> =>
  fc.record({
    kind: fc.constantFrom('sync', 'sync', 'async', 'fail', 'flaky'),
    children: depth > 1 ? fc.array(plan(), { maxLength: depth > 8 ? 3 : 1 }) : fc.constant([]),
  }),
);

/** The plain meaning: where each step stands, and which of them run. A failed step's pushes are dropped. */
function expected(groups: readonly (readonly Plan[])[]): Map<string, string> {
  const statuses = new Map<string, string>();
  const visit = (one: Plan, path: string): void => {
    statuses.set(path, one.kind === 'fail' ? 'error' : 'ok');
    if (one.kind !== 'fail') one.children.forEach((child, index) => visit(child, childPath(path, index)));
  };
  groups.forEach((group, number) => group.forEach((one, index) => visit(one, `${number}-${index}`)));
  return statuses;
}

test('every step of a random flow runs once, at its place, within its group and limit', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(plan(10), { maxLength: 4 }), { maxLength: 3 }),
      fc.integer({ min: 1, max: 5 }),
      async (groups, limit) => {
        let running = 0;
        let most = 0;
        const groupsSeen: number[] = [];
        const toStep = (one: Plan): Step => {
          const made = step('planned', async (flow) => {
            most = Math.max(most, ++running);
            groupsSeen.push(Number(flow.path.split('-')[0]));
            for (const child of one.children) flow.push(toStep(child));
            if (one.kind === 'async') await Promise.resolve();
            running--;
            if (one.kind === 'fail' || (one.kind === 'flaky' && flow.attempt < 3)) throw new Error(one.kind);
          });
          return one.kind === 'flaky' ? retry(made, 3) : made;
        };
        const flow = newFlow(limit);
        for (const group of groups) flow.push(group.map(toStep));
        await flow.execute();
        const scopes = await flow.search('*', { order: 'oldest' });
        const wanted = expected(groups);
        expect(new Map(scopes.map((scope) => [scope.path, scope.status]))).toEqual(wanted);
        expect(scopes).toHaveLength(wanted.size);
        expect(most).toBeLessThanOrEqual(limit);
        expect(groupsSeen).toEqual([...groupsSeen].sort((a, b) => a - b)); // groups are barriers
        expect(running).toBe(0);
      },
    ),
    { seed: 4, numRuns: 60 },
  );
});

test('steps run in the order of their pushes where one runs at a time', async () => {
  const flow = newFlow();
  function leaf(): void {}
  function branch(inner: StepFlow): void {
    inner.push([leaf, leaf]);
  }
  flow.push([branch, branch]).push(leaf);
  await flow.execute();
  expect((await flow.scopes).map((scope) => scope.path)).toEqual(['0-0', '0-1', '0-0-0', '0-0-1', '0-1-0', '0-1-1', '1-0']);
});

test('a group has its own limit where it is given one', async () => {
  let running = 0;
  const seen: number[] = [];
  async function wait(): Promise<void> {
    running++;
    await sleep(5);
    seen.push(running--);
  }
  await newFlow(1).push(repeat(wait, 4), {}, { concurrency: 4 }).push(repeat(wait, 2)).execute();
  expect(seen).toEqual([4, 3, 2, 1, 1, 1]);
});

test('a limit far beyond the number of steps costs nothing', async () => {
  const started = performance.now();
  await newFlow(1e9)
    .push([nothing, step('wait', () => sleep(5)), nothing])
    .execute();
  expect(performance.now() - started).toBeLessThan(5_000);
});

test('steps pushed while others wait run beside them, up to the limit', async () => {
  let running = 0;
  let most = 0;
  const child = step('child', async () => {
    most = Math.max(most, ++running);
    await sleep(10);
    running--;
  });
  const parent = step('parent', (flow) => flow.push(repeat(child, 10)));
  await newFlow(4)
    .push([parent, step('slow', () => sleep(5))])
    .execute();
  expect(most).toBe(4);
});

test('a chain of 200,000 pushes runs in a loop, and leaves no stack and no memory behind', async () => {
  let left = 200_000;
  function link(flow: StepFlow): void {
    if (--left > 0) flow.push(link);
  }
  const flow = newFlow().push(link);
  const last = await flow.execute();
  expect(last?.path).toMatch(/^0-0-0-0~[0-9a-f]{20}$/);
  expect(await flow.search('*').count()).toBe(200_000);
});

test('a chain of pushes is a loop at any limit', async () => {
  let left = 30_000;
  function link(flow: StepFlow): void {
    if (--left > 0) flow.push(link);
  }
  const flow = newFlow(10_000).failFast().push(link);
  await flow.execute();
  expect(await flow.search('*').count()).toBe(30_000);
});

test('timers run while many lanes keep the loop busy', async () => {
  const stop = new AbortController();
  const heard: number[] = [];
  const started = performance.now();
  setTimeout(() => {
    heard.push(performance.now() - started);
    stop.abort(new Error('enough'));
  }, 50);
  const busy = step('busy', () => {
    const until = performance.now() + 20;
    while (performance.now() < until);
  });
  const flow = newFlow(64).push(repeat(busy, 1_000));
  await expect(flow.execute({ signal: stop.signal })).rejects.toThrow('enough');
  expect(heard[0]).toBeLessThan(1_000); // 64 steps take 1,280 ms
  expect((await flow.scopes).length).toBeLessThan(64);
});

test('a lazy list whose clean-up fails does not hide what a step threw', async () => {
  function bad(): never {
    throw new Error('the real one');
  }
  function* list(): Generator<typeof bad> {
    try {
      yield bad;
      yield bad;
    } finally {
      throw new Error('clean-up'); // oxlint-disable-line no-unsafe-finally -- the mistake under test
    }
  }
  await expect(newFlow().failFast().push(list()).execute()).rejects.toThrow('the real one');
});

test('a lazy list of steps is read as the flow gets there', async () => {
  let made = 0;
  const stop = new AbortController();
  function* endless(): Generator<typeof nothing> {
    for (;;) {
      if (++made === 1_000) stop.abort(new Error('enough'));
      yield nothing;
    }
  }
  const flow = newFlow().push(endless());
  expect(made).toBe(0);
  await expect(flow.execute({ signal: stop.signal })).rejects.toThrow('enough');
  expect(flow.state).toBe('aborted');
  expect(await flow.scopes).toHaveLength(1_000);
});

test('a lazy list that throws ends the flow with that error, and what ran is kept', async () => {
  function* broken(): Generator<typeof nothing> {
    yield nothing;
    throw new Error('no more');
  }
  const flow = newFlow().push(broken());
  await expect(flow.execute()).rejects.toThrow('no more');
  expect(await flow.scopes).toHaveLength(1);
});

test('an abort lets running steps finish, tells them, and skips the rest', async () => {
  const stop = new AbortController();
  let told = false;
  async function running(flow: StepFlow): Promise<void> {
    flow.signal.addEventListener('abort', () => (told = true));
    stop.abort();
    await sleep(10);
    flow.tag('finished');
  }
  const flow = newFlow().push([running, nothing]).push(nothing);
  await expect(flow.execute({ signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' });
  expect(told).toBe(true);
  expect((await flow.scopes).map(({ step: name, tags }) => [name, tags.length])).toEqual([['running', 1]]);
});

test('an abort ends the wait between two attempts', async () => {
  const stop = new AbortController();
  function never(): never {
    setTimeout(() => stop.abort(), 10);
    throw new Error('never');
  }
  const flow = newFlow().push(retry(never, Number.POSITIVE_INFINITY, { delay: 60_000 }));
  await expect(flow.execute({ signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' });
  expect((await flow.scopes).map((scope) => scope.status)).toEqual(['retried']);
});

test('fail fast with several running lets them finish and starts no more', async () => {
  async function slow(): Promise<void> {
    await sleep(10);
  }
  async function bad(): Promise<never> {
    throw new Error('bad');
  }
  const flow = newFlow(2).failFast().push([slow, bad, nothing, nothing]);
  await expect(flow.execute()).rejects.toThrow('bad');
  expect((await flow.scopes).map(({ step: name, status }) => [name, status])).toEqual([
    ['slow', 'ok'],
    ['bad', 'error'],
  ]);
});

test('whatever is thrown is recorded', async () => {
  const thrown: unknown[] = [undefined, null, 'text', 42, { code: 7 }, new Error(''), new RangeError('range')];
  const flow = newFlow().push(
    thrown.map((value) =>
      step('thrower', () => {
        throw value;
      }),
    ),
  );
  await flow.execute();
  expect((await flow.errors).map((scope) => scope.error?.message)).toEqual([
    'undefined',
    'null',
    '"text"',
    '42',
    '{"code":7}',
    'an instance of Error',
    'range',
  ]);
});

test('what is logged reads as on the console, errors with their stack, and a captured line is printed once', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => {});
  const dir = vi.spyOn(console, 'dir').mockImplementation(() => {});
  const printed = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  const flow = new Flow('test', new MemoryStorage()).push(
    step('logs', (inner) => {
      inner.log(new TypeError('boom'));
      inner.log(new Map([['k', 1n]]));
      console.error('captured %d', 1);
      console.dir({ a: 1 });
    }),
  );
  await flow.execute();
  const onTerminal = printed.mock.calls.length;
  for (const spy of [error, dir, printed]) spy.mockRestore();
  const logs = await flow.logs;
  expect(logs.map((line) => line.message.split('\n')[0])).toEqual([
    'TypeError: boom',
    "Map(1) { 'k' => 1n }",
    'captured 1',
    '{ a: 1 }',
  ]);
  expect(logs[0]?.message).toContain('dispatcher.test');
  expect(onTerminal).toBe(0);
});

test('a captured line is recorded once, also where somebody patched the console over an earlier flow', async () => {
  const original = console.log;
  console.log = () => {};
  const talk = step('talk', () => console.log('hello'));
  const flow = (): Flow => new Flow('test', new MemoryStorage());
  const patching = step('patching', () => {
    const ours = console.log;
    console.log = (...args: unknown[]) => ours(...args);
  });
  await flow().push([talk, patching]).execute();
  const second = flow().push(talk);
  await second.execute();
  console.log = original;
  expect((await second.logs).map((line) => line.message)).toEqual(['hello']);
});

test('a thenable that is no promise is awaited', async () => {
  const order: string[] = [];
  const thenable = step(
    'thenable',
    () =>
      ({
        then: (resolve: () => void) =>
          setTimeout(() => {
            order.push('resolved');
            resolve();
          }, 5),
      }) as never,
  );
  await newFlow()
    .push(thenable)
    .push(step('next', () => void order.push('next')))
    .execute();
  expect(order).toEqual(['resolved', 'next']);
});

test('a step that returns a value is warned, naming keep', async () => {
  const flow = newFlow().push(step('returns', (() => 42) as never));
  await flow.execute();
  expect(await flow.logs).toMatchObject([{ level: 'warning', message: expect.stringContaining('keep(name, value)') as unknown }]);
});

test('retry waits longer from attempt to attempt, and only for errors that are worth it', async () => {
  const starts: number[] = [];
  function flaky(): never {
    starts.push(performance.now());
    throw new Error(starts.length < 4 ? 'again' : 'final');
  }
  const flow = newFlow().push(retry(flaky, 10, { delay: 20, factor: 2, when: (error) => (error as Error).message === 'again' }));
  await flow.execute();
  const waits = starts.slice(1).map((start, index) => start - (starts[index] as number));
  expect(starts).toHaveLength(4);
  waits.forEach((wait, index) => expect(wait).toBeGreaterThan(20 * 2 ** index - 2));
});

test('a when that throws counts as no', async () => {
  let calls = 0;
  function flaky(): never {
    calls++;
    throw new Error('flaky');
  }
  const when = (): never => {
    throw new Error('broken policy');
  };
  const flow = newFlow().push(retry(flaky, 5, { when }));
  await flow.execute();
  expect(calls).toBe(1);
  expect((await flow.logs).map((line) => line.message)).toContain('retry option when threw: broken policy');
});

test('random numbers do not depend on order, concurrency or attempt', async () => {
  async function draw(concurrency: number, reverse: boolean): Promise<Map<string, number>> {
    const seen = new Map<string, number>();
    const drawing = step({ random: Random }, async function drawing(flow, { random }) {
      await sleep(reverse ? 10 - seen.size : seen.size);
      seen.set(flow.path, random.number());
      if (flow.attempt === 1) throw new Error('again');
    });
    const flow = newFlow(concurrency).put({ random: new Random(7) });
    await flow.push(repeat(retry(drawing, 2), 8)).execute();
    return new Map([...seen].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  const alone = await draw(1, false);
  expect(new Set(alone.values()).size).toBe(8);
  expect(await draw(8, true)).toEqual(alone);
});

test('timers run while steps keep the loop busy', async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const flow = newFlow().push(
    repeat(
      step('busy', () => {
        const until = performance.now() + 1;
        while (performance.now() < until);
      }),
      200,
    ),
  );
  await flow.execute();
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(10);
});

test('groups may be added while the flow runs', async () => {
  const order: string[] = [];
  const flow = newFlow();
  flow.push(
    step('first', () => {
      order.push('first');
      flow.push(step('added', () => void order.push('added')));
    }),
  );
  await flow.execute();
  expect(order).toEqual(['first', 'added']);
});
