import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Flow, MemoryStorage, ParquetStorage, Random, repeat, retry, step, type StepFlow } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

function newFlow(concurrency = 1): Flow {
  return new Flow('test', new MemoryStorage(), { logLevel: 'silent', concurrency });
}
function nothing(): void {}
async function paramsOf(flow: Flow, name: string): Promise<unknown[]> {
  return (await flow.search(`*.${name}.*`, { order: 'oldest', status: ['ok', 'error', 'retried'] })).map((scope) => scope.params);
}

test('what is pushed is what the values were then, inside a step and outside', async () => {
  const seen: unknown[] = [];
  function child(flow: StepFlow): void {
    seen.push(flow.get('i'));
  }
  const pushAll = (flow: Pick<Flow, 'push'> | Pick<StepFlow, 'push'>): void => {
    const values = { i: 0 };
    for (let i = 0; i < 3; i++) {
      values.i = i;
      flow.push(child, values);
    }
  };
  const flow = newFlow();
  flow.push(step('parent', (inner) => pushAll(inner)));
  pushAll(flow);
  await flow.execute();
  expect(seen).toEqual([0, 1, 2, 0, 1, 2]);
  expect(await paramsOf(flow, 'child')).toEqual([0, 1, 2, 0, 1, 2].map((i) => ({ i })));
});

test('params are what was pushed, whatever a step or its attempts make of it', async () => {
  let calls = 0;
  const halve = step('halve', (flow) => {
    const config = flow.get('config') as { lr: number };
    config.lr /= 2;
    if (++calls < 4) throw new Error('not yet');
  });
  const flow = newFlow().push(retry(halve, 4), { config: { lr: 1 } });
  await flow.execute();
  expect(await paramsOf(flow, 'halve')).toEqual(Array.from({ length: 4 }, () => ({ config: { lr: 1 } })));
});

test('an endless list pushed by a step is read as the run gets there', async () => {
  const stop = new AbortController();
  let cleaned = false;
  function* endless(): Generator<typeof nothing> {
    try {
      for (let made = 0; ; made++) {
        if (made === 500) stop.abort(new Error('enough'));
        yield nothing;
      }
    } finally {
      cleaned = true;
    }
  }
  const flow = newFlow().push(step('parent', (inner) => inner.push(endless())));
  await expect(flow.execute({ signal: stop.signal })).rejects.toThrow('enough');
  expect(await flow.search(nothing).count()).toBe(501);
  expect(cleaned).toBe(true);
  const forever = newFlow().push(step('parent', (inner) => inner.push(repeat(nothing, Number.POSITIVE_INFINITY))));
  await expect(forever.execute({ signal: AbortSignal.timeout(200) })).rejects.toMatchObject({ name: 'TimeoutError' });
});

test('what comes while the last flush runs is refused, not lost', async () => {
  await using storage = new ParquetStorage(temporaryFolder());
  const flow = new Flow('test', storage, { logLevel: 'silent' }).push(nothing);
  let accepted = 0;
  const timer = setInterval(() => {
    try {
      flow.tag('late').push(nothing).log('late');
      accepted++;
    } catch (error) {
      expect(error).toMatchObject({ code: 'FLOW_ENDED' });
      clearInterval(timer);
    }
  }, 0);
  await flow.execute();
  clearInterval(timer);
  expect(() => flow.tag('later')).toThrow(/finished/);
  expect(await flow.search(nothing).count()).toBe(accepted + 1);
  expect(await flow.logs).toHaveLength(accepted);
  expect(flow.tags).toHaveLength(accepted);
});

test('a push is taken and run, or refused, at every moment around the end', async () => {
  for (let delay = 0; delay < 30; delay++) {
    let resolve: () => void = () => {};
    const ended = new Promise<void>((done) => (resolve = done));
    const flow = newFlow().push(step('last', () => resolve()));
    const executing = flow.execute();
    await ended;
    for (let tick = 0; tick < delay; tick++) await Promise.resolve();
    let taken = true;
    try {
      flow.push(nothing);
    } catch (error) {
      expect(error).toMatchObject({ code: 'FLOW_ENDED' });
      taken = false;
    }
    await executing;
    expect(await flow.search(nothing).count()).toBe(taken ? 1 : 0);
  }
});

test('null options are no options', async () => {
  const flow = new Flow('test', new MemoryStorage(), null as never).push(nothing, {}, null as never);
  await flow.push(step('parent', (inner) => inner.push(nothing, null, null as never))).execute();
  expect(await flow.scopes).toHaveLength(3);
});

