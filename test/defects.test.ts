import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import {
  DuckDBStorage,
  Flow,
  humanDuration,
  JsonStorage,
  MarqueError,
  MemoryStorage,
  ParquetStorage,
  repeat,
  retry,
  type Scope,
  step,
  type StepFlow,
  type Storage,
} from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

function newFlow(storage: Storage = new MemoryStorage(), name = 'test'): Flow {
  return new Flow(name, storage, { logLevel: 'silent' });
}
function nothing(): void {}
function fail(): never {
  throw new Error('failed on purpose');
}

/** Each storage in turn, over a fresh folder. */
const storages: Record<string, () => Storage> = {
  memory: () => new MemoryStorage(),
  json: () => new JsonStorage(temporaryFolder()),
  parquet: () => new ParquetStorage(temporaryFolder()),
  duckdb: () => new DuckDBStorage(join(temporaryFolder(), 'history.duckdb')),
};

/** Mistakes that pipeline libraries make, and that this one must not: each row is named after the mistake. */
const defects: Record<string, () => Promise<void>> = {
  'scope ids collide: none of 10,000 is lost': async () => {
    await using storage = new ParquetStorage(temporaryFolder());
    await newFlow(storage).push(repeat(nothing, 10_000)).execute();
    expect(new Set(await storage.ids()).size).toBe(10_000);
  },
  'everything is lost unless the last step ends: what finished is there when one never settles': async () => {
    const folder = temporaryFolder();
    await using storage = new ParquetStorage(folder);
    const stop = new AbortController();
    function endless(flow: StepFlow): Promise<void> {
      return new Promise((_resolve, reject) => flow.signal.addEventListener('abort', () => reject(new Error('stopped'))));
    }
    const running = newFlow(storage).push([nothing, nothing, endless]).execute({ signal: stop.signal });
    await sleep(1_200);
    await using reader = new ParquetStorage(folder);
    expect(await reader.search(nothing).count()).toBe(2);
    stop.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  },
  'one bad artifact kills the flow and the file: only its step fails': async () => {
    function bad(flow: StepFlow): void {
      flow.keep('good', 1);
      flow.keep('handler', { on: () => {} });
    }
    for (const make of Object.values(storages)) {
      await using storage = make();
      const flow = newFlow(storage).push([bad, nothing]);
      await flow.execute();
      const [failed, fine] = await flow.scopes;
      expect(failed).toMatchObject({
        status: 'error',
        error: { message: expect.stringContaining('artifact "handler".on') as unknown },
      });
      expect([failed?.recall('good'), fine?.status]).toEqual([1, 'ok']);
    }
  },
  'storages return different types for the same value: all return an equal one': async () => {
    const value = {
      at: new Date(0),
      set: new Set([1]),
      map: new Map([['k', 1n]]),
      bytes: new Uint8Array([1, 2]),
      nan: Number.NaN,
      u: undefined,
    };
    function keeps(flow: StepFlow): void {
      flow.keep('value', value);
      flow.tag('loss', Number.NaN);
      flow.tag('loss', -0);
    }
    for (const make of Object.values(storages)) {
      await using storage = make();
      const scope = await newFlow(storage).push(keeps).execute();
      expect(scope?.recall('value')).toStrictEqual(value);
      expect(scope?.tags).toStrictEqual([
        { content: 'loss', value: Number.NaN },
        { content: 'loss', value: 0 },
      ]);
    }
  },
  'durations lose whole seconds': async () => {
    expect([59_960, 61_000, 3_599_999].map(humanDuration)).not.toContain('60.0s');
    expect(humanDuration(61_000)).toBe('1m 1s');
  },
  'flow tags, logs, times and reference scopes are never stored': async () => {
    for (const make of Object.values(storages)) {
      await using storage = make();
      const first = await newFlow(storage, 'first').push(nothing).execute();
      const flow = newFlow(storage, 'second').tag('baseline', 1).push(nothing, {}, { scope: first });
      flow.log('before');
      await flow.execute();
      const second = await flow.scopes.first();
      expect(second?.refSid).toBe(first?.sid);
      expect(Math.abs((second?.startedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
      expect(second?.durationMs).toBeGreaterThanOrEqual(0);
      expect(await flow.logs).toMatchObject([{ message: 'before', id: null }]);
      const [run] =
        await storage.sql`SELECT flow, state, tags, started_at <= ended_at AS ordered FROM runs WHERE slug = ${flow.run}`;
      expect(run).toEqual({ flow: 'second', state: 'finished', tags: [{ content: 'baseline', value: 1 }], ordered: true });
    }
  },
  'the latest run is picked at random: it is the one that started last': async () => {
    for (const make of Object.values(storages)) {
      await using storage = make();
      const runs: string[] = [];
      for (let round = 0; round < 5; round++) {
        const flow = newFlow(storage).push(nothing);
        await flow.execute();
        runs.push(flow.run);
      }
      expect((await storage.search('*').first())?.run).toBe(runs.at(-1));
      expect((await storage.search('*', { runs: 'previous' }).first())?.run).toBe(runs.at(-2));
    }
  },
  "a search inside a run silently returns an older run's scopes: it finds this run's or none": async () => {
    for (const make of Object.values(storages)) {
      await using storage = make();
      function looked(): void {}
      await newFlow(storage).push(looked).execute();
      let counts: number[] = [];
      async function look(flow: StepFlow): Promise<void> {
        counts = [await flow.search(looked).count(), await flow.search(looked, { runs: 'previous' }).count()];
      }
      await newFlow(storage).failFast().push(look).execute();
      expect(counts).toEqual([0, 1]);
    }
  },
  'names with dots or slashes break search or paths: they are refused where they are given': async () => {
    for (const name of ['a.b', 'a/b', '../up', 'a b', '', 'a\0']) {
      expect(() => new Flow(name)).toThrow(MarqueError);
      expect(() => step(name, nothing)).toThrow(MarqueError);
    }
    const flow = newFlow(new MemoryStorage(), 'größe_1-ü').push(step('schritt-é', nothing));
    await flow.execute();
    expect(await flow.search('größe*.schritt-é.*').count()).toBe(1);
  },
  'a second put of a name is ignored: it replaces the value': async () => {
    let seen: unknown;
    const flow = newFlow()
      .put({ a: 1 })
      .put({ a: 2 })
      .push(function read(flow: StepFlow) {
        flow.put({ a: 3 });
        flow.put({ a: 4 });
        seen = flow.get('a');
      });
    expect(flow.get('a')).toBe(2);
    await flow.execute();
    expect(seen).toBe(4);
  },
  'a get that is not strict throws: it returns undefined': async () => {
    const flow = newFlow().put({ a: 1, b: 2 });
    expect([
      flow.get(Number, { strict: false }),
      flow.get(String, 'a', { strict: false }),
      flow.get(String, ['a', 'x'], { strict: false }),
    ]).toEqual([undefined, undefined, [undefined, undefined]]);
  },
  'values leak to siblings: they reach the step and what it pushes': async () => {
    const seen: unknown[] = [];
    function child(flow: StepFlow): void {
      seen.push(flow.get('secret', { strict: false }));
    }
    function putter(flow: StepFlow): void {
      flow.put({ secret: 1 });
      flow.push(child);
      flow.put({ secret: 2 });
    }
    await newFlow().push([putter, child]).execute();
    expect(seen).toEqual([undefined, 2]);
  },
  'pushed steps do not inherit: they see the context of the step that pushed them': async () => {
    const seen: unknown[] = [];
    function grandchild(flow: StepFlow): void {
      seen.push(flow.get(Number, ['a', 'b', 'c']));
    }
    function child(flow: StepFlow): void {
      flow.push(grandchild, { c: 30 });
    }
    function parent(flow: StepFlow): void {
      flow.push(child, { b: 20, c: 20 });
    }
    await newFlow().put({ a: 10, b: 10, c: 10 }).push(parent).execute();
    expect(seen).toEqual([[10, 20, 30]]);
  },
  'async steps never run: they are awaited before their group ends': async () => {
    const order: string[] = [];
    async function slow(): Promise<void> {
      await sleep(20);
      order.push('slow');
    }
    function next(): void {
      order.push('next');
    }
    await newFlow().push(slow).push(next).execute();
    expect(order).toEqual(['slow', 'next']);
  },
  'bound and wrapped functions are refused: they run under the name of the original': async () => {
    class Trainer {
      readonly seen: string[] = [];

      train(flow: StepFlow): void {
        this.seen.push(flow.step);
      }
    }
    const trainer = new Trainer();
    const wrapped = step('wrapped', (flow) => trainer.train(flow));
    await newFlow()
      .push([trainer.train.bind(trainer), wrapped])
      .execute();
    expect(trainer.seen).toEqual(['train', 'wrapped']);
  },
  'a failed attempt poisons the retry: each attempt starts afresh': async () => {
    let calls = 0;
    function flaky(flow: StepFlow): void {
      flow.keep('result', ++calls);
      flow.tag('call', calls);
      flow.push(nothing);
      expect(flow.get('left', { strict: false })).toBeUndefined();
      flow.put({ left: true });
      if (calls < 3) throw new Error('not yet');
    }
    const flow = newFlow().failFast().push(retry(flaky, 3));
    await flow.execute();
    const [scope] = await flow.search(flaky);
    expect([scope?.recall('result'), scope?.tags, scope?.attempt]).toEqual([3, [{ content: 'call', value: 3 }], 3]);
    expect(await flow.search(nothing).count()).toBe(1);
    const dropped = (await flow.logs).filter((line) => line.message === 'dropped 1 pushed step of a failed attempt');
    expect(dropped).toHaveLength(2);
  },
  'retry of zero times is reported as success: it is refused': async () => {
    for (const times of [0, -1, 1.5, Number.NaN]) expect(() => retry(fail, times)).toThrow(/at least 1/);
  },
  'push after the end is lost: it is an error': async () => {
    const flow = newFlow().push(nothing);
    await flow.execute();
    expect(() => flow.push(nothing)).toThrow(expect.objectContaining({ code: 'FLOW_ENDED' }) as Error);
  },
  'the console is patched for concurrent steps: each gets its own lines': async () => {
    const print = vi.spyOn(console, 'log').mockImplementation(() => {});
    const talk = step({ n: Number }, async function talk(_flow, { n }) {
      for (let line = 0; line < 3; line++) {
        console.log(`${n}`);
        await sleep(Math.random() * 5);
      }
    });
    const flow = new Flow('test', new MemoryStorage(), { concurrency: 8 });
    const before = console.log;
    for (let n = 0; n < 8; n++) flow.push([talk], { n });
    await flow.execute();
    expect(console.log).toBe(before);
    const scopes: Scope[] = await flow.scopes;
    expect(scopes.map((scope) => scope.logs.map((line) => line.message))).toEqual(
      scopes.map(({ params }) => Array(3).fill(`${params.n}`)),
    );
    print.mockRestore();
  },
  'the wall clock is used for durations: a jump of it changes none': async () => {
    let hours = 0;
    const now = vi.spyOn(Date, 'now').mockImplementation(() => hours++ * 3_600_000);
    const scope = await newFlow()
      .push(async function nap() {
        await sleep(30);
      })
      .execute();
    now.mockRestore();
    expect(scope?.durationMs).toBeGreaterThan(25);
    expect(scope?.durationMs).toBeLessThan(10_000);
  },
};

test.each(Object.entries(defects))('%s', (_defect, check) => check());
