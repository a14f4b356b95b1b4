import { readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  DuckDBStorage,
  Flow,
  id,
  JsonStorage,
  MemoryStorage,
  or,
  param,
  ParquetStorage,
  repeat,
  type SearchOptions,
  step,
  type StepFlow,
  type Storage,
} from '../src/index.ts';
import { Scope } from '../src/scope.ts';
import type { ScopeRecord, Snapshot } from '../src/store.ts';
import { child } from './child.ts';
import { temporaryFolder } from './folders.ts';
import { isLarge } from './size.ts';
import { searchFor } from './store-rows.ts';

const storages: Record<string, (folder: string) => Storage> = {
  MemoryStorage: () => new MemoryStorage(),
  JsonStorage: (folder) => new JsonStorage(folder),
  ParquetStorage: (folder) => new ParquetStorage(folder),
  DuckDBStorage: (folder) => new DuckDBStorage(join(folder, 'history.duckdb')),
};

function newFlow(storage: Storage, name = 'test'): Flow {
  return new Flow(name, storage, { logLevel: 'silent' });
}

function work(flow: StepFlow): void {
  flow.tag('loss', 0.5);
  flow.keep('data', [1, 2]);
  flow.keep('model', 'large');
}

/** The snapshots that a storage gives from now on, and how many of them are not released. */
function watchSnapshots(storage: Storage): { readonly open: () => number; readonly asked: readonly string[] } {
  const opener = storage as unknown as { openSnapshot(): Promise<Snapshot> };
  const original = opener.openSnapshot.bind(storage);
  const asked: string[] = [];
  let open = 0;
  opener.openSnapshot = async () => {
    const snapshot = await original();
    open++;
    return new Proxy(snapshot, {
      get: (target, name: keyof Snapshot) => {
        asked.push(name);
        if (name !== 'release') return Reflect.get(target, name);
        return async () => {
          open--;
          await target.release();
        };
      },
    });
  };
  return { open: () => open, asked };
}

