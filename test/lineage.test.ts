import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  DuckDBStorage,
  Flow,
  JsonStorage,
  type LineageRow,
  MemoryStorage,
  ParquetStorage,
  repeat,
  retry,
  type Scope,
  step,
  type StepFlow,
  Storage,
  type Store,
} from '../src/index.ts';
import { DuckDBStore } from '../src/storage/duckdb-store.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { temporaryFolder } from './folders.ts';
import { isLarge } from './size.ts';
import { claimRows } from './store-rows.ts';

const storages: Record<string, (folder: string) => Storage> = {
  MemoryStorage: () => new MemoryStorage(),
  JsonStorage: (folder) => new JsonStorage(folder),
  ParquetStorage: (folder) => new ParquetStorage(folder),
  DuckDBStorage: (folder) => new DuckDBStorage(join(folder, 'history.duckdb')),
};

const stores: Record<string, (folder: string) => Store> = {
  MemoryStore: () => new MemoryStore(),
  JsonStore: (folder) => new JsonStore(folder),
  ParquetStore: (folder) => new ParquetStore(folder),
  DuckDBStore: (folder) => new DuckDBStore(join(folder, 'history.duckdb')),
};

/** A storage over rows that a test has made up. */
class StorageOf extends Storage {}

function storageOf(store: Store): Storage {
  const storage = new StorageOf(store);
  onTestFinished(() => storage.close());
  return storage;
}

function newFlow(storage: Storage, name = 'test', concurrency = 1): Flow {
  return new Flow(name, storage, { logLevel: 'silent', concurrency }).failFast();
}

/** `1 inspectSub@1-1 recalled data: sub@0-3`, each row as a line. */
async function lines(rows: PromiseLike<readonly LineageRow[]>): Promise<string[]> {
  const short = (id: string | null): string => (id === null ? '?' : id.replace(/^[^.]*\.([^.]*)\.[^.]*\./, '$1@'));
  return (await rows).map((row) => {
    expect(row.id === null ? [row.flow, row.step, row.run] : row.id.split('.').slice(0, 3)).toEqual([
      row.flow,
      row.step,
      row.run,
    ]);
    return `${row.depth} ${short(row.from_id)} ${row.kind}${row.name === null ? '' : ` ${row.name}`}: ${short(row.id)}`;
  });
}

function source(flow: StepFlow): void {
  flow.keep('data', 1);
}
function idle(): void {}
async function user(flow: StepFlow): Promise<void> {
  for await (const scope of flow.search(source)) scope.recall('data');
}

