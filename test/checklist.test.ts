import { expect, test, vi } from 'vitest';
import {
  Flow,
  humanDuration,
  JsonStorage,
  MemoryStorage,
  type LogLevel,
  type Reference,
  repeat,
  retry,
  type StepFlow,
} from '../src/index.ts';
import { logLevels } from '../src/log.ts';
import { temporaryFolder } from './folders.ts';

/** A flow that stays quiet and fails fast, so that what a step throws reaches the test. */
function newFlow(name = 'test', storage = new MemoryStorage()): Flow {
  return new Flow(name, storage, { logLevel: 'silent' }).failFast();
}

/** Runs one step and resolves with what it hands out. */
async function inStep<T>(body: (flow: StepFlow) => T | Promise<T>, prepare: (flow: Flow) => Flow = (flow) => flow): Promise<T> {
  let value: T | undefined;
  async function only(flow: StepFlow): Promise<void> {
    value = await body(flow);
  }
  await prepare(newFlow()).push(only).execute();
  return value as T;
}

class Animal {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}
class Otter extends Animal {}

function fail(): never {
  throw new Error('failed on purpose');
}
function nothing(): void {}

/** What the public interface does, row by row. */
const checklist: Record<string, () => Promise<void>> = {
  'a flow has a name, a storage and a log level, and is pending': async () => {
    const storage = new MemoryStorage();
    const flow = new Flow('test', storage, { logLevel: 'error' });
    expect([flow.name, flow.storage, flow.state]).toEqual(['test', storage, 'pending']);
  },
  'a flow that ran has a slug of two words and is finished': async () => {
    const flow = newFlow().push(nothing);
    await flow.execute();
    expect(flow.run).toMatch(/^[a-z]+-[a-z]+$/);
    expect(flow.state).toBe('finished');
  },
  'get by type': async () => {
    const otter = new Otter('Olga');
    expect(
      await inStep(
        (flow) => flow.get(Otter),
        (flow) => flow.put({ otter, n: 1 }) as unknown as Flow,
      ),
    ).toBe(otter);
  },
  'get by type matches subclasses': async () => {
    const otter = new Otter('Olga');
    expect(
      await inStep(
        (flow) => flow.get(Animal),
        (flow) => flow.put({ otter }) as unknown as Flow,
      ),
    ).toBe(otter);
  },
  'get by name': async () => {
    expect(
      await inStep(
        (flow) => flow.get('a'),
        (flow) => flow.put({ a: 1 }) as unknown as Flow,
      ),
    ).toBe(1);
  },
  'get by type and name': async () => {
    expect(
      await inStep(
        (flow) => flow.get(Number, 'a'),
        (flow) => flow.put({ a: 1, b: 2 }) as unknown as Flow,
      ),
    ).toBe(1);
  },
  'get by type and a list of names': async () => {
    expect(
      await inStep(
        (flow) => flow.get(Number, ['b', 'a']),
        (flow) => flow.put({ a: 1, b: 2 }) as unknown as Flow,
      ),
    ).toEqual([2, 1]);
  },
  'a strict get of what is not there throws, naming the near names': async () => {
    const get = inStep(
      (flow) => flow.get(Number, 'rate'),
      (flow) => flow.put({ rates: 1 }) as unknown as Flow,
    );
    await expect(get).rejects.toMatchObject({ code: 'CONTEXT_UNKNOWN', message: expect.stringContaining('"rates"') as unknown });
  },
  'a get that is not strict returns undefined': async () => {
    expect(await inStep((flow) => [flow.get('x', { strict: false }), flow.get(Otter, { strict: false })])).toEqual([
      undefined,
      undefined,
    ]);
  },
  'get by type of several candidates is an error that lists them': async () => {
    const get = inStep(
      (flow) => flow.get(Number),
      (flow) => flow.put({ a: 1, b: 2 }) as unknown as Flow,
    );
    await expect(get).rejects.toMatchObject({ code: 'CONTEXT_AMBIGUOUS', message: expect.stringContaining('a, b') as unknown });
  },
  'keep and recall': async () => {
    const value = { answer: 42, list: [1, 'two', null] };
    expect(
      await inStep((flow) => {
        flow.keep('data', value);
        return flow.recall('data');
      }),
    ).toStrictEqual(value);
  },
  'a second keep of a name is an error': async () => {
    const twice = inStep((flow) => {
      flow.keep('data', 1);
      flow.keep('data', 2);
    });
    await expect(twice).rejects.toMatchObject({ code: 'ARTIFACT_EXISTS', message: expect.stringContaining('"data"') as unknown });
  },
  'keep with overwrite replaces the value': async () => {
    const flow = newFlow().push(function step(flow: StepFlow) {
      flow.keep('data', 1);
      flow.keep('data', 2, { overwrite: true });
    });
    const scope = await flow.execute();
    expect(scope?.recall('data')).toBe(2);
    expect(scope?.artifacts).toEqual(['data']);
  },
  'recall from a reference scope': async () => {
    const storage = new MemoryStorage();
    function train(flow: StepFlow): void {
      flow.keep('model', { weights: [1, 2] });
    }
    const scope = await newFlow('first', storage).push(train).execute();
    let recalled: unknown;
    function use(flow: StepFlow): void {
      recalled = flow.recall('model');
    }
    await newFlow('second', storage).push(use, {}, { scope }).execute();
    expect(recalled).toStrictEqual({ weights: [1, 2] });
  },
  'tags on a scope': async () => {
    const flow = newFlow().push(function step(flow: StepFlow) {
      flow.tag('plain');
      flow.tag('loss', 0.5);
      flow.tag('loss', 0.25);
    });
    const scope = await flow.execute();
    expect(scope?.tags).toEqual([
      { content: 'plain', value: null },
      { content: 'loss', value: 0.5 },
      { content: 'loss', value: 0.25 },
    ]);
  },
  'tags on a flow': async () => {
    const flow = newFlow().tag('baseline').tag('version', 3).push(nothing);
    await flow.execute();
    expect(flow.tags).toEqual([
      { content: 'baseline', value: null },
      { content: 'version', value: 3 },
    ]);
    const tags = await flow.sql`SELECT content, value FROM tags WHERE step IS NULL ORDER BY seq`;
    expect(tags).toEqual(flow.tags);
  },
  'logs have seven levels, and shorthands': async () => {
    const flow = newFlow().push(function step(flow: StepFlow) {
      for (const level of logLevels) flow.log(`a ${level}`, level);
      flow.log('plain');
      flow.success('well');
      flow.warning('careful');
      flow.error('bad');
    });
    await flow.execute();
    const levels: LogLevel[] = (await flow.logs).map((line) => line.level);
    expect(levels).toEqual([...logLevels, 'info', 'success', 'warning', 'error']);
  },
  'a level that is none is an error': async () => {
    const wrong = inStep((flow) => flow.log('x', 'loud' as LogLevel));
    await expect(wrong).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining('"loud"') as unknown });
  },
  'push of one step outside a step makes a group': async () => {
    const flow = newFlow().push(nothing).push(nothing);
    await flow.execute();
    expect((await flow.scopes).map((scope) => scope.path)).toEqual(['0-0', '1-0']);
  },
  'push of many steps makes one group': async () => {
    const flow = newFlow().push([nothing, nothing]);
    await flow.execute();
    expect((await flow.scopes).map((scope) => scope.path)).toEqual(['0-0', '0-1']);
  },
  'push inside a step extends the running group': async () => {
    const order: string[] = [];
    function child(): void {
      order.push('child');
    }
    function parent(flow: StepFlow): void {
      order.push('parent');
      flow.push([child, child]);
    }
    function last(): void {
      order.push('last');
    }
    const flow = newFlow().push(parent).push(last);
    await flow.execute();
    expect(order).toEqual(['parent', 'child', 'child', 'last']);
    expect((await flow.scopes).map((scope) => scope.path)).toEqual(['0-0', '0-0-0', '0-0-1', '1-0']);
  },
  'push with a scope hands on its artifacts': async () => {
    const seen: unknown[] = [];
    function use(flow: StepFlow): void {
      seen.push(flow.recall('model'), flow.reference?.id);
    }
    function train(flow: StepFlow): void {
      flow.keep('model', [1, 2, 3]);
      flow.push(use, {}, { scope: flow.scope });
    }
    async function again(flow: StepFlow): Promise<void> {
      const scope: Reference | undefined = await flow.search(train).first();
      flow.push(use, {}, { scope });
    }
    const flow = newFlow().push(train).push(again);
    await flow.execute();
    const trained = (await flow.search(train).first())?.id;
    expect(seen).toEqual([[1, 2, 3], trained, [1, 2, 3], trained]);
  },
  'search by glob': async () => {
    function add(): void {}
    function sub(): void {}
    const flow = newFlow().push([add, sub, add]);
    await flow.execute();
    expect((await flow.search('*.add.*')).map((scope) => scope.step)).toEqual(['add', 'add']);
  },
  'search by step': async () => {
    function add(): void {}
    function sub(): void {}
    const flow = newFlow().push([add, sub, add]);
    await flow.execute();
    expect(await flow.search(sub).count()).toBe(1);
  },
  'search finds the newest first': async () => {
    const flow = newFlow().push(repeat(nothing, 3));
    await flow.execute();
    expect((await flow.search('*')).map((scope) => scope.path)).toEqual(['0-2', '0-1', '0-0']);
  },
  'search is about the latest run by default': async () => {
    const storage = new MemoryStorage();
    await newFlow('test', storage).push(nothing).execute();
    const second = newFlow('test', storage).push([nothing, nothing]);
    await second.execute();
    expect((await storage.search('*')).map((scope) => scope.run)).toEqual([second.run, second.run]);
    expect(await storage.search('*', { runs: 'all' }).count()).toBe(3);
    expect(await storage.search('*', { runs: 'previous' }).count()).toBe(1);
  },
  'search with where on any tag': async () => {
    function tagged(flow: StepFlow): void {
      flow.tag('first');
      flow.tag('loss', flow.get(Number));
    }
    const flow = newFlow();
    for (const loss of [0.3, 0.1, 0.2]) flow.push(tagged, { loss });
    await flow.execute();
    const found = flow.search('*', { where: ({ content, value }) => content === 'loss' && value !== null && value < 0.25 });
    expect((await found).map((scope) => scope.params)).toEqual([{ loss: 0.2 }, { loss: 0.1 }]);
  },
  'fail fast: the flow stops, and rejects with what the step threw': async () => {
    const flow = newFlow().push([nothing, fail, nothing]);
    await expect(flow.execute()).rejects.toThrow('failed on purpose');
    expect(flow.state).toBe('failed');
    expect((await flow.scopes).map((scope) => scope.status)).toEqual(['ok', 'error']);
  },
  'without fail fast errors are recorded and the flow goes on': async () => {
    const flow = newFlow().failFast(false).push([fail, nothing]);
    await flow.execute();
    expect(flow.state).toBe('finished');
    const [error, ...others] = await flow.errors;
    expect(others).toEqual([]);
    expect(error?.error).toMatchObject({
      message: 'failed on purpose',
      stack: expect.stringContaining('checklist.test') as unknown,
    });
  },
  'execute works once': async () => {
    const flow = newFlow().push(nothing);
    await flow.execute();
    await expect(flow.execute()).rejects.toMatchObject({
      code: 'ALREADY_EXECUTED',
      message: expect.stringContaining('finished') as unknown,
    });
  },
  'execute returns the last scope': async () => {
    function last(): void {}
    expect((await newFlow().push([nothing, last]).execute())?.step).toBe('last');
    expect(await newFlow().execute()).toBeUndefined();
  },
  'a run has its scopes, errors and logs, with their levels': async () => {
    function noisy(flow: StepFlow): void {
      flow.warning('careful');
    }
    const flow = newFlow().failFast(false).push([noisy, fail]);
    await flow.execute();
    const logs = await flow.logs;
    expect(await flow.scopes).toHaveLength(2);
    expect(await flow.errors).toHaveLength(1);
    expect(logs.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'warning careful',
      'error attempt 1 failed: failed on purpose',
    ]);
    expect(logs[0]?.id).toBe((await flow.scopes)[0]?.id);
  },
  'what a step writes to the console is captured as its log, and printed': async () => {
    const print = vi.spyOn(console, 'log').mockImplementation(() => {});
    async function talk(): Promise<void> {
      console.log('one %d', 1);
      await Promise.resolve();
      console.log('two');
    }
    const flow = newFlow().push(talk);
    await flow.execute();
    expect((await flow.logs).map((line) => line.message)).toEqual(['one 1', 'two']);
    expect(print.mock.calls).toEqual([['one %d', 1], ['two']]);
    print.mockRestore();
  },
  'console capture can be switched off': async () => {
    const print = vi.spyOn(console, 'log').mockImplementation(() => {});
    const flow = new Flow('test', new MemoryStorage(), { capture: false }).push(function talk() {
      console.log('one');
    });
    await flow.execute();
    expect(await flow.logs).toEqual([]);
    expect(print).toHaveBeenCalledOnce();
    print.mockRestore();
  },
  'repeat of one step': async () => {
    const flow = newFlow().push(repeat(nothing, 3));
    await flow.execute();
    expect(await flow.scopes).toHaveLength(3);
  },
  'repeat of many steps is the list over and over': async () => {
    function a(): void {}
    function b(): void {}
    const flow = newFlow().push(repeat([a, b], 2));
    await flow.execute();
    expect((await flow.scopes).map((scope) => scope.step)).toEqual(['a', 'b', 'a', 'b']);
  },
  'retry with its attempts logged': async () => {
    let calls = 0;
    function flaky(): void {
      if (++calls < 3) throw new Error(`not yet ${calls}`);
    }
    const flow = newFlow().push(retry(flaky, 5));
    await flow.execute();
    expect((await flow.scopes).map(({ attempt, status }) => [attempt, status])).toEqual([
      [1, 'retried'],
      [2, 'retried'],
      [3, 'ok'],
    ]);
    expect((await flow.logs).map((line) => line.message)).toEqual([
      'attempt 1 failed, to be tried again: not yet 1',
      'attempt 2 failed, to be tried again: not yet 2',
    ]);
    expect(await flow.search('*').count()).toBe(1);
  },
  'retry without end': async () => {
    let calls = 0;
    function flaky(): void {
      if (++calls < 50) throw new Error('not yet');
    }
    await newFlow().push(retry(flaky, Number.POSITIVE_INFINITY)).execute();
    expect(calls).toBe(50);
  },
  'the last failure of a retry is rethrown': async () => {
    let calls = 0;
    function never(): void {
      throw new Error(`failure ${++calls}`);
    }
    const flow = newFlow().push(retry(never, 3));
    await expect(flow.execute()).rejects.toThrow('failure 3');
    expect((await flow.scopes).map((scope) => scope.status)).toEqual(['retried', 'retried', 'error']);
  },
  'a storage loads a scope by id, and an unknown id is an error': async () => {
    const storage = new MemoryStorage();
    const flow = newFlow('test', storage).push(nothing);
    const scope = await flow.execute();
    expect((await storage.load(scope?.id ?? '')).sid).toBe(scope?.sid);
    await expect(storage.load('test.nothing.no-run.0-0')).rejects.toMatchObject({ code: 'SCOPE_UNKNOWN' });
  },
  'a storage lists ids, flushes and searches': async () => {
    await using storage = new JsonStorage(temporaryFolder());
    const flow = newFlow('test', storage).push([nothing, nothing]);
    await flow.execute();
    await storage.flush();
    expect(await storage.ids()).toEqual([`test.nothing.${flow.run}.0-1`, `test.nothing.${flow.run}.0-0`]);
    expect(await storage.search(nothing).count()).toBe(2);
  },
  'durations read as a person writes them': async () => {
    expect([3_780_000, 0.1].map(humanDuration)).toEqual(['1h 3m', '~0ms']);
  },
};

test.each(Object.entries(checklist))('%s', (_behaviour, check) => check());