describe.each(Object.entries(storages))('a search of %s', (_, make) => {
  test('gives up when its signal aborts, with the reason, and lets go of what it holds', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).push(repeat(work, 200)).execute();
    const watched = watchSnapshots(storage);
    const reason = new Error('enough');
    const aborted = AbortSignal.abort(reason);
    const queries = [
      (signal: AbortSignal) => storage.search('*', { signal }).count(),
      (signal: AbortSignal) => storage.search('*', { signal }).ids(),
      (signal: AbortSignal) => storage.search('*', { signal }).first(),
      async (signal: AbortSignal) => await storage.search('*', { signal, where: (tag) => tag.value === 0.5 }),
    ];
    for (const query of queries) {
      await expect(query(aborted)).rejects.toBe(reason);
      const later = new AbortController();
      const running = query(later.signal);
      later.abort(reason);
      await expect(running).rejects.toBe(reason);
    }
    expect(watched.open()).toBe(0);
    expect(await storage.search('*').count()).toBe(200);
  });

  test('gives up in the midst of a loop', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).push(repeat(work, 300)).execute();
    const watched = watchSnapshots(storage);
    const controller = new AbortController();
    let seen = 0;
    const loop = async (): Promise<void> => {
      for await (const scope of storage.search('*', { signal: controller.signal })) {
        seen += scope.attempt; // which is 1
        if (seen === 100) controller.abort('enough');
      }
    };
    await expect(loop()).rejects.toBe('enough');
    expect(seen).toBe(100);
    expect(watched.open()).toBe(0);
  });

  test('lets go of what it holds when a loop stops or throws, and when all has been read', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).push(repeat(work, 3)).execute();
    const watched = watchSnapshots(storage);
    for await (const scope of storage.search('*')) {
      expect(scope.step).toBe('work');
      expect(watched.open()).toBe(1);
      break;
    }
    const failing = async (): Promise<void> => {
      for await (const scope of storage.search('*')) throw new Error(scope.step);
    };
    await expect(failing()).rejects.toThrow('work');
    expect(await storage.search('*')).toHaveLength(3);
    expect(watched.open()).toBe(0);
  });

  test('counts and gives ids without reading a scope', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).push(repeat(work, 20)).execute();
    const watched = watchSnapshots(storage);
    expect(await storage.search('*').count()).toBe(20);
    expect(await storage.search('*', { limit: 7 }).count()).toBe(7);
    const ids = await storage.search('*', { limit: 12 }).ids();
    expect(watched.asked).not.toContain('read');
    expect(ids).toEqual((await storage.search('*', { limit: 12 })).map(({ id }) => id));
  });

  test('fetches only the artifacts that it was asked to, and all their names', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).push(work).execute();
    const one = async (artifacts?: readonly string[] | boolean) => await storage.search('*', { artifacts }).first();
    expect([(await one())?.recall('model'), (await one(true))?.recall('model')]).toEqual(['large', 'large']);
    const some = await one(['data', 'other']);
    expect(some?.artifacts).toEqual(['data', 'model']);
    expect(some?.recall('data')).toEqual([1, 2]);
    for (const scope of [some, await one(false), await one([])]) {
      expect(scope?.artifacts).toEqual(['data', 'model']);
      expect(() => scope?.recall('model')).toThrow(
        expect.objectContaining({ code: 'ARTIFACT_UNKNOWN', message: expect.stringMatching(/"model".*not fetched.*artifacts/) }),
      );
      expect(() => scope?.recall('modal')).toThrow(/keeps no artifact "modal"\. Did you mean "model"/);
    }
    for (const artifacts of ['data', 1, null, [1]] as unknown as readonly string[][])
      expect(() => storage.search('*', { artifacts })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    expect(() => storage.search('*', { signal: {} as AbortSignal })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });

  test('names a run that is not there, and near ones; a run without a match is no error', async () => {
    await using storage = make(temporaryFolder());
    const flow = newFlow(storage).push(work);
    await flow.execute();
    const empty = newFlow(storage, 'empty');
    await empty.execute();
    const wrong = `${flow.run.slice(0, -1)}_`;
    const searches = [
      async (runs: string) => await storage.search('*', { runs }),
      (runs: string) => storage.search('*', { runs }).count(),
      (runs: string) => storage.search('*', { runs }).first(),
      (runs: string) => storage.search('*', { runs }).ids(),
    ];
    const unknown = { code: 'RUN_UNKNOWN', message: `there is no run "${wrong}". Did you mean "${flow.run}"?` };
    for (const search of searches) {
      await expect(search(wrong)).rejects.toMatchObject(unknown);
      for (const known of [empty.run, `${wrong}*`]) expect([[], 0, undefined]).toContainEqual(await search(known));
    }
    expect(await storage.search('none.*', { runs: flow.run })).toEqual([]);
    const watched = watchSnapshots(storage);
    expect(await storage.search('*', { runs: flow.run }).count()).toBe(1);
    expect(watched.asked).not.toContain('slugs');
  });

  test('names a run that a pattern names and that is not there, unless another one that it names is', async () => {
    await using storage = make(temporaryFolder());
    const flow = newFlow(storage).push(work);
    await flow.execute();
    const [wrong, other] = [`${flow.run}x`, `${flow.run}y`];
    const one = `there is no run "${wrong}". Did you mean "${flow.run}"?`;
    const both = `there is none of the runs "${wrong}", "${other}". Did you mean "${flow.run}"?`;
    const many = `there is none of the runs "${wrong}", "${other}" and 2 more. Did you mean "${flow.run}"?`;
    const rejected: [string, SearchOptions, string][] = [
      [`test.work.${wrong}.*`, {}, one],
      [`*.*.{${wrong},${other}}.*`, {}, both],
      [`*.*.{${wrong},${other},a,b}.*`, {}, many],
      ['*', { runs: `{${wrong},${other}}` }, both],
      ['*', { where: id(`*.*.${wrong}.*`), runs: 'all' }, one],
    ];
    for (const [pattern, options, message] of rejected) {
      await expect(storage.search(pattern, options)).rejects.toMatchObject({ code: 'RUN_UNKNOWN', message });
      await expect(storage.search(pattern, options).count()).rejects.toMatchObject({ code: 'RUN_UNKNOWN', message });
    }
    for (const pattern of [`none.*.${flow.run}.*`, `none.*.{${wrong},${flow.run}}.*`, `*.*.${wrong}*.*`, `!*.*.${flow.run}.*`])
      expect(await storage.search(pattern)).toEqual([]);
    await expect(storage.load(`test.work.${wrong}.0-0`)).rejects.toMatchObject({ code: 'SCOPE_UNKNOWN' });
  });

  test('ends with the storage, which says that it is closed', async () => {
    const storage = make(temporaryFolder());
    await newFlow(storage).push(repeat(work, 400)).execute();
    const closed = { code: 'STORE_CLOSED', message: expect.stringContaining(`${storage} is closed`) };
    const seen = new Set<string>();
    const loop = async () => {
      for await (const scope of storage.search('*')) if (seen.add(scope.id).size === 1) await storage.close();
    };
    await expect(loop()).rejects.toMatchObject(closed);
    expect(seen.size).toBeGreaterThan(0);
    expect(seen.size).toBeLessThan(400);
    await expect(storage.search('*').count()).rejects.toMatchObject(closed);
  });

  test('knows the run that it is made in, of which nothing is flushed', async () => {
    await using storage = make(temporaryFolder());
    const found: unknown[] = [];
    const flow: Flow = newFlow(storage);
    const look = step('look', async (inner) => void found.push(await inner.search('*', { runs: flow.run })));
    await flow.failFast().push(look).execute();
    expect(found).toEqual([[]]);
  });

  test('says on which tag of which scope a predicate fails', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage)
      .push([step('fine', (flow) => flow.tag('loss', 1)), step('bad', (flow) => flow.tag('loss', 2))])
      .execute();
    const throws = async (): Promise<unknown> =>
      await storage.search('*', {
        where: ({ value }) => {
          if (value === 2) throw new RangeError('too far');
          return true;
        },
      });
    await expect(throws()).rejects.toMatchObject({
      code: 'WHERE_INVALID',
      message: expect.stringMatching(
        /^where threw on the tag "loss" with the value 2 of scope "test\.bad\.[a-z-]+\.0-1": too far$/,
      ),
      cause: new RangeError('too far'),
    });
    const sneaky = (() => Promise.resolve(true)) as unknown as () => boolean;
    await expect(storage.search('*', { where: sneaky }).count()).rejects.toMatchObject({
      code: 'WHERE_INVALID',
      message: expect.stringMatching(/promise for the tag "loss" with the value [12] of scope "test\./),
    });
  });

  test('goes through more scopes than fit on a page, each once and in order', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).push(repeat(work, 700)).execute();
    await newFlow(storage, 'other').push(work).execute();
    const expected = (await storage.sql<{ sid: number }>`SELECT sid FROM scopes ORDER BY sid`).map(({ sid }) => sid);
    const sids = async (order: 'newest' | 'oldest') => (await storage.search('*', { runs: 'all', order })).map(({ sid }) => sid);
    expect(await sids('oldest')).toEqual(expected);
    expect(await sids('newest')).toEqual(expected.toReversed());
    expect(await storage.search('test.*').count()).toBe(700);
    expect((await storage.search('test.*')).map(({ sid }) => sid)).toEqual(expected.slice(0, 700).toReversed());
  });
});

