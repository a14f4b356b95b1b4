import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  DuckDBStorage,
  Flow,
  JsonStorage,
  MemoryStorage,
  ParquetStorage,
  repeat,
  retry,
  type Scope,
  step,
  type StepFlow,
  type Storage,
} from '../src/index.ts';
import { recordBatch } from '../src/batch.ts';
import { Recorder } from '../src/recorder.ts';
import { rowsOf } from '../src/record-rows.ts';
import { Seen } from '../src/seen.ts';
import { sidOf } from '../src/sid.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { runPieces } from '../src/storage/run-pieces.ts';
import { decodeSpill, encodeSpill } from '../src/storage/spill.ts';
import { temporaryFolder } from './folders.ts';
import { claimRows } from './store-rows.ts';

const storages: Record<string, (folder: string) => Storage> = {
  MemoryStorage: () => new MemoryStorage(),
  JsonStorage: (folder) => new JsonStorage(folder),
  ParquetStorage: (folder) => new ParquetStorage(folder),
  DuckDBStorage: (folder) => new DuckDBStorage(join(folder, 'history.duckdb')),
};

function newFlow(storage: Storage, name = 'test', concurrency = 1): Flow {
  return new Flow(name, storage, { logLevel: 'silent', concurrency }).failFast();
}
function source(flow: StepFlow): void {
  flow.keep('data', { path: flow.path });
  flow.keep('more', 1);
}

/** What the views show, by the names of steps: `reader recalled data of source 0-1`. */
async function edgesIn(storage: Storage): Promise<string[]> {
  const rows = await storage.sql<{ edge: string }>`
    SELECT concat_ws(' ', s.step || '#' || s.attempt, e.kind, e.name, 'of', t.step, t.path) AS edge
    FROM edges AS e JOIN scopes AS s USING (sid) JOIN scopes AS t ON t.sid = e.target_sid
    ORDER BY e.sid, e.kind DESC, e.target_sid, e.name`;
  return rows.map(({ edge }) => edge);
}

