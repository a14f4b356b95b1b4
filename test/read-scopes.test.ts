import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileGlob } from '../src/glob.ts';
import type { RunSelection, Search } from '../src/search.ts';
import type { ScopeRecord, Snapshot } from '../src/store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { suiteFolder } from './folders.ts';
import { isLarge } from './size.ts';
import { claimRows, searchFor } from './store-rows.ts';

/** Runs of a few scopes, and one of many; every third run has a tag `rare`. Scopes keep `data` and `model`, the second one twice. */
const counts = [3, 1, 5, 2, 4, 1, 1, 130, 2, 3, 1, 6, 2, 1, 3, 2, 1, 1, 4, 2];

const folder = suiteFolder();
let store: ParquetStore;
let snapshot: Snapshot;
const all = new Map<number, ScopeRecord>();

beforeAll(async () => {
  store = new ParquetStore(folder);
  for (const [index, count] of counts.entries()) {
    const run = await claimRows(store, `run-n${index}`);
    for (let ordinal = 1; ordinal <= count; ordinal++) {
      run.scope(ordinal, { status: ordinal % 7 === 3 ? 'retried' : 'ok', params: `{"n":${ordinal}}` });
      run.tag(ordinal, 0, 'loss', ordinal).tag(ordinal, 1, index % 3 === 0 ? 'rare' : 'usual');
      run.artifact(ordinal, 0, 'model', { text: '"old"' }).artifact(ordinal, 1, 'data', { text: `"${'x'.repeat(998)}"` });
      run.artifact(ordinal, 2, 'model', { text: `"new ${ordinal}"` });
      if (ordinal % 2 === 0) run.log(ordinal, 0, 'first').log(ordinal, 1, 'second');
    }
    await store.write(await run.batch());
  }
  snapshot = await store.snapshot([]);
  for (const sid of await snapshot.find(searchFor())) {
    const [record] = await snapshot.read([sid]);
    all.set(sid, record as ScopeRecord);
  }
}, 60_000);

afterAll(async () => {
  await snapshot.release();
  await store.close();
});

function idOf({ flow, step, run, path }: ScopeRecord): string {
  return `${flow}.${step}.${run}.${path}`;
}

test('scopes that are read one by one have their own children, and of artifacts with one name the last', () => {
  expect(all.size).toBe(counts.reduce((a, b) => a + b));
  const second = [...all.values()].find(({ path }) => path === '0-2') as ScopeRecord;
  expect(second).toMatchObject({
    params: '{"n":2}',
    tags: [{ content: 'loss', value: 2 }, { value: null }],
    logs: [{ message: 'first' }, { message: 'second' }],
    artifacts: [{ name: 'model', text: '"new 2"' }, { name: 'data' }],
  });
});

describe('many scopes at once', () => {
  const anySids = () => fc.shuffledSubarray([...all.keys(), 5, 2 ** 40 + 1], { minLength: 1 });
  const asRead = (sids: readonly number[]) => sids.flatMap((sid) => all.get(sid) ?? []);

  test('are those that were asked for, in the same order, however they lie', async () => {
    await fc.assert(
      fc.asyncProperty(anySids(), async (sids) => {
        expect(await snapshot.read(sids)).toEqual(asRead(sids));
      }),
      { seed: 20_261_122, numRuns: isLarge ? 200 : 25 },
    );
  });

  test('have the values of those artifacts that were asked for, and the names of all in their order', async () => {
    const read = await snapshot.read([...all.keys()], { artifacts: ['model'] });
    const expected = [...all.values()].map(({ artifacts }) =>
      artifacts.map((one) => (one.name === 'model' ? one : { name: one.name, codec: null, text: null, bytes: null })),
    );
    expect(read.map(({ artifacts }) => artifacts)).toEqual(expected);
  });

  test('are fewer where their artifacts weigh more than is wanted, and at least one', async () => {
    const sids = [...all.keys()].toReversed();
    const perScope = 1_000 + '"old""new 1"'.length;
    for (const [bytes, most] of [
      [10 * perScope + 20, 10],
      [1, 1],
    ] as const) {
      const read = await snapshot.read(sids, { bytes });
      expect(read.length).toBeGreaterThanOrEqual(Math.min(most, 9));
      expect(read.length).toBeLessThanOrEqual(most);
      expect(read).toEqual(asRead(sids.slice(0, read.length)));
    }
    expect(await snapshot.read(sids, { bytes: 1, artifacts: false })).toHaveLength(sids.length);
    expect(await snapshot.read(sids, { bytes: 10 ** 9 })).toHaveLength(sids.length);
  });
});

test('the pages of a search, which look at the newest runs first, are together what it finds at once, as are its ids and their count', async () => {
  const runs = fc.constantFrom<RunSelection>(
    { kind: 'all' },
    { kind: 'slug', glob: compileGlob('run-n{1,4,7,12}') },
    { kind: 'slug', glob: compileGlob('run-n1*') },
    { kind: 'recent', back: 1, before: null },
  );
  const rare = { kind: 'tag', content: 'rare', test: null } as const;
  const above = { kind: 'tag', content: 'loss', test: { op: 'gt', value: 5 } } as const;
  const search = fc.record<Partial<Search>>({
    runs,
    order: fc.constantFrom('newest', 'oldest'),
    limit: fc.option(fc.integer({ min: 0, max: 180 })),
    predicate: fc.constantFrom(null, rare, above),
    where: fc.constantFrom(null, ({ value }: { value: number | null }) => value === 4),
  });
  await fc.assert(
    fc.asyncProperty(search, fc.boolean(), async (asked, wantsAll) => {
      const pages: number[] = [];
      for await (const page of snapshot.pages(searchFor(asked), { wantsAll })) pages.push(...page);
      const found = await snapshot.find(searchFor({ ...asked, limit: null })); // at once: over all runs
      const expected = found.slice(0, asked.limit ?? undefined);
      expect(pages).toEqual(expected);
      expect(await snapshot.count(searchFor(asked))).toBe(expected.length);
      const [sids, ids]: [number[], string[]] = [[], []];
      for await (const page of snapshot.ids(searchFor(asked), { wantsAll })) {
        sids.push(...page.sids);
        ids.push(...page.ids);
      }
      expect(sids).toEqual(expected);
      expect(ids).toEqual(expected.map((sid) => idOf(all.get(sid) as ScopeRecord)));
    }),
    { seed: 20_261_123, numRuns: isLarge ? 400 : 60 },
  );
});