test('a scope decodes an artifact when it is recalled, and not before', async () => {
  await using storage = new MemoryStorage();
  await newFlow(storage)
    .push(step('keeps', (flow) => flow.keep('data', { list: [1] })))
    .execute();
  const snapshot = await (storage as unknown as { openSnapshot(): Promise<Snapshot> }).openSnapshot();
  const [record] = await snapshot.read(await snapshot.find(searchFor()));
  await snapshot.release();
  let decoded = 0;
  const artifacts = (record as ScopeRecord).artifacts.map((one) => ({
    ...one,
    get text() {
      decoded++;
      return one.text;
    },
  }));
  const scope = new Scope({ ...(record as ScopeRecord), artifacts } as ScopeRecord);
  expect([scope.artifacts, scope.tags, JSON.stringify(scope).length > 0, decoded]).toEqual([['data'], [], true, 0]);
  expect(scope.recall('data')).toEqual({ list: [1] });
  expect(decoded).toBe(1);
});

test('a loop that comes to a damaged segment has given what stands before it, and throws', async () => {
  const folder = temporaryFolder();
  {
    await using storage = new ParquetStorage(folder);
    for (let run = 0; run < 2; run++) await newFlow(storage).push(repeat(work, 300)).execute();
  }
  const [oldest] = readdirSync(join(folder, 'scopes'))
    .filter((name) => name.endsWith('.parquet') && name !== 'empty.parquet')
    .sort((a, b) => (a < b ? -1 : 1)); // names begin with the uuid of the run, which begins with the time
  truncateSync(join(folder, 'scopes', oldest as string), 100);
  await using storage = new ParquetStorage(folder);
  let seen = 0;
  const loop = async (): Promise<void> => {
    for await (const scope of storage.search('*', { runs: 'all' })) seen += scope.attempt;
  };
  await expect(loop()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  expect(seen).toBe(300); // all of the newer run
  await expect(storage.search('*', { runs: 'all' }).count()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  expect(await storage.search('*').count()).toBe(300);
});

test('a search of which the SQL takes seconds stops when its signal aborts, whatever the reason says', async () => {
  await using storage = new ParquetStorage(temporaryFolder());
  const params = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`p${index}`, 'x'.repeat(100)]));
  const idle = step('idle', () => undefined);
  const makes = step('makes', (flow) => {
    for (let index = 0; index < 20_000; index++) flow.push(idle, { ...params, index }); // no two alike: DuckDB looks once at those that are
  });
  await newFlow(storage).push(makes).execute();
  const wanted = or(...Object.keys(params).map((name) => param(name).eq('other')));
  const controller = new AbortController();
  const reason = new Error('INTERNAL Error: of the person who asks'); // as if DuckDB had stopped for ever
  const running = storage.search('*', { where: wanted, signal: controller.signal }).ids();
  const settled = running.then(
    () => 'found',
    (error: unknown) => error,
  );
  expect(await Promise.race([settled, setTimeout(100, 'runs')])).toBe('runs');
  const begun = performance.now();
  controller.abort(reason);
  expect(await settled).toBe(reason);
  expect(performance.now() - begun).toBeLessThan(500); // DuckDB looks between two vectors of 2,048 rows
  expect(await storage.search('*', { limit: 3 }).count()).toBe(3);

  const other = new AbortController();
  const select = storage.sql`SELECT count(*) FROM range(100000) AS a, range(1000000) AS b WHERE (a.range * b.range) % 7 = 3`.with(
    { signal: other.signal },
  );
  const answer = select.then(
    () => 'found',
    (error: unknown) => error,
  );
  expect(await Promise.race([answer, setTimeout(100, 'runs')])).toBe('runs');
  other.abort(reason);
  expect(await answer).toBe(reason);
  expect(await storage.search('*', { limit: 3 }).count()).toBe(3);
});

