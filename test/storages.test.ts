import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  DuckDBStorage,
  Flow,
  JsonStorage,
  MemoryStorage,
  ParquetStorage,
  repeat,
  step,
  type StepFlow,
  type Storage,
} from '../src/index.ts';
import { temporaryFolder } from './folders.ts';
import { acceptedValues, refusedValues } from './values.ts';

function newFlow(storage: Storage, name = 'test', concurrency = 1): Flow {
  return new Flow(name, storage, { logLevel: 'silent', concurrency });
}
function nothing(): void {}

const storages: Record<string, (folder: string) => Storage> = {
  MemoryStorage: () => new MemoryStorage(),
  JsonStorage: (folder) => new JsonStorage(folder),
  ParquetStorage: (folder) => new ParquetStorage(folder),
  DuckDBStorage: (folder) => new DuckDBStorage(join(folder, 'history.duckdb')),
};

describe.each(Object.entries(storages))('%s', (name, make) => {
  test('keeps every accepted value exactly', async () => {
    await using storage = make(temporaryFolder());
    const flow = newFlow(storage).push(
      acceptedValues.map((value) =>
        step('keeps', (inner) => {
          inner.tag(value.name);
          inner.keep('value', value.make());
        }),
      ),
    );
    await flow.failFast().execute();
    const scopes = await flow.scopes;
    expect(scopes.map((scope) => scope.tags[0]?.content)).toEqual(acceptedValues.map((value) => value.name));
    for (const [index, value] of acceptedValues.entries()) {
      expect(value.view(scopes[index]?.recall('value')), value.name).toStrictEqual(value.view(value.make()));
    }
  });

  test('refuses every other value at the call, naming the place, and keeps what was kept before', async () => {
    await using storage = make(temporaryFolder());
    const flow = newFlow(storage).push(
      refusedValues.map((value) =>
        step('keeps', (inner) => {
          inner.keep('before', 1);
          inner.keep('value', value.make());
        }),
      ),
    );
    await flow.execute();
    const scopes = await flow.scopes;
    for (const [index, value] of refusedValues.entries()) {
      expect(scopes[index]?.error?.message, value.name).toMatch(/^artifact "value"/);
      expect(scopes[index]?.error?.message, value.name).toContain(value.says);
      expect(scopes[index]?.artifacts).toEqual(['before']);
    }
  });

  test('keeps a byte order mark at the beginning of a text', async () => {
    await using storage = make(temporaryFolder());
    function marked(flow: StepFlow): void {
      flow.tag('\uFEFFtag', 1);
      flow.keep('\uFEFFname', 'marked');
      flow.keep('name', '\uFEFFplain');
    }
    const scope = await newFlow(storage).push(marked).execute();
    expect(scope?.tags[0]?.content).toBe('\uFEFFtag');
    expect(scope?.artifacts).toEqual(['\uFEFFname', 'name']);
    expect([scope?.recall('\uFEFFname'), scope?.recall('name')]).toEqual(['marked', '\uFEFFplain']);
    expect(await storage.search('*', { where: (tag) => tag.content === '\uFEFFtag' }).count()).toBe(1);
    expect(await storage.sql`SELECT content FROM tags WHERE content = ${'\uFEFFtag'}`).toEqual([{ content: '\uFEFFtag' }]);
  });

  test('a later change of a value does not reach what was kept', async () => {
    await using storage = make(temporaryFolder());
    function keeps(flow: StepFlow): void {
      const list = [1];
      const bytes = new Uint8Array([1]);
      flow.keep('list', list);
      flow.keep('bytes', bytes);
      list.push(2);
      bytes[0] = 9;
    }
    const scope = await newFlow(storage).push(keeps).execute();
    expect([scope?.recall('list'), scope?.recall('bytes')]).toEqual([[1], new Uint8Array([1])]);
  });

  test('a search and SQL see what has finished but is not flushed', async () => {
    await using storage = make(temporaryFolder());
    const seen: unknown[] = [];
    function first(flow: StepFlow): void {
      flow.tag('loss', 0.5);
      flow.keep('data', [1, 2]);
      flow.log('done');
    }
    async function look(flow: StepFlow): Promise<void> {
      const [scope] = await flow.search(first, { where: (tag) => tag.value === 0.5 });
      seen.push(
        scope?.recall('data'),
        scope?.logs.map((line) => line.message),
      );
      seen.push(await flow.sql`SELECT content, value FROM tags WHERE step = ${'first'} ORDER BY seq`);
      seen.push(await flow.sql`SELECT step, status FROM scopes`);
    }
    await newFlow(storage).failFast().push([first, look]).execute();
    expect(seen).toEqual([[1, 2], ['done'], [{ content: 'loss', value: 0.5 }], [{ step: 'first', status: 'ok' }]]);
  });

  test('whoever asks while the first run of a new store begins is answered', async () => {
    await using storage = make(join(temporaryFolder(), 'history'));
    const running = newFlow(storage).push(step('works', nothing)).execute();
    expect(await storage.search('*').count()).toBeLessThan(2);
    expect(await storage.sql`SELECT 1 FROM scopes`).not.toHaveLength(2);
    await running;
    expect(await storage.search('*').count()).toBe(1);
  });

  test('rows are seen once while flushes go on under queries', async () => {
    const storage = make(temporaryFolder());
    const counts: number[] = [];
    async function look(flow: StepFlow): Promise<void> {
      const [row] = await flow.sql<{
        n: number;
        tags: number;
      }>`SELECT count(*) AS n, (SELECT count(*) FROM tags) AS tags FROM scopes`;
      if (row?.n !== row?.tags) throw new Error(`${row?.n} scopes have ${row?.tags} tags`);
      counts.push(row?.n ?? -1);
    }
    function work(flow: StepFlow): void {
      flow.tag('one');
    }
    const flow = newFlow(storage).failFast();
    for (let round = 0; round < 12; round++) flow.push(repeat(work, 25)).push(step('flush', () => void storage.flush()));
    const watched = newFlow(storage, 'watched', 3).failFast();
    for (let round = 0; round < 12; round++) watched.push(repeat(look, 3));
    await Promise.all([flow.execute(), watched.execute().catch(() => {})]);
    const [row] = await storage.sql<{ n: number }>`SELECT count(*) AS n FROM scopes WHERE step = 'work'`;
    expect(row?.n).toBe(300);
    await storage.close();
  });

  test('two flows at once share it, each with its own run', async () => {
    await using storage = make(temporaryFolder());
    const flows = ['left', 'right'].map((flow) => newFlow(storage, flow, 4).push(repeat(nothing, 50)));
    await Promise.all(flows.map((flow) => flow.execute()));
    expect(new Set(flows.map((flow) => flow.run)).size).toBe(2);
    for (const flow of flows) expect(new Set((await flow.scopes).map((scope) => scope.flow))).toEqual(new Set([flow.name]));
    expect(await storage.search('*', { runs: 'all' }).count()).toBe(100);
  });

  test('searches: order, limit, status, runs, and the glob of an id', async () => {
    await using storage = make(temporaryFolder());
    function fails(): never {
      throw new Error('no');
    }
    const first = newFlow(storage, 'alpha').push([nothing, nothing, fails]);
    await first.execute();
    const second = newFlow(storage, 'beta').push([nothing]);
    await second.execute();
    const paths = async (...search: Parameters<Storage['search']>): Promise<string[]> =>
      (await storage.search(...search)).map((scope) => `${scope.flow} ${scope.path}`);
    expect(await paths('*')).toEqual(['beta 0-0']);
    expect(await paths('alpha.*')).toEqual(['alpha 0-2', 'alpha 0-1', 'alpha 0-0']);
    expect(await paths('*', { runs: 'all', order: 'oldest', limit: 2 })).toEqual(['alpha 0-0', 'alpha 0-1']);
    expect(await paths('*', { runs: 'all', status: 'error' })).toEqual(['alpha 0-2']);
    expect(await paths('*', { runs: 'previous' })).toEqual(['alpha 0-2', 'alpha 0-1', 'alpha 0-0']);
    expect(await paths('*', { runs: first.run })).toEqual(['alpha 0-2', 'alpha 0-1', 'alpha 0-0']);
    expect(await paths(`*.*.${first.run}.0-1`)).toEqual(['alpha 0-1']);
    expect(await paths('*.{nothing,fails}.*.0-[12]', { runs: 'all' })).toEqual(['alpha 0-2', 'alpha 0-1']);
    expect(await paths(nothing, { runs: 'all', limit: 0 })).toEqual([]);
    expect(await storage.search('*', { runs: 'all' }).count()).toBe(4);
    expect((await storage.search('alpha.*').first())?.path).toBe('0-2');
    expect((await storage.search('alpha.*').toArrow()).numRows).toBe(3);
    const { text, values } = storage.search('alpha.*', { status: 'error' }).toSQL();
    expect(values).toContain('alpha');
    expect(text).not.toContain('alpha');
  });

  test('from inside a run: another flow is found by its name, a run by its slug', async () => {
    await using storage = make(temporaryFolder());
    for (let round = 0; round < 2; round++) await newFlow(storage, 'alpha').push(nothing).execute();
    const last = (await storage.search('alpha.*').first())?.run ?? '';
    const before = (await storage.search('alpha.*', { runs: 'previous' }).first())?.run ?? '';
    let found: unknown[] = [];
    async function look(flow: StepFlow): Promise<void> {
      const runs = async (...search: Parameters<StepFlow['search']>): Promise<string[]> =>
        (await flow.search(...search)).map((scope) => scope.run);
      found = [
        await runs('*'),
        await runs('alpha.*'),
        await runs('alpha.*', { runs: 'previous' }),
        await runs(`*.*.${before}.*`),
      ];
    }
    await newFlow(storage, 'beta').failFast().push(look).execute();
    expect(found).toEqual([[], [last], [before], [before]]);
  });

  test('load finds the last attempt, or a given one', async () => {
    await using storage = make(temporaryFolder());
    const { retry } = await import('../src/index.ts');
    let calls = 0;
    function flaky(): void {
      if (++calls < 3) throw new Error('not yet');
    }
    const scope = await newFlow(storage).push(retry(flaky, 3)).execute();
    const id = scope?.id ?? '';
    expect([await storage.load(id), await storage.load(`${id}#2`)].map(({ attempt, status }) => [attempt, status])).toEqual([
      [3, 'ok'],
      [2, 'retried'],
    ]);
    for (const unknown of [`${id}#4`, `${id}#x`, '', 'a', 't.[a.b.0-0', '*.*.*.*']) {
      await expect(storage.load(unknown)).rejects.toMatchObject({ code: 'SCOPE_UNKNOWN' });
    }
  });

  test('SQL binds what it is given, and refuses all but one SELECT', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).push(nothing).execute();
    const evil = "'; DROP VIEW scopes; --";
    expect(
      await storage.sql`SELECT ${evil} AS a, ${-0} AS b, ${2n ** 40n} AS c, ${null} AS d, ${['x', null]} AS e, ${true} AS f`,
    ).toStrictEqual([{ a: evil, b: -0, c: 2 ** 40, d: null, e: ['x', null], f: true }]);
    const refused = [
      storage.sql`INSERT INTO raw.scopes SELECT * FROM raw.scopes`,
      storage.sql`SELECT 1; SELECT 2`,
      storage.sql`COPY scopes TO 'x.csv'`,
    ];
    for (const query of refused) await expect(query.result()).rejects.toMatchObject({ code: 'SQL_INVALID' });
    await expect(storage.sql`SELECT * FROM read_csv('/etc/passwd')`.result()).rejects.toMatchObject({ code: 'SQL_INVALID' });
    expect((await storage.sql`SELECT step FROM scopes`.toArrow()).toArray().map(String)).toEqual(['{"step": "nothing"}']);
  });

  test('SQL keeps every column and every integer', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).push(nothing).execute();
    const query = storage.sql`SELECT 1 AS a, 2 AS a, 9007199254740993 AS big, 18446744073709551615::UBIGINT AS most, 2::HUGEINT ** 100 AS huge, false AS no`;
    const [row] = await query;
    expect(row).toMatchObject({ a: 1, a_1: 2, big: 9007199254740993n, most: 18446744073709551615n, no: false });
    const table = await query.toArrow();
    expect(table.get(0)?.toJSON()).toMatchObject({
      a: 1,
      a_1: 2,
      big: 9007199254740993n,
      most: 18446744073709551615n,
      no: false,
    });
    expect((await storage.sql`SELECT true AS yes WHERE false`.toArrow()).schema.toString()).toContain('Bool');
  });

  test('a loop over results may stop, and the storage may be closed at any time, twice', async () => {
    const storage = make(temporaryFolder());
    const flow = newFlow(storage).push(repeat(nothing, 600));
    await flow.execute();
    for await (const scope of storage.search('*')) {
      expect(scope.step).toBe('nothing');
      break;
    }
    const reading = (async () => {
      let count = 0;
      for await (const scope of storage.search('*')) count += scope.attempt;
      return count;
    })().catch((error: unknown) => error);
    const closed = [storage.close(), storage.close()];
    await Promise.all(closed);
    const outcome = await reading;
    if (outcome !== 600) expect(outcome).toMatchObject({ code: 'STORE_CLOSED' });
    await expect(storage.search('*').count()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await expect(newFlow(storage).push(nothing).execute()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });

  test('closing while a flow runs keeps what had finished, and fails the flow', async () => {
    const folder = temporaryFolder();
    const storage = make(folder);
    const flow = newFlow(storage).push([nothing, step('closing', () => storage.close()), nothing]);
    await expect(flow.execute()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    expect(flow.state).toBe('failed');
    if (name === 'MemoryStorage') return;
    await using again = make(folder);
    expect(await again.search(nothing).count()).toBe(1);
  });

  test('an empty history answers with nothing', async () => {
    await using storage = make(temporaryFolder());
    await newFlow(storage).execute();
    expect(await storage.search('*')).toEqual([]);
    expect(await storage.search('*').first()).toBeUndefined();
    expect(await storage.sql`SELECT count(*) AS n FROM scopes`).toEqual([{ n: 0 }]);
    expect(await storage.ids()).toEqual([]);
  });

  if (name !== 'MemoryStorage')
    test('a new object over the same place has the history, and goes on with it', async () => {
      const folder = temporaryFolder();
      const runs: string[] = [];
      for (let round = 0; round < 3; round++) {
        await using storage = make(folder);
        const flow = newFlow(storage).tag('round', round).push(nothing);
        await flow.execute();
        runs.push(flow.run);
        expect(await storage.sql`SELECT slug, tags[1].value AS round FROM runs ORDER BY run_number`).toEqual(
          runs.map((slug, index) => ({ slug, round: index })),
        );
      }
    });
});