test('a declared value of another type is refused at push', async () => {
  const train = step({ lr: Number }, function train() {});
  const wrong = { lr: 'high' } as never;
  await expect(newFlow().push(train, wrong).execute()).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
  await expect(newFlow().push(repeat(train, 2), wrong).execute()).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
  await expect(
    newFlow()
      .push(repeat(train as never, 2))
      .execute(),
  ).rejects.toMatchObject({ code: 'CONTEXT_UNKNOWN' });
  const inside = newFlow()
    .failFast()
    .push(step('parent', (flow) => flow.push(train, wrong)));
  await expect(inside.execute()).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
});

test('a schema that transforms is given its input, and its output is what the step and its pushes see', async () => {
  const seen: unknown[] = [];
  const parse = step('parse', { n: z.string().transform(Number) }, (flow, { n }) => {
    seen.push(n, flow.get('n'));
    flow.push(step('child', { n: Number }, (_inner, values) => void seen.push(values.n)));
  });
  await newFlow().failFast().push(parse, { n: '5' }).execute();
  expect(seen).toEqual([5, 5, 5]);
});

test('fail fast does not wait for the next attempt of another step', async () => {
  const started = performance.now();
  function flaky(): never {
    throw new Error('flaky');
  }
  async function bad(): Promise<never> {
    await sleep(5);
    throw new Error('bad');
  }
  const flow = newFlow(2)
    .failFast()
    .push([retry(flaky, 5, { delay: 30_000 }), bad]);
  await expect(flow.execute()).rejects.toThrow('bad');
  expect(performance.now() - started).toBeLessThan(10_000);
});

test('an error that defends itself is recorded, and the flow goes on', async () => {
  const hostile: unknown[] = [
    Object.defineProperty(new Error('a'), 'stack', { get: () => fail() }),
    Object.assign(new Error('b'), { stack: Symbol('stack') }),
    new Error('c', { cause: Object.assign(new Error('d'), { stack: Symbol('stack') }) }),
    Object.defineProperty(new Error('e'), 'message', { get: () => fail() }),
    revoked(),
  ];
  const flow = newFlow().push(
    hostile.map((thrown) =>
      step('thrower', () => {
        throw thrown;
      }),
    ),
  );
  await flow.push(nothing).execute();
  expect((await flow.scopes).map((scope) => scope.status)).toEqual([...hostile.map(() => 'error'), 'ok']);
  expect((await flow.errors).slice(0, 3).map((scope) => scope.error?.message)).toEqual(['a', 'b', 'c']);
});

test('a retry whose when is async is refused; one that answers with a promise counts as no', async () => {
  expect(() => retry(fail, 3, { when: (async () => false) as never })).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID' }) as Error,
  );
  const flow = newFlow().push(retry(fail, 3, { when: (() => Promise.resolve(true)) as never }));
  await flow.execute();
  expect(await flow.scopes).toHaveLength(1);
});

test('options that are undefined are those that are missing', async () => {
  const flow = new Flow('test', new MemoryStorage({ flush: { ms: undefined as never } }), {
    logLevel: undefined as never,
    capture: undefined as never,
    concurrency: undefined as never,
  });
  await flow.push(retry(nothing, 1, { delay: undefined as never })).execute();
  expect(flow.state).toBe('finished');
});

test.each([
  ['a scope that is none', () => newFlow().push(nothing, {}, { scope: 'x' as never })],
  ['a signal that is none', () => newFlow().execute({ signal: 'x' as never })],
  [
    'a name that is none',
    () =>
      newFlow()
        .put({ a: 1 })
        .get(Number, 5 as never),
  ],
  [
    'a name that is undefined',
    () =>
      newFlow()
        .put({ a: 1 })
        .get(Number, undefined as never),
  ],
])('%s is refused', async (_name, make) => {
  await expect((async () => make())()).rejects.toMatchObject({ code: 'OPTION_INVALID' });
});

test('the seeds of the generators in the context are recorded with the run', async () => {
  const flow = newFlow()
    .put({ random: new Random(42), other: new Random(7) })
    .push(nothing);
  await flow.execute();
  const [run] = await flow.sql<{ details: string }>`SELECT start_details AS details FROM runs`;
  expect(JSON.parse(run?.details ?? '')).toMatchObject({ seeds: { random: 42, other: 7 } });
});

function fail(): never {
  throw new Error('failed on purpose');
}
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable(new Error('revoked'), {});
  revoke();
  return proxy;
}
