import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileGlob } from '../src/glob.ts';
import type { Search } from '../src/search.ts';
import type { Batch, Store } from '../src/store.ts';
import { claimRows, findIn, readIn, type RowMaker, searchFor, selectIn } from './store-rows.ts';

export interface StoreTraits {
  /** Whether a second store on the same folder sees what the first has written. Default true. */
  readonly durable?: boolean;
}

/** What every store has to do, whatever it is made of. `make` gives a store in a folder that is empty at first. */
export function describeStore(name: string, make: (folder: string) => Store, { durable = true }: StoreTraits = {}): void {
  let folder: string;
  let store: Store;
  const open: Store[] = [];

  function opened(): Store {
    const made = make(folder);
    open.push(made);
    return made;
  }

  async function close(one: Store): Promise<void> {
    open.splice(open.indexOf(one), 1);
    await one.close();
  }

  /** The store as the next process finds it. One in memory has no next process. */
  async function reopened(): Promise<Store> {
    if (!durable) return store;
    await close(store);
    store = opened();
    return store;
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'marque-store-'));
    store = opened();
  });

  afterEach(async () => {
    for (let one = open[0]; one !== undefined; one = open[0]) await close(one);
    await rm(folder, { recursive: true, force: true });
  });

  describe(`${name}: a claim`, () => {
    const claim = (...slugs: string[]) => {
      let draws = 0;
      return store.claim({ uuid: crypto.randomUUID(), flow: 'flow', drawSlug: () => slugs[draws++ % slugs.length] as string });
    };

    test('takes the next number, and draws again where a slug is taken or reads as a number', async () => {
      const first = await claim('brave-otter');
      const second = await claim('brave-otter', '12', 'calm-heron');
      expect([first.slug, second.slug]).toEqual(['brave-otter', 'calm-heron']);
      expect(second.number).toBe(first.number + 1);
      await first.release();
      await second.release();
    });

    test('is given to one alone, also of eight at once who draw the same slugs', async () => {
      const claims = await Promise.all(
        Array.from({ length: 8 }, () => claim(...Array.from({ length: 9 }, (_, n) => `slug-${n}`))),
      );
      expect(new Set(claims.map((one) => one.number)).size).toBe(8);
      expect(new Set(claims.map((one) => one.slug)).size).toBe(8);
      await Promise.all(claims.map((one) => one.release()));
    });

    test('is for ever', async () => {
      const first = await claim('brave-otter');
      await first.release();
      await reopened();
      const second = await claim('brave-otter', 'calm-heron');
      expect(second).toMatchObject({ number: first.number + 1, slug: 'calm-heron' });
      await second.release();
    });
  });

  describe(`${name}: a scope`, () => {
    test('reads back exactly, unflushed, written and written before', async () => {
      const run = await claimRows(store, 'brave-otter');
      const [batch, expected] = await everyValue(run);
      const sids = expected.map((scope) => scope.sid);
      expect(await readIn(store, sids, [batch])).toStrictEqual(expected);
      await store.write(batch);
      expect(await readIn(store, sids)).toStrictEqual(expected);
      expect(await readIn(await reopened(), sids)).toStrictEqual(expected);
    });

    test('keeps a text of a megabyte', async () => {
      const run = await claimRows(store, 'brave-otter');
      const text = 'größe 😀'.repeat(100_000);
      await store.write(await run.scope(1).artifact(1, 0, 'a', { text }).log(1, 0, text).batch());
      const [scope] = await readIn(store, [run.sid(1)]);
      expect(scope?.artifacts[0]?.text === text && scope.logs[0]?.message === text).toBe(true);
    });

    test('is read in the order asked for, and left out where there is none', async () => {
      const run = await claimRows(store, 'brave-otter');
      await store.write(await run.scope(1).scope(2).scope(3).batch());
      const unflushed = await run.scope(4).batch();
      const sids = [4, 2, 9, 3].map((ordinal) => run.sid(ordinal));
      expect((await readIn(store, sids, [unflushed])).map((scope) => scope.path)).toEqual(['0-4', '0-2', '0-3']);
      expect(await readIn(store, [])).toEqual([]);
    });

    test('has no rows of another scope or of the run', async () => {
      const run = await claimRows(store, 'brave-otter');
      run.scope(1).scope(2).tag(0, 0, 'run').tag(1, 0, 'one').tag(2, 0, 'two').tag(1, 1, 'uno').log(2, 0, 'hello');
      await store.write(await run.batch());
      const [one, two] = await readIn(store, [run.sid(1), run.sid(2)]);
      expect(one?.tags.map((tag) => tag.content)).toEqual(['one', 'uno']);
      expect(two?.tags.map((tag) => tag.content)).toEqual(['two']);
      expect([one?.logs.length, two?.logs.length]).toEqual([0, 1]);
    });

    test('keeps a repeated tag as a series in its order, and of artifacts with one name the last', async () => {
      const run = await claimRows(store, 'brave-otter');
      for (let seq = 0; seq < 500; seq++) run.tag(1, seq, 'loss', 1 / (seq + 1));
      run.artifact(1, 0, 'a', { text: '1' }).artifact(1, 1, 'b', { text: '2' }).artifact(1, 2, 'a', { text: '3' });
      await store.write(await run.scope(1).batch());
      const [scope] = await readIn(store, [run.sid(1)]);
      expect(scope?.tags).toEqual(Array.from({ length: 500 }, (_, seq) => ({ content: 'loss', value: 1 / (seq + 1) })));
      expect(scope?.artifacts.map(({ name: artifact, text }) => [artifact, text])).toEqual([
        ['a', '3'],
        ['b', '2'],
      ]);
    });

    test('appears with all of its rows once its own comes, whichever batch they came with', async () => {
      const run = await claimRows(store, 'brave-otter');
      const early = await run.scope(1).tag(2, 0, 'first', 1).log(2, 0, 'hello').batch();
      const later = await run.tag(2, 1, 'second', 2).scope(2).batch();
      const whole = [
        { content: 'first', value: 1 },
        { content: 'second', value: 2 },
      ];
      const sids = [run.sid(1), run.sid(2)];
      const seen = async (unflushed: readonly Batch[]) => (await readIn(store, sids, unflushed)).map((scope) => scope.tags);

      expect(await seen([early])).toEqual([[]]);
      expect(await seen([early, later])).toEqual([[], whole]);
      await store.write(early);
      expect(await seen([])).toEqual([[]]);
      expect(await findIn(store, { where: () => true })).toEqual([]);
      expect(await selectIn(store, 'SELECT content FROM tags')).toEqual([]);
      expect(await seen([later])).toEqual([[], whole]);
      expect(await findIn(store, { where: (tag) => tag.content === 'first' }, [later])).toEqual([run.sid(2)]);
      await store.write(later);
      expect(await seen([])).toEqual([[], whole]);
      await reopened();
      expect(await seen([])).toEqual([[], whole]);
      expect(await selectIn(store, 'SELECT content FROM tags ORDER BY seq')).toEqual([['first'], ['second']]);
    });
  });

  describe(`${name}: a batch`, () => {
    const counts = `SELECT (SELECT count(*) FROM scopes), (SELECT count(*) FROM tags), (SELECT count(*) FROM logs),
      (SELECT count(*) FROM artifacts), (SELECT count(*) FROM edges), (SELECT count(*) FROM runs)`;
    const made = (run: RowMaker) =>
      run
        .event('started', 1_000)
        .tag(0, 0, 'run')
        .scope(1)
        .tag(1, 0, 'a')
        .log(1, 0, 'b')
        .artifact(1, 0, 'c', { text: '1' })
        .edge(1, 2)
        .batch();

    test('is stored once, however often it is written or passed as unflushed', async () => {
      const batch = await made(await claimRows(store, 'brave-otter'));
      await store.write(batch);
      await store.write(batch);
      expect(await selectIn(store, counts, [batch])).toEqual([[1, 2, 1, 1, 1, 1]]);
      await (await reopened()).write(batch);
      expect(await selectIn(store, counts, [batch])).toEqual([[1, 2, 1, 1, 1, 1]]);
    });

    test('of rows of a run alone is stored, and only once', async () => {
      const run = await claimRows(store, 'brave-otter');
      const [first, second] = [
        await run.event('started', 1_000).log(0, 0, 'a').batch(),
        await run.tag(0, 0, 'b').event('ended', 2_000).batch(),
      ];
      expect(await selectIn(store, counts, [first, second])).toEqual([[0, 1, 1, 0, 0, 1]]);
      await store.write(first);
      expect(await selectIn(store, counts, [first, second])).toEqual([[0, 1, 1, 0, 0, 1]]);
      await store.write(second);
      await store.write(second);
      expect(await selectIn(store, counts, [first, second])).toEqual([[0, 1, 1, 0, 0, 1]]);
      expect(await selectIn(store, 'SELECT state FROM runs')).toEqual([['finished']]);
    });

    test('without rows is harmless', async () => {
      const run = await claimRows(store, 'brave-otter');
      const empty = await run.batch();
      await store.write(empty);
      await store.write(await run.scope(1).batch());
      expect(await findIn(store, {}, [empty])).toEqual([run.sid(1)]);
    });

    test('of one writer does not hide the same number of another', async () => {
      const [a, b] = [await claimRows(store, 'brave-otter', 'a'), await claimRows(store, 'calm-heron', 'b')];
      const [first, second] = [await a.scope(1).batch(), await b.scope(1).batch()];
      await Promise.all([store.write(first), store.write(second)]);
      expect(await findIn(store, {}, [first, second])).toEqual([a.sid(1), b.sid(1)]);
    });

    test('that is being written when the store is closed is stored', async () => {
      const run = await claimRows(store, 'brave-otter');
      const writing = store.write(await run.scope(1).batch());
      await reopened();
      await writing;
      expect(await findIn(store)).toEqual([run.sid(1)]);
    });
  });

  describe(`${name}: a snapshot`, () => {
    test('stays the same while more is written, until it is released', async () => {
      const run = await claimRows(store, 'brave-otter');
      await store.write(await run.scope(1).tag(1, 0, 'a').event('started', 1_000).batch());
      const second = await run.scope(2).tag(2, 0, 'b').batch();
      const before = await store.snapshot([second]);
      const third = await run.scope(3).tag(3, 0, 'c').event('ended', 2_000).tag(0, 0, 'run').batch();
      await store.write(second);
      await store.write(third);
      const state = { text: `SELECT (SELECT state FROM runs), (SELECT count(*) FROM tags)`, values: [] };

      expect(await before.find(searchFor())).toEqual([run.sid(1), run.sid(2)]);
      expect(await before.find(searchFor({ where: () => true }))).toEqual([run.sid(1), run.sid(2)]);
      expect((await before.read([1, 2, 3].map((ordinal) => run.sid(ordinal)))).map((scope) => scope.path)).toEqual([
        '0-1',
        '0-2',
      ]);
      expect((await before.select(state)).values).toEqual([['running'], [2]]);

      const after = await store.snapshot([third]);
      expect(await after.find(searchFor())).toEqual([run.sid(1), run.sid(2), run.sid(3)]);
      expect((await after.select(state)).values).toEqual([['finished'], [4]]);
      await after.release();
      await before.release();
      await before.release();
      await expect(before.find(searchFor())).rejects.toMatchObject({ code: 'STORE_CLOSED' });
      await expect(before.select(state)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    });

    test('can be one of many', async () => {
      const run = await claimRows(store, 'brave-otter');
      const snapshots = [];
      for (let ordinal = 1; ordinal <= 12; ordinal++) {
        await store.write(await run.scope(ordinal).batch());
        snapshots.push(await store.snapshot([]));
      }
      const text = 'SELECT count(*) AS n FROM scopes';
      const results = await Promise.all(snapshots.map((snapshot) => snapshot.select({ text, values: [] })));
      expect(results.map((result) => result.values[0]?.[0])).toEqual(snapshots.map((_, index) => index + 1));
      await store.write(await run.scope(13).batch());
      await Promise.all(snapshots.map((snapshot) => snapshot.release()));
      expect(await findIn(store)).toHaveLength(13);
    });

    test('taken at any moment of a flush sees every row once', async () => {
      const run = await claimRows(store, 'brave-otter');
      let unflushed: Batch[] = [];
      let recorded = 0;
      let sealed = 0;
      const flush = { done: false };
      const flushing = (async () => {
        for (let batch = 0; batch < 12; batch++) {
          for (let n = 0; n < 5; n++)
            run
              .scope(++recorded)
              .tag(recorded, 0, 'early')
              .tag(recorded + 5, 1, 'ahead');
          const next = await run.batch();
          unflushed = [...unflushed, next];
          sealed = recorded;
          await store.write(next);
          unflushed = unflushed.filter((one) => one !== next);
        }
      })().finally(() => (flush.done = true));
      while (!flush.done) {
        const expected = sealed;
        const snapshot = await store.snapshot(unflushed);
        const sids = await snapshot.find(searchFor());
        // Scopes of a later batch may be there as well, if the store has taken them in meanwhile; each is whole.
        expect(sids.slice(0, expected)).toEqual(Array.from({ length: expected }, (_, index) => run.sid(index + 1)));
        expect(new Set(sids).size).toBe(sids.length);
        const tags = (await snapshot.read(sids)).map((scope) => scope.tags.length);
        expect(tags).toEqual(sids.map((sid) => (sid <= run.sid(5) ? 1 : 2)));
        expect((await snapshot.select({ text: 'SELECT count(*) FROM tags', values: [] })).values).toEqual([
          [tags.reduce((a, b) => a + b, 0)],
        ]);
        await snapshot.release();
      }
      await flushing;
      expect(await findIn(store)).toHaveLength(60);
    });
  });

  describe(`${name}: a search`, () => {
    const slug = (pattern: string): Search['runs'] => ({ kind: 'slug', glob: compileGlob(pattern) });
    const recent = (back: 0 | 1, before: number | null = null): Search['runs'] => ({ kind: 'recent', back, before });
    // Runs 1 and 3 are of the flow a, run 2 is of b. A scope is named by run and ordinal: 1.2 is the second of the first run.
    const rows: [string, Partial<Search>, string][] = [
      ['finds everything, oldest first', {}, '1.1 1.2 1.3 2.1 2.2 3.1 3.2 3.3'],
      ['newest first', { order: 'newest' }, '3.3 3.2 3.1 2.2 2.1 1.3 1.2 1.1'],
      ['up to a limit', { order: 'newest', limit: 4 }, '3.3 3.2 3.1 2.2'],
      ['up to nothing', { limit: 0 }, ''],
      ['of a flow', { flow: 'b' }, '2.1 2.2'],
      ['of a step', { step: 'train' }, '1.1 2.1 3.1'],
      ['by glob over the whole id', { glob: compileGlob('*-2') }, '1.2 2.2 3.2'],
      ['by glob with a fixed flow and step', { glob: compileGlob('a.train.*') }, '1.1 3.1'],
      ['by glob with a fixed run', { glob: compileGlob('*.*.calm-heron.*') }, '2.1 2.2'],
      ['by glob that excludes', { glob: compileGlob('!a.*') }, '2.1 2.2'],
      ['by glob with alternatives', { glob: compileGlob('{b,c}.{train,nothing}.*') }, '2.1'],
      ['by glob that nothing matches', { glob: compileGlob('b.*.brave-otter.*') }, ''],
      ['by one status', { status: ['error'] }, '1.2 3.2'],
      ['by two statuses', { status: ['retried', 'skipped'] }, '1.3 3.3'],
      ['by no status', { status: [] }, ''],
      ['in a run by number', { runs: { kind: 'number', number: 2 } }, '2.1 2.2'],
      ['in a run by slug', { runs: slug('calm-heron') }, '2.1 2.2'],
      ['in runs by glob over slugs', { runs: slug('*-otter') }, '1.1 1.2 1.3 3.1 3.2 3.3'],
      ['in runs by glob that excludes', { runs: slug('!*-otter') }, '2.1 2.2'],
      ['in the last run', { runs: recent(0) }, '3.1 3.2 3.3'],
      ['in the run before the last', { runs: recent(1) }, '2.1 2.2'],
      ['in the last run that has a match', { runs: recent(0), flow: 'b' }, '2.1 2.2'],
      ['in the last run but one that has a match', { runs: recent(1), flow: 'a' }, '1.1 1.2 1.3'],
      ['in the last run before another', { runs: recent(0, 3) }, '2.1 2.2'],
      ['in the last run with a match before another', { runs: recent(0, 3), status: ['error'] }, '1.2'],
      ['in a run that is not there', { runs: recent(1), flow: 'b' }, ''],
      ['by the content of a tag', { where: (tag) => tag.content === "it's 😀" }, '1.1 2.1 3.1'],
      ['by the value of a tag', { where: (tag) => tag.value !== null && tag.value >= 2 }, '2.1 3.1'],
      ['by a tag without a value', { where: (tag) => tag.value === null }, '1.1 2.1 3.1'],
      ['by a tag that is not a number', { where: (tag) => Number.isNaN(tag.value) }, '1.2 2.2 3.2'],
      ['by a tag that is infinite', { where: (tag) => tag.value === -Infinity }, '1.2 2.2 3.2'],
      ['in the last run that has a matching tag', { where: (tag) => tag.value === 1, runs: recent(0) }, '1.1'],
      [
        'in the last run but one that has a matching tag',
        { where: (tag) => tag.content === 'loss', runs: recent(1), limit: 1 },
        '2.1',
      ],
      ['by a tag that nothing has, though a run and an absent scope have it', { where: (tag) => tag.content === 'stray' }, ''],
      ['by tags, newest first, up to a limit', { where: () => true, order: 'newest', limit: 3 }, '3.2 3.1 2.2'],
    ];

    /** Three runs; what is not written is unflushed. */
    async function history(): Promise<{ runs: RowMaker[]; unflushed: Batch[] }> {
      const runs = [
        await claimRows(store, 'brave-otter', 'a'),
        await claimRows(store, 'calm-heron', 'b'),
        await claimRows(store, 'shy-otter', 'a'),
      ];
      const batches: Batch[] = [];
      for (const [index, run] of runs.entries()) {
        run.scope(1, { step: 'train' }).scope(2, { step: 'test', status: index === 1 ? 'ok' : 'error' });
        run
          .tag(1, 0, "it's 😀")
          .tag(1, 1, 'loss', index + 1)
          .tag(2, 0, 'loss', NaN)
          .tag(2, 1, 'gain', -Infinity);
        batches.push(await run.tag(0, 0, 'stray').tag(9, 0, 'stray').batch());
        if (index !== 1) batches.push(await run.scope(3, { step: 'test', status: index === 0 ? 'retried' : 'skipped' }).batch());
      }
      await store.write(batches[0] as Batch);
      await store.write(batches[3] as Batch);
      return { runs, unflushed: batches };
    }

    test('gives what its description says', async () => {
      const { runs, unflushed } = await history();
      const nameOf = new Map(
        runs.flatMap((run, index) => [1, 2, 3].map((ordinal) => [run.sid(ordinal), `${index + 1}.${ordinal}`] as const)),
      );
      const translate = (kind: Search['runs'] | undefined): Search['runs'] | undefined => {
        const number = (index: number) => (runs[index - 1] as RowMaker).number;
        if (kind?.kind === 'number') return { kind: 'number', number: number(kind.number) };
        return kind?.kind === 'recent' && kind.before !== null ? { ...kind, before: number(kind.before) } : kind;
      };
      const snapshot = await store.snapshot(unflushed);
      const found: [string, string][] = [];
      for (const [description, parts] of rows) {
        const sids = await snapshot.find(searchFor({ ...parts, runs: translate(parts.runs) ?? { kind: 'all' } }));
        found.push([description, sids.map((sid) => nameOf.get(sid)).join(' ')]);
      }
      await snapshot.release();
      expect(found).toEqual(rows.map(([description, , expected]) => [description, expected]));
    });

    const faulty: [string, (tag: { content: string }) => boolean, RegExp][] = [
      [
        'throws',
        () => {
          throw new TypeError('no such thing');
        },
        /"loss".*no such thing/,
      ],
      [
        'throws undefined',
        () => {
          throw undefined;
        },
        /"loss"/,
      ],
      ['is async', (async () => true) as unknown as () => boolean, /promise.*"loss"/],
      [
        'is async and fails',
        (async () => {
          throw new Error('late');
        }) as unknown as () => boolean,
        /promise.*"loss"/,
      ],
    ];
    test.for(faulty)('whose where %s raises WHERE_INVALID, naming the tag', async ([, where, message]) => {
      const run = await claimRows(store, 'brave-otter');
      await store.write(await run.scope(1).tag(1, 0, 'loss', 0.5).batch());
      await expect(findIn(store, { where })).rejects.toMatchObject({
        code: 'WHERE_INVALID',
        message: expect.stringMatching(message),
      });
      expect(await findIn(store)).toEqual([run.sid(1)]);
    });
  });

  describe(`${name}: SQL`, () => {
    test('sees all views, written and unflushed rows alike', async () => {
      const run = await claimRows(store, 'brave-otter');
      const details = { state: 'failed', durationMs: 12.5, error: 'x' };
      const first = await run
        .event('started', 1_000, { seed: 42 })
        .tag(0, 0, 'nightly', 1)
        .scope(1, { duration_ms: 0.25 })
        .tag(1, 0, 'loss', 0.5)
        .batch();
      const second = await run
        .scope(2, { status: 'error' })
        .log(2, 0, 'oh', { level: 'error' })
        .artifact(2, 0, 'm', { codec: 'bytes', bytes: new Uint8Array([0, 255]) })
        .edge(2, run.sid(1))
        .event('ended', 2_000, details)
        .batch();
      const rows: [string, unknown[][]][] = [
        [
          'SELECT id, sid, duration_ms FROM scopes ORDER BY sid',
          [
            [`flow.step.brave-otter.0-1`, run.sid(1), 0.25],
            [`flow.step.brave-otter.0-2`, run.sid(2), 0.25],
          ],
        ],
        ['SELECT started_at FROM scopes ORDER BY sid LIMIT 1', [[new Date(1_750_000_000_001)]]],
        [
          'SELECT step, content, value FROM tags ORDER BY sid',
          [
            [null, 'nightly', 1],
            ['step', 'loss', 0.5],
          ],
        ],
        ['SELECT level, message FROM logs', [['error', 'oh']]],
        ['SELECT name, codec, text, bytes FROM artifacts', [['m', 'bytes', null, new Uint8Array([0, 255])]]],
        ['SELECT kind, target_sid FROM edges', [['recalled', run.sid(1)]]],
        ['SELECT run_number, slug, flow, state, duration_ms FROM runs', [[run.number, 'brave-otter', 'flow', 'failed', 12.5]]],
        ['SELECT scopes, errors, tags FROM runs', [[2, 1, [{ content: 'nightly', value: 1 }]]]],
      ];
      const expected = rows.map(([text, values]) => ({ text, values }));
      const seen = async (unflushed: readonly Batch[]) => {
        const results = [];
        for (const [text] of rows) results.push({ text, values: await selectIn(store, text, unflushed) });
        return results;
      };
      expect(await seen([first, second])).toEqual(expected);
      await store.write(first);
      expect(await seen([first, second])).toEqual(expected);
      await store.write(second);
      expect(await seen([])).toEqual(expected);
      await reopened();
      expect(await seen([])).toEqual(expected);
    });

    test('binds values', async () => {
      const run = await claimRows(store, 'brave-otter');
      const snapshot = await store.snapshot([await run.scope(1).tag(1, 0, "it's", -0.5).batch()]);
      const { columns, values } = await snapshot.select({
        text: 'SELECT value AS v FROM tags WHERE content = $1 AND sid = $2',
        values: ["it's", BigInt(run.sid(1))],
      });
      expect([columns, values]).toStrictEqual([[{ name: 'v', type: 'DOUBLE' }], [[-0.5]]]);
      await snapshot.release();
    });

    test.for([
      'DROP VIEW scopes',
      `COPY (SELECT 1) TO 'x.csv'`,
      'SELECT 1; SELECT 2',
      'SELEC 1',
      'SELECT nothing FROM scopes',
      `SELECT content::INTEGER FROM tags`,
      `SELECT * FROM read_text('/etc/hostname')`,
    ])('refuses %s, and the snapshot goes on', async (text) => {
      const run = await claimRows(store, 'brave-otter');
      await store.write(await run.scope(1).tag(1, 0, 'a').batch());
      const snapshot = await store.snapshot([]);
      await expect(snapshot.select({ text, values: [] })).rejects.toMatchObject({ code: 'SQL_INVALID' });
      expect(await snapshot.find(searchFor())).toEqual([run.sid(1)]);
      expect((await snapshot.select({ text: 'SELECT count(*) FROM scopes', values: [] })).values).toEqual([[1]]);
      await snapshot.release();
    });
  });
}

