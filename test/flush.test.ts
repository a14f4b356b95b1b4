import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type Batch,
  Flow,
  JsonStorage,
  ParquetStorage,
  repeat,
  retry,
  type Step,
  step,
  Storage,
  type StorageOptions,
} from '../src/index.ts';
import { rowsOf } from '../src/record-rows.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { temporaryFolder } from './folders.ts';
import { isLarge } from './size.ts';

/** A store that says what has been written, step by step. */
class WatchedStore extends MemoryStore {
  readonly scopes: string[] = [];
  readonly tags: string[] = [];
  writes = 0;
  delayMs = 0;

  override async write(batch: Batch): Promise<void> {
    await sleep(this.delayMs);
    await super.write(batch);
    this.writes++;
    const { scopes, tags } = batch.tables;
    if (scopes !== undefined)
      for (const { step: name, status } of rowsOf('scopes', scopes)) this.scopes.push(`${name} ${status}`);
    if (tags !== undefined) for (const { content } of rowsOf('tags', tags)) this.tags.push(content as string);
  }
}

class WatchedStorage extends Storage {}

/** No flush comes from a policy but for what a test gives. */
function watched(options: StorageOptions = {}): { readonly store: WatchedStore; readonly storage: Storage } {
  const store = new WatchedStore();
  const storage = new WatchedStorage(store, { ...options, flush: { scopes: 1e9, bytes: 1e12, ms: 1e9, ...options.flush } });
  onTestFinished(() => storage.close());
  return { store, storage };
}

function quick(): void {}

/** A step that waits until exactly these scopes have been written. */
function untilWritten(store: WatchedStore, scopes: readonly string[]): Step {
  return step('waits', async () => {
    await expect.poll(() => store.scopes, { timeout: 5_000 }).toEqual(scopes);
  });
}

describe('rows leave memory for the store', () => {
  test.each([
    ['so many scopes', { scopes: 3 }],
    ['so many bytes', { bytes: 250 }],
    ['so many milliseconds', { ms: 20 }],
  ])('after %s, while the run goes on', async (_, flush) => {
    const { store, storage } = watched({ flush });
    const flow = new Flow('test', storage).failFast().push(repeat(quick, 3));
    await flow.push(untilWritten(store, ['quick ok', 'quick ok', 'quick ok'])).execute();
  });

  test('at the end', async () => {
    const { store, storage } = watched();
    await new Flow('test', storage).push(quick).execute();
    expect({ scopes: store.scopes, writes: store.writes }).toEqual({ scopes: ['quick ok'], writes: 1 });
  });

  test('once a step has failed for good, not when it is tried again', async () => {
    const { store, storage } = watched();
    const writes: number[] = [];
    const fails = step('fails', async () => {
      await sleep(50);
      writes.push(store.writes);
      throw new Error('it fails');
    });
    const flow = new Flow('test', storage, { logLevel: 'silent' }).push(retry(fails, 2));
    await flow.push(untilWritten(store, ['fails retried', 'fails error'])).execute();
    expect(writes).toEqual([0, 0]);
    expect(await flow.errors.count()).toBe(1);
  });

  test('in few batches, however many steps fail', async () => {
    const { store, storage } = watched();
    store.delayMs = 20;
    const flow = new Flow('test', storage, { logLevel: 'silent' });
    flow.push(
      repeat(
        step('fails', () => Promise.reject(new Error('no'))),
        2_000,
      ),
    );
    await flow.execute();
    expect(store.scopes).toHaveLength(2_000);
    expect(store.writes).toBeLessThan(200);
  });

  test('on demand, of a run and of all', async () => {
    const { store, storage } = watched();
    const flow = new Flow('test', storage).failFast().tag('of the run');
    await flow.flush(); // there is no run yet
    flow.push(quick).push(
      step('asks', async () => {
        await flow.flush();
        expect([store.scopes, store.tags]).toEqual([['quick ok'], ['of the run']]);
        flow.tag('another');
        await storage.flush();
        expect(store.tags).toEqual(['of the run', 'another']);
      }),
    );
    await flow.execute();
  });

  test('from within a step, its own tags so far included, and never after it has ended', async () => {
    const { store, storage } = watched();
    let late: (() => Promise<void>) | undefined;
    const flow = new Flow('test', storage).failFast().push(
      step('asks', async (own) => {
        own.tag('a');
        await own.flush();
        expect([store.tags, store.scopes]).toEqual([['a'], []]);
        own.tag('b');
        late = () => own.flush();
      }),
    );
    await flow.execute();
    expect([store.tags, store.scopes]).toEqual([['a', 'b'], ['asks ok']]);
    await expect(late?.()).rejects.toMatchObject({ code: 'HANDLE_ENDED' });
  });

  test('after a step that held the event loop for longer than that, before the next begins', async () => {
    const { store, storage } = watched({ flush: { ms: 20 } });
    const before: number[] = [];
    const holds = step('holds', () => {
      before.push(store.scopes.length);
      for (const end = performance.now() + 40; performance.now() < end;);
    });
    await new Flow('test', storage).push(repeat(holds, 4)).execute();
    expect(before).toEqual([0, 1, 2, 3]);
  });
});