test('a page that cannot be read is an error in the midst of a loop', async () => {
  await using storage = new ParquetStorage(temporaryFolder());
  await newFlow(storage).push(repeat(work, 500)).execute();
  const opener = storage as unknown as { openSnapshot(): Promise<Snapshot> };
  const original = opener.openSnapshot.bind(storage);
  let pages = 0;
  opener.openSnapshot = async () => {
    const snapshot = await original();
    const read: Snapshot['read'] = async (...asked) => {
      if (++pages === 2) throw new Error('disk');
      return await snapshot.read(...asked);
    };
    return new Proxy(snapshot, { get: (target, name) => (name === 'read' ? read : Reflect.get(target, name)) });
  };
  let seen = 0;
  const loop = async (): Promise<void> => {
    for await (const scope of storage.search('*')) seen += scope.attempt;
  };
  await expect(loop()).rejects.toThrow('disk');
  expect(seen).toBeGreaterThan(0);
  expect(seen).toBeLessThan(500);
});

test('goes through scopes in bounded memory', async () => {
  const [scopes, megabytes] = isLarge ? [1_000_000, 128] : [40_000, 64];
  const outcome = await child('../programs/iterate.ts', [join(temporaryFolder(), 'history'), String(scopes)], {
    flags: [`--max-old-space-size=${megabytes}`],
    timeout: isLarge ? 600_000 : 170_000,
  });
  expect(outcome).toMatchObject({ code: 0, output: `${scopes}\n` });
}, 620_000);