describe.each(Object.entries(storages))('%s records', (_, make) => {
  test('each scope that a search delivered once, and each artifact that was recalled of it once', async () => {
    await using storage = make(temporaryFolder());
    async function reader(flow: StepFlow): Promise<void> {
      for await (const scope of flow.search(source)) {
        scope.recall('data');
        scope.recall('data');
      }
      const again = await flow.search('*.source.*');
      again[0]?.recall('more'); // the newest
      expect(() => again[0]?.recall('mor')).toThrow(/more/);
    }
    await newFlow(storage).push(repeat(source, 2)).push(reader).execute();
    const expected = [
      'reader#1 searched of source 0-0',
      'reader#1 searched of source 0-1',
      'reader#1 recalled data of source 0-0',
      'reader#1 recalled data of source 0-1',
      'reader#1 recalled more of source 0-1',
    ];
    expect(await edgesIn(storage)).toEqual(expected);
    expect(
      await storage.sql`SELECT DISTINCT flow, run = (SELECT slug FROM runs) AS same_run, sid // 4294967296 AS run FROM edges`,
    ).toEqual([{ flow: 'test', same_run: true, run: 1 }]);
  });

  test('what was delivered, however the search was asked, and not what was only counted or never reached', async () => {
    await using storage = make(temporaryFolder());
    const asked = {
      async all(flow: StepFlow) {
        await flow.search(source);
      },
      async broke(flow: StepFlow) {
        for await (const scope of flow.search(source)) if (scope.path === '0-1') break;
      },
      async first(flow: StepFlow) {
        await flow.search(source).first();
      },
      async ids(flow: StepFlow) {
        await flow.search(source, { limit: 1, order: 'oldest' }).ids();
      },
      async table(flow: StepFlow) {
        await flow.search(source, { limit: 1, order: 'oldest' }).toArrow();
      },
      async counted(flow: StepFlow) {
        await flow.search(source).count();
        flow.search(source).toSQL();
      },
    };
    await newFlow(storage)
      .push(repeat(source, 3))
      .push(Object.entries(asked).map(([name, run]) => step(name, run)))
      .execute();
    expect(await edgesIn(storage)).toEqual([
      ...['0-0', '0-1', '0-2'].map((path) => `all#1 searched of source ${path}`),
      ...['0-1', '0-2'].map((path) => `broke#1 searched of source ${path}`),
      'first#1 searched of source 0-2',
      'ids#1 searched of source 0-0',
      'table#1 searched of source 0-0',
    ]);
  });

  test('what is recalled of a reference as recalled by the step that was pushed with it, however it does so', async () => {
    await using storage = make(temporaryFolder());
    function parent(flow: StepFlow): void {
      flow.keep('data', 1);
      expect(flow.recall('data')).toBe(1); // its own: no edge
      flow.push([step('child', child), step('direct', direct)], {}, { scope: flow.scope });
      flow.push(
        step('idle', () => {}),
        {},
        { scope: flow.scope },
      );
    }
    async function finder(flow: StepFlow): Promise<void> {
      const found = await flow.search('*.parent.*').first();
      flow.push(step('handed', child), {}, { scope: found });
    }
    function child(flow: StepFlow): void {
      flow.keep('own', 2);
      expect([flow.recall('data'), flow.recall('own')]).toEqual([1, 2]);
      expect(flow.reference).toBe(flow.reference);
      if (flow.step === 'child') flow.push(step('grandchild', direct), {}, { scope: flow.reference });
    }
    function direct(flow: StepFlow): void {
      expect(flow.reference?.recall('data')).toBe(1);
    }
    await newFlow(storage).push(parent).push(finder).execute();
    const edges = await edgesIn(storage);
    expect(edges.sort()).toEqual([
      'child#1 recalled data of parent 0-0',
      'direct#1 recalled data of parent 0-0',
      'finder#1 searched of parent 0-0',
      'grandchild#1 recalled data of parent 0-0',
      'handed#1 recalled data of parent 0-0',
    ]);
  });

  test('what is recalled of a reference alone, not of the reference that this has in turn, unless that is handed on', async () => {
    await using storage = make(temporaryFolder());
    const unknown = expect.objectContaining({ code: 'ARTIFACT_UNKNOWN' }) as Error;
    function grand(flow: StepFlow): void {
      flow.keep('data', 42);
      flow.push(step('parent', parent), {}, { scope: flow.scope });
    }
    function parent(flow: StepFlow): void {
      flow.push(step('child', child), {}, { scope: flow.scope });
      flow.push(step('heir', heir), {}, { scope: flow.reference });
    }
    function child(flow: StepFlow): void {
      expect(() => flow.recall('data')).toThrow(unknown);
      expect(() => flow.reference?.recall('data')).toThrow(unknown);
    }
    function heir(flow: StepFlow): void {
      expect(flow.recall('data')).toBe(42);
    }
    await newFlow(storage).push(grand).execute();
    const stored = await storage.search('*.parent.*').first();
    expect(() => stored?.recall('data')).toThrow(unknown);
    expect(await edgesIn(storage)).toEqual(['heir#1 recalled data of grand 0-0']);
  });

  test('by attempt, those that failed included; and nothing of scopes used outside of a step or after it', async () => {
    await using storage = make(temporaryFolder());
    const kept: Scope[] = [];
    async function flaky(flow: StepFlow): Promise<void> {
      const [scope] = await flow.search(source);
      kept.push(scope as Scope);
      if (flow.attempt === 1) throw new Error('once');
      scope?.recall('data');
    }
    const flow = newFlow(storage)
      .push(source)
      .push(retry(flaky, 2, { delay: 0 }))
      .push(
        step('later', (inner) => {
          expect(kept[0]?.recall('more')).toBe(1); // found by another step: whose it was to record, and that has ended
          inner.log('done');
        }),
      );
    await flow.execute();
    kept[1]?.recall('more');
    for (const scope of await storage.search('*')) if (scope.step === 'source') scope.recall('more');
    expect(await edgesIn(storage)).toEqual([
      'flaky#1 searched of source 0-0',
      'flaky#2 searched of source 0-0',
      'flaky#2 recalled data of source 0-0',
    ]);
  });

  test('of concurrent steps each its own, in runs before as well, and shows them once their scope is there', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage, 'before').push(source).execute();
    const seen: unknown[] = [];
    async function reads(flow: StepFlow): Promise<void> {
      const [own] = await flow.search(source);
      const [other] = await flow.search('before.*');
      (flow.path === '1-0' ? own : other)?.recall('data');
      await flow.flush();
      seen.push(...(await flow.sql`SELECT * FROM edges AS e ANTI JOIN scopes AS s USING (sid)`));
    }
    await newFlow(storage, 'now', 2).push(source).push(repeat(reads, 2)).execute();
    const rows = await storage.sql`
      SELECT s.path, e.kind, e.target_sid // 4294967296 AS run, e.name FROM edges AS e JOIN scopes AS s USING (sid) ORDER BY ALL`;
    expect(rows).toEqual([
      { path: '1-0', kind: 'recalled', run: 2, name: 'data' },
      { path: '1-0', kind: 'searched', run: 1, name: null },
      { path: '1-0', kind: 'searched', run: 2, name: null },
      { path: '1-1', kind: 'recalled', run: 1, name: 'data' },
      { path: '1-1', kind: 'searched', run: 1, name: null },
      { path: '1-1', kind: 'searched', run: 2, name: null },
    ]);
    expect(seen).toEqual([]);
  });
});