describe("durability 'every-scope'", () => {
  test('has each scope durable before the next step begins, its retries as well', async () => {
    const { store, storage } = watched({ durability: 'every-scope' });
    const before: number[] = [];
    const notes = step('notes', async () => {
      before.push(store.scopes.length);
      await nextTurn();
    });
    const fails = step('fails', () => {
      before.push(store.scopes.length);
      throw new Error('it fails');
    });
    const flow = new Flow('test', storage, { logLevel: 'silent' }).push(repeat(notes, 3)).push(retry(fails, 3));
    await flow.execute();
    expect(before).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('lets steps that run at the same time share a flush', async () => {
    const { store, storage } = watched({ durability: 'every-scope' });
    store.delayMs = 5;
    const started: [own: string, durable: readonly string[]][] = [];
    const notes = step('notes', async (flow) => {
      started.push([flow.path, [...store.tags]]);
      flow.tag(flow.path);
      await nextTurn();
    });
    await new Flow('test', storage, { concurrency: 8 }).push(repeat(notes, 80)).execute();
    // Of all steps that started before the n-th at most the 7 beside it may not be durable.
    started.forEach(([, durable], index) => expect(durable.length).toBeGreaterThanOrEqual(index - 7));
    expect(store.writes).toBeLessThan(40);
  });

  test('ends the run where the store cannot be written, and loses nothing by it', async () => {
    const { store, storage } = watched({ durability: 'every-scope' });
    const write = store.write.bind(store);
    store.write = () => Promise.reject(new Error('the disk is full'));
    const flow = new Flow('test', storage, { logLevel: 'silent' }).push(repeat(quick, 5));
    await expect(flow.execute()).rejects.toThrow('the disk is full');
    store.write = write;
    await flow.flush();
    expect(store.scopes).toEqual(['quick ok']);
  });

  test('is one of two words', () => {
    const options = { durability: 'always' } as unknown as StorageOptions;
    expect(() => new WatchedStorage(new MemoryStore(), options)).toThrow(
      /durability is "always": give 'window' or 'every-scope'/,
    );
  });
});

describe('a step that records without an end', () => {
  const tags = isLarge ? 5_000_000 : 150_000;

  test.each([
    ['Parquet', (folder: string, options: StorageOptions) => new ParquetStorage(folder, options)],
    ['JSON', (folder: string, options: StorageOptions) => new JsonStorage(folder, options)],
  ])(
    'and never lets the event loop go has its rows parked beside the %s store, and all of them stored, once',
    async (_, make) => {
      const folder = temporaryFolder();
      await using storage = make(folder, { flush: { bytes: tags * 2, ms: 1e6 } });
      let parked = 0;
      const flow = new Flow('test', storage, { capture: false }).failFast().push(
        step('series', async (own) => {
          for (let index = 0; index < tags; index++) {
            own.tag('loss', index);
            if (index % 1_000 === 0) await Promise.resolve(); // which lets nothing happen but what is resolved already
          }
          parked = readdirSync(join(folder, 'spill')).length;
        }),
      );
      await flow.execute();
      expect(parked).toBeGreaterThan(3);
      expect(readdirSync(join(folder, 'spill'))).toEqual([]);
      const [row] = await storage.sql`SELECT count(*) AS n, count(DISTINCT value) AS different, max(value) AS top FROM tags`;
      expect(row).toEqual({ n: tags, different: tags, top: tags - 1 });
    },
  );

  test('is seen in a search while its rows are parked', async () => {
    const folder = temporaryFolder();
    await using storage = new ParquetStorage(folder, { flush: { bytes: 10_000, ms: 1e6 } });
    const counts: unknown[] = [];
    const flow = new Flow('test', storage, { capture: false }).failFast().push(
      step('series', async (own) => {
        for (let index = 0; index < 10_000; index++) own.tag('loss', index);
        counts.push(...(await own.sql`SELECT count(*) AS n, count(DISTINCT value) AS different FROM live_tags`));
      }),
    );
    await flow.execute();
    expect(counts).toEqual([{ n: 10_000, different: 10_000 }]);
  });
});

describe('a step that is still running', () => {
  test('is seen by another storage: its tags and logs within the time of a flush, its scope not before it has ended', async () => {
    const folder = temporaryFolder();
    await using storage = new ParquetStorage(folder, { flush: { ms: 50 } });
    await using other = new ParquetStorage(folder);
    let ends = (): void => {};
    const isOver = new Promise<void>((resolve) => (ends = resolve));
    const flow = new Flow('test', storage).push(quick).push(
      step('trains', async (own) => {
        own.tag('loss', 1);
        own.log('epoch 1');
        await isOver;
        own.tag('loss', 0.5);
      }),
    );
    const run = flow.execute();
    const seen = async (): Promise<unknown> => {
      const tags = await other.sql`SELECT step, content, value FROM live_tags`;
      const logs = await other.sql`SELECT step, message FROM live_logs`;
      return { tags, logs, done: await other.search('*').count(), scoped: await other.sql`SELECT * FROM tags` };
    };
    const whileItRuns = {
      tags: [{ step: 'trains', content: 'loss', value: 1 }],
      logs: [{ step: 'trains', message: 'epoch 1' }],
      done: 1,
      scoped: [],
    };
    await expect.poll(() => seen().catch(() => null), { timeout: 10_000 }).toEqual(whileItRuns);
    ends();
    await run;
    expect(await seen()).toMatchObject({ tags: [], logs: [], done: 2, scoped: [{ value: 1 }, { value: 0.5 }] });
  });
});