describe.each(Object.entries(storages))('%s', (_, make) => {
  test('leads from a scope to what its step searched, recalled, to who pushed those, and back', async () => {
    await using storage = make(temporaryFolder());
    const add = step('add', (flow) => flow.keep('data', 'sum'));
    const sub = step('sub', (flow) => flow.keep('data', 'difference'));
    function simpleMath(flow: StepFlow): void {
      flow.push(flow.path === '0-1' ? sub : add);
    }
    async function inspectAdd(flow: StepFlow): Promise<void> {
      for await (const scope of flow.search('*.add.*')) flow.log(scope.id);
    }
    async function inspectSub(flow: StepFlow): Promise<void> {
      for await (const scope of flow.search(sub)) flow.log(scope.recall<string>('data'));
    }
    const flow = newFlow(storage).push(repeat(simpleMath, 2)).push([inspectAdd, inspectSub]);
    await flow.execute();
    const id = `test.inspectSub.${flow.run}.1-1`;
    const expected = [
      '1 inspectSub@1-1 recalled data: sub@0-1-0',
      '1 inspectSub@1-1 searched: sub@0-1-0',
      '2 sub@0-1-0 pushed: simpleMath@0-1',
    ];
    const [subScope] = await storage.search(sub);
    const inspector = await storage.load(id);
    for (const choice of [id, `${id}#1`, inspector, inspector.sid]) {
      expect(await lines(storage.lineage(choice))).toEqual(expected);
    }
    expect(await lines(storage.lineage(id, { depth: 1 }))).toEqual(expected.slice(0, 2));
    expect(() => storage.lineage(id, { depth: 0 })).toThrow(/^depth is 0: give a whole number of steps from 1 on/);
    expect(await lines(storage.impact(subScope as Scope))).toEqual([
      '1 sub@0-1-0 recalled data: inspectSub@1-1',
      '1 sub@0-1-0 searched: inspectSub@1-1',
    ]);
    expect(await lines(storage.impact(`test.simpleMath.${flow.run}.0-1`, { depth: Infinity }))).toEqual([
      '1 simpleMath@0-1 pushed: sub@0-1-0',
      '2 sub@0-1-0 recalled data: inspectSub@1-1',
      '2 sub@0-1-0 searched: inspectSub@1-1',
    ]);
    expect(await storage.lineage(`test.simpleMath.${flow.run}.0-0`)).toEqual([]);
    const [row] = await storage.lineage(id);
    expect(row).toEqual({
      depth: 1,
      kind: 'recalled',
      name: 'data',
      sid: subScope?.sid,
      id: subScope?.id,
      from_sid: inspector.sid,
      from_id: id,
      flow: 'test',
      step: 'sub',
      run: flow.run,
      status: 'ok',
      has_more: false,
    });
    expect((await storage.lineage(id, { depth: 1 })).map(({ has_more: more }) => more)).toEqual([true, true]);
    const table = await storage.lineage(id).toArrow();
    expect([table.numRows, table.schema.fields.map((field) => field.name).join()]).toEqual([
      3,
      Object.keys(row as object).join(),
    ]);
  });

  test('goes by references, and by each attempt of a step for itself', async () => {
    await using storage = make(temporaryFolder());
    function parent(flow: StepFlow): void {
      flow.keep('data', 1);
      flow.push(retry(child, 2, { delay: 0 }), {}, { scope: flow.scope });
    }
    async function child(flow: StepFlow): Promise<void> {
      if (flow.attempt === 2) return;
      flow.recall('data');
      await flow.search(source);
      throw new Error('once');
    }
    const flow = newFlow(storage).push(source).push(parent);
    await flow.execute();
    const id = `test.child.${flow.run}.1-0-0`;
    const parents = ['1 child@1-0-0 pushed: parent@1-0', '1 child@1-0-0 referenced: parent@1-0'];
    expect(await lines(storage.lineage(id))).toEqual(parents);
    expect((await lines(storage.lineage(`${id}#1`))).sort()).toEqual(
      [...parents, '1 child@1-0-0 recalled data: parent@1-0', '1 child@1-0-0 searched: source@0-0'].sort(),
    );
    const statuses = (await storage.impact(`test.parent.${flow.run}.1-0`)).map(({ kind, status }) => `${kind} ${status}`);
    expect(statuses.sort()).toEqual(['pushed ok', 'pushed retried', 'recalled retried', 'referenced ok', 'referenced retried']);
  });

  test('crosses runs', async () => {
    await using storage = make(temporaryFolder());
    const runs: string[] = [];
    async function looksBack(flow: StepFlow): Promise<void> {
      const found = await flow.search(looksBack, { runs: runs.length < 2 ? 'previous' : 'all' });
      for (const scope of found) scope.recall('data');
      flow.keep('data', 1);
    }
    for (let run = 0; run < 3; run++) {
      const flow = newFlow(storage).push(looksBack);
      await flow.execute();
      runs.push(flow.run);
    }
    const ids = runs.map((run) => `test.looksBack.${run}.0-0`);
    const steps = (await storage.lineage(ids[2] as string)).map(({ depth, kind, id }) => [
      depth,
      kind,
      ids.indexOf(id as string),
    ]);
    expect(steps).toEqual([
      [1, 'recalled', 0],
      [1, 'searched', 0],
      [1, 'recalled', 0],
      [1, 'searched', 0],
      [1, 'recalled', 1],
      [1, 'searched', 1],
    ]);
    expect(new Set((await storage.impact(ids[0] as string)).map(({ run }) => run))).toEqual(new Set(runs.slice(1)));
  });

  test('sees a step as soon as it has ended, flushed or not, and the same in a store into which its run was merged', async () => {
    await using storage = make(temporaryFolder());
    const early: string[][] = [];
    async function asks(flow: StepFlow): Promise<void> {
      early.push(await lines(storage.lineage(`test.user.${flow.run}.1-0`)));
    }
    const flow = newFlow(storage).push(source).push(user).push(asks);
    await flow.execute();
    const expected = ['1 user@1-0 recalled data: source@0-0', '1 user@1-0 searched: source@0-0'];
    expect(early).toEqual([expected]);
    const id = `test.user.${flow.run}.1-0`;
    const [source0] = await storage.search('*.source.*');
    expect(await lines(storage.lineage(id))).toEqual(expected);
    if (storage instanceof ParquetStorage) {
      await storage.compact();
      expect(await lines(storage.lineage(id))).toEqual(expected);
    }
    await using other = make(temporaryFolder());
    await newFlow(other, 'other').push(repeat(idle, 3)).execute();
    await newFlow(other, 'other').push(repeat(idle, 3)).execute();
    await other.merge(storage);
    expect(await lines(other.lineage(id))).toEqual(expected);
    expect((await other.lineage(id)).map(({ sid }) => sid)).not.toContain(source0?.sid);
  });

  test('loses in a merge what leads to a run that is left behind, and refuses a scope that is not there', async () => {
    await using storage = make(temporaryFolder());
    const first = newFlow(storage, 'first').push(source);
    await first.execute();
    const second = newFlow(storage, 'second').push(
      step('far', async (flow) => {
        await flow.search('first.*');
      }),
    );
    await second.execute();
    const id = `second.far.${second.run}.0-0`;
    expect(await lines(storage.lineage(id))).toEqual(['1 far@0-0 searched: source@0-0']);
    await using other = new MemoryStorage();
    await other.merge(storage, { flow: 'second' });
    expect(await other.lineage(id)).toEqual([]);
    const refused = async (asked: PromiseLike<unknown>) => await expect(asked).rejects.toMatchObject({ code: 'SCOPE_UNKNOWN' });
    for (const query of ['lineage', 'impact'] as const) {
      for (const unknown of [`${id}#2`, `second.far.${first.run}.0-0`, 'no id', '', '*', 12, second.run]) {
        await refused(storage[query](unknown));
      }
      for (const depth of [-1, 1.5, Number.NaN, '1' as never, null as never]) {
        expect(() => storage[query](id, { depth })).toThrow(/depth is/);
      }
      for (const options of [5, null, [], 'all']) {
        expect(() => storage[query](id, options as never)).toThrow(/^options is .*: give an object with any of depth$/);
      }
      expect(() => storage[query](id, { dpeth: 5 } as never)).toThrow('there is no option "dpeth". Did you mean "depth"?');
      for (const choice of [undefined, null, {}, 1.5, Number.NaN, 1n]) {
        expect(() => storage[query](choice as never)).toThrow(/is no scope/);
      }
    }
  });
});