test('a JSON file of a scope lists its edges for a person to read', async () => {
  const folder = temporaryFolder();
  await using storage = new JsonStorage(folder);
  async function reader(flow: StepFlow): Promise<void> {
    for (const scope of await flow.search(source)) scope.recall('data');
  }
  const flow = newFlow(storage).push(source).push(reader);
  await flow.execute();
  const files = readdirSync(join(folder, 'test', flow.run)).sort();
  const { edges } = JSON.parse(readFileSync(join(folder, 'test', flow.run, files.at(-1) as string), 'utf8')) as {
    edges: unknown;
  };
  const target = sidOf(1, 1);
  expect(edges).toEqual([
    { kind: 'searched', target_sid: target, name: null },
    { kind: 'recalled', target_sid: target, name: 'data' },
  ]);
});

test('edges are counted as rows and bytes, and come back from a spill', async () => {
  const recorder = new Recorder('flow', 'brave-otter');
  recorder.edge(sidOf(7, 2), 'searched', sidOf(3, 1), null);
  recorder.edge(sidOf(7, 2), 'recalled', sidOf(3, 1), 'it\'s "data"');
  const mark = recorder.mark();
  recorder.edge(sidOf(7, 2), 'recalled', sidOf(3, 1), 'later');
  expect(mark.rows.edges).toBe(2);
  expect(recorder.bytes).toBeGreaterThan(0);
  const owner = { sid: sidOf(7, 2), flow: 'flow', run: 'brave-otter', target_sid: sidOf(3, 1) };
  const expected = [
    { ...owner, kind: 'searched', name: null },
    { ...owner, kind: 'recalled', name: 'it\'s "data"' },
  ];
  expect([...rowsOf('edges', recordBatch('edges', recorder.edges, 2))]).toEqual(expected);
  const lines = Array.from(encodeSpill({ writer: 'writer', number: 1 }, mark), (line) => Buffer.from(line.trimEnd()));
  const batch = await decodeSpill(
    (async function* () {
      yield* lines;
    })(),
  );
  expect([...rowsOf('edges', batch.tables.edges as NonNullable<typeof batch.tables.edges>)]).toEqual(expected);
});

test('the edges of one scope are copied in pieces, each edge once', async () => {
  const store = new MemoryStore();
  const run = await claimRows(store, 'brave-otter');
  run.event('started', 1_000).scope(1);
  const [targets, name] = [12_000, 'x'.repeat(1_000)];
  for (let target = 0; target < targets; target++) {
    run.edge(1, sidOf(9, target), { kind: 'searched', name: null }).edge(1, sidOf(9, target), { name });
  }
  await store.write(await run.batch());
  const snapshot = await store.snapshot([]);
  try {
    const copied: string[] = [];
    let pieces = 0;
    for await (const { edges = [] } of runPieces(snapshot, run.number)) {
      if (edges.length > 0) pieces++;
      for (const { kind, target_sid: target } of edges) copied.push(`${kind} ${target}`);
    }
    expect(pieces).toBeGreaterThan(1);
    expect([copied.length, new Set(copied).size]).toEqual([2 * targets, 2 * targets]);
  } finally {
    await snapshot.release();
    await store.close();
  }
});

test('Seen passes each pair of scope and artifact on once, until it forgets', () => {
  const passed: unknown[] = [];
  const seen = new Seen((...pair) => passed.push(pair));
  for (let time = 0; time < 2; time++) {
    for (const run of [1, 2]) for (const ordinal of [0, 1, 2 ** 32 - 1]) seen.found(sidOf(run, ordinal));
    seen.recalled(sidOf(1, 1), 'a');
    seen.recalled(sidOf(1, 1), 'b');
    seen.recalled(sidOf(2, 1), 'a');
  }
  expect(passed.length).toBe(9);
  expect(new Set(passed.map((pair) => JSON.stringify(pair))).size).toBe(9);
  seen.forget();
  seen.found(sidOf(9, 9));
  seen.recalled(sidOf(9, 9), 'a');
  expect(passed.length).toBe(9);
});