/** Scopes whose columns hold what storages get wrong, and what must be read back. */
async function everyValue(run: RowMaker) {
  const texts = [
    '',
    ' ',
    "it's",
    '"',
    '\\',
    'a\nb\tc\r',
    '\0',
    'ä ö 漢字',
    '😀',
    '{"a":1}',
    '{"b":{"a":[1,2.50]}}',
    '[]',
    'null',
    'x'.repeat(5_000),
    '-0',
    'NaN',
    '</script>',
  ];
  // Not -0: run-length and dictionary encoding take it for 0, in DuckDB's files and in Parquet.
  const numbers = [null, 0, 1.5, -1e-300, 1e300, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER, NaN, Infinity, -Infinity];
  const bytes = [new Uint8Array(0), new Uint8Array([0]), Uint8Array.from({ length: 256 }, (_, n) => n)];
  texts.forEach((content, seq) => run.tag(1, seq, content, numbers[seq % numbers.length]));
  texts.forEach((message, seq) => run.log(1, seq, message, { logged_at: [0, -1, 1_750_000_000_123, 4e12][seq % 4] as number }));
  texts.forEach((text, seq) => run.artifact(1, seq, `t${seq}`, { text }));
  bytes.forEach((value, seq) => run.artifact(1, texts.length + seq, `b${seq}`, { codec: 'bytes', bytes: value }));
  run.scope(1, {
    params: '{"lr":0.1,"z":[null,true]}',
    parent_sid: run.sid(7),
    ref_sid: 4,
    duration_ms: 1e-7,
    started_at: 1_750_000_000_123,
  });
  run.scope(2, {
    status: 'error',
    error_message: 'it broke 😀',
    error_stack: 'Error\n  at x',
    attempt: 3,
    path: '0-1-2',
    step: 'größe_漢',
    duration_ms: 0,
  });
  const common = {
    flow: run.flow,
    run: run.slug,
    parentSid: null,
    refSid: null,
    errorMessage: null,
    errorStack: null,
    params: null,
  };
  const expected = [
    {
      ...common,
      sid: run.sid(1),
      step: 'step',
      path: '0-1',
      attempt: 1,
      status: 'ok',
      startedAt: 1_750_000_000_123,
      durationMs: 1e-7,
      parentSid: run.sid(7),
      refSid: 4,
      params: '{"lr":0.1,"z":[null,true]}',
      tags: texts.map((content, seq) => ({ content, value: numbers[seq % numbers.length] })),
      logs: texts.map((message, seq) => ({ level: 'info', message, at: [0, -1, 1_750_000_000_123, 4e12][seq % 4] })),
      artifacts: [
        ...texts.map((text, seq) => ({ name: `t${seq}`, codec: 'json', text, bytes: null })),
        ...bytes.map((value, seq) => ({ name: `b${seq}`, codec: 'bytes', text: null, bytes: value })),
      ],
    },
    {
      ...common,
      sid: run.sid(2),
      step: 'größe_漢',
      path: '0-1-2',
      attempt: 3,
      status: 'error',
      startedAt: 1_750_000_000_002,
      durationMs: 0,
      errorMessage: 'it broke 😀',
      errorStack: 'Error\n  at x',
      tags: [],
      logs: [],
      artifacts: [],
    },
  ];
  return [await run.batch(), expected] as const;
}