/** A link of a made-up graph: `sid` of the one that had something from the other. */
interface Link {
  readonly sid: number;
  readonly source: number;
  readonly kind: string;
  readonly name: string | null;
}

/** Each link on the way with the distance of its far end, found breadth first. */
function traced(links: readonly Link[], root: number, depth: number, way: 'lineage' | 'impact'): string[] {
  const [near, far] = way === 'lineage' ? (['sid', 'source'] as const) : (['source', 'sid'] as const);
  const depths = new Map([[root, 0]]);
  const queue = [root];
  for (let sid = queue.shift(); sid !== undefined; sid = queue.shift()) {
    const next = (depths.get(sid) as number) + 1;
    for (const link of links) {
      if (link[near] !== sid || depths.has(link[far]) || next > depth) continue;
      depths.set(link[far], next);
      queue.push(link[far]);
    }
  }
  const rows = links.flatMap((link) => {
    const [from, to] = [depths.get(link[near]), depths.get(link[far])];
    if (from === undefined || to === undefined || from >= depth) return [];
    const hasMore = to === depth && links.some((next) => next[near] === link[far]);
    return [[to, link.kind, link.name, link[far], link[near], hasMore]];
  });
  return rows.map((row) => JSON.stringify(row)).sort();
}

async function asked(storage: Storage, root: number, depth: number, way: 'lineage' | 'impact'): Promise<string[]> {
  const rows = await storage[way](root, { depth });
  return rows.map((row) => JSON.stringify([row.depth, row.kind, row.name, row.sid, row.from_sid, row.has_more])).sort();
}

/** Writes scopes 1 to `count` with links between their ordinals. */
async function writeLinks(store: Store, slug: string, count: number, made: readonly (readonly [number, number, string])[]) {
  const run = await claimRows(store, slug);
  const links: Link[] = [];
  const columns = new Map<number, { parent_sid?: number; ref_sid?: number }>();
  for (const [from, to, kind] of made) {
    const [sid, target] = [run.sid(from), run.sid(to)];
    const name = kind === 'recalled' ? `a${from % 2}` : null;
    const own = columns.get(from) ?? {};
    columns.set(from, own);
    if (kind === 'pushed' && own.parent_sid === undefined) own.parent_sid = target;
    else if (kind === 'referenced' && own.ref_sid === undefined) own.ref_sid = target;
    else if (kind === 'pushed' || kind === 'referenced') continue;
    else if (links.some((link) => link.sid === sid && link.source === target && link.kind === kind)) continue;
    else run.edge(from, target, { kind, name });
    links.push({ sid, source: target, kind, name });
  }
  run.event('started', 1_000);
  for (let ordinal = 1; ordinal <= count; ordinal++) run.scope(ordinal, columns.get(ordinal) ?? {});
  await store.write(await run.batch());
  return { run, links };
}

describe.each(Object.entries(stores))('%s', (_, make) => {
  test('finds the shortest way through a diamond, and comes to an end in a circle', async () => {
    const store = make(temporaryFolder());
    const storage = storageOf(store);
    // 5 had something from 3 and 4, both from 2; 2 from 1, and 1 from 5 again; 5 from 1 as well
    const { run } = await writeLinks(store, 'brave-otter', 6, [
      [5, 3, 'searched'],
      [5, 4, 'recalled'],
      [3, 2, 'pushed'],
      [4, 2, 'referenced'],
      [2, 1, 'pushed'],
      [1, 5, 'searched'],
      [5, 1, 'recalled'],
      [6, 6, 'searched'],
    ]);
    const path = async (way: 'lineage' | 'impact', root: number): Promise<string[]> =>
      (await storage[way](run.sid(root))).map(
        ({ depth, kind, sid, from_sid: from }) => `${depth} ${from - run.sid(0)} ${kind} ${sid - run.sid(0)}`,
      );
    expect(await path('lineage', 5)).toEqual([
      '0 1 searched 5',
      '1 2 pushed 1',
      '1 5 recalled 1',
      '1 5 searched 3',
      '1 5 recalled 4',
      '2 3 pushed 2',
      '2 4 referenced 2',
    ]);
    expect(await path('impact', 2)).toEqual([
      '0 1 pushed 2',
      '1 2 pushed 3',
      '1 2 referenced 4',
      '2 1 recalled 5',
      '2 3 searched 5',
      '2 4 recalled 5',
      '3 5 searched 1',
    ]);
    expect(await path('lineage', 6)).toEqual(['0 6 searched 6']);
  });

  test('agrees with a breadth-first search over random graphs', async () => {
    const store = make(temporaryFolder());
    const storage = storageOf(store);
    let graphs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.integer({ min: 1, max: 12 }),
            fc.integer({ min: 1, max: 14 }), // 13 and 14 are not there
            fc.constantFrom('pushed', 'referenced', 'searched', 'recalled'),
          ),
          { maxLength: 40 },
        ),
        fc.constantFrom(1, 2, 3, Infinity),
        async (made, depth) => {
          const { run, links } = await writeLinks(store, `graph-${++graphs}`, 12, made);
          for (const way of ['lineage', 'impact'] as const) {
            for (const root of [run.sid(1), run.sid(7)]) {
              expect(await asked(storage, root, depth, way)).toEqual(traced(links, root, depth, way));
            }
          }
        },
      ),
      { seed: 20_260_104, numRuns: isLarge ? 300 : 6 },
    );
  });
});

test('says where it ends though more follows, unless it is asked to go all the way', async () => {
  const store = new MemoryStore();
  const storage = storageOf(store);
  const chain = Array.from({ length: 150 }, (_, index) => [index + 2, index + 1, 'pushed'] as const);
  const { run } = await writeLinks(store, 'brave-otter', 151, chain);
  for (const [way, root] of [
    ['lineage', run.sid(151)],
    ['impact', run.sid(1)],
  ] as const) {
    const cut = await storage[way](root);
    expect(cut.length).toBe(100);
    expect(cut.filter(({ has_more: more }) => more).map(({ depth }) => depth)).toEqual([100]);
    for (const depth of [150, Infinity]) {
      const whole = await storage[way](root, { depth });
      expect([whole.length, whole.some(({ has_more: more }) => more)]).toEqual([150, false]);
    }
  }
});

test('of a source whose run was deleted the key remains', async () => {
  await using storage = new ParquetStorage(temporaryFolder());
  const first = newFlow(storage, 'first').push(source);
  await first.execute();
  const second = newFlow(storage, 'second').push(
    step('far', async (flow) => {
      await flow.search('first.*');
    }),
  );
  await second.execute();
  const [gone] = await storage.search('first.*');
  await storage.deleteRuns((run) => run.flow === 'first');
  const rows = await storage.lineage(`second.far.${second.run}.0-0`);
  expect(await lines(Promise.resolve(rows))).toEqual(['1 far@0-0 searched: ?']);
  expect(rows[0]?.sid).toBe(gone?.sid);
});

test.each(['lineage', 'impact'])('%s.sql answers in a plain DuckDB by the names of its values', async (query) => {
  const folder = temporaryFolder();
  await using storage = new ParquetStorage(folder);
  const flow = newFlow(storage).push(source).push(user);
  await flow.execute();
  await storage.flush();
  const scope = await storage.load(query === 'lineage' ? `test.user.${flow.run}.1-0` : `test.source.${flow.run}.0-0`);
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    await connection.run(readFileSync(join(folder, 'open.sql'), 'utf8'));
    const text = readFileSync(fileURLToPath(new URL(`../sql/analytics/${query}.sql`, import.meta.url)), 'utf8');
    const reader = await connection.runAndReadAll(text, { sid: BigInt(scope.sid), depth: null });
    const expected = query === 'lineage' ? await storage.lineage(scope) : await storage.impact(scope);
    const plain = reader
      .getRowObjectsJson()
      .map((row) => ({ ...row, sid: Number(row['sid']), from_sid: Number(row['from_sid']) }));
    expect(plain).toEqual(expected);
    expect(plain.length).toBe(2);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
});
