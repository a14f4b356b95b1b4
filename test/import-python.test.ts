import { cpSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { DuckDBStorage, JsonStorage, MemoryStorage, ParquetStorage, Storage } from '../src/index.ts';
import { exactJson, markNumbers } from '../src/storage/exact-json.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { temporaryFolder } from './folders.ts';

class StorageOf extends Storage {}

const fixtures = join(import.meta.dirname, 'fixtures', 'python-marque');

function memory(): Storage {
  const storage = new MemoryStorage();
  onTestFinished(async () => await storage.close());
  return storage;
}

/** Two stores of the Python package with the same runs: a flow of 5 scopes, one of 3, and one of another flow. */
const stores: Readonly<Record<string, (folder: string) => string>> = {
  PolarsStorage: (folder) => {
    cpSync(join(fixtures, 'runs.parquet'), join(folder, 'runs.parquet'));
    utimesSync(join(folder, 'runs.parquet'), 1_600_000_000, 1_600_000_000);
    return join(folder, 'runs.parquet');
  },
  JsonStorage: (folder) => {
    cpSync(join(fixtures, 'json'), join(folder, 'json'), { recursive: true });
    for (const name of readdirSync(join(folder, 'json'))) utimesSync(join(folder, 'json', name), 1_600_000_000, 1_600_000_000);
    return join(folder, 'json');
  },
};

describe.each(Object.entries(stores))('a %s of the Python package', (name, make) => {
  const hasNumbers = name === 'PolarsStorage';

  test('comes in with its runs, scopes, tags and artifacts, under its own ids', async () => {
    const storage = memory();
    const { merged, skipped, lost, lostCount } = await storage.importPython(make(temporaryFolder()));
    expect(skipped).toEqual([]);
    expect(merged).toHaveLength(3);
    expect(merged.every(({ from, run }) => from === run)).toBe(true);
    expect(lostCount).toBe(1);
    expect(lost).toEqual([
      {
        id: expect.stringMatching(/^sums\.proto\./) as string,
        what: 'artifact "odd"',
        why: expect.stringContaining('__proto__') as string,
      },
    ]);
    expect(await storage.sql`SELECT flow, state, scopes, errors FROM runs ORDER BY scopes DESC`).toEqual([
      { flow: 'sums', state: 'finished', scopes: 5, errors: 1 },
      { flow: 'sums', state: 'finished', scopes: 3, errors: 0 },
      { flow: 'my-flow-v1', state: 'finished', scopes: 1, errors: 0 },
    ]);
    const work = await storage.search('sums.work.*', { runs: 'all' });
    expect(work).toHaveLength(3);
    for (const scope of work) {
      expect(scope.id).toMatch(/^sums\.work\.[a-z]+-[a-z]+\.[a-z]+-[a-z]+$/);
      expect(scope.recall('data')).toEqual({
        number: 7,
        big: 2n ** 63n + 1n,
        text: '"12345678901234567890"',
        list: [1.5, null, true],
      });
      expect(scope.recall('empty')).toEqual({});
      expect(scope.tags.map(({ content, value }) => [content, value ?? null])).toEqual([
        ['loss', 7 / 3],
        ['loss', -0],
        ['it\'s "quoted"\n\0 🦦 \uFEFF', null],
        ['nan', hasNumbers ? Number.NaN : null],
      ]);
      expect(scope.durationMs).toBeGreaterThan(0);
      expect(Math.abs(scope.startedAt.getTime() - 1_600_000_000_000)).toBeLessThan(1_000);
    }
    const [failed] = await storage.search('sums.fails.*', { runs: 'all' });
    expect([failed?.status, failed?.error?.message]).toEqual(['error', 'ValueError: no\nway']);
    expect(failed?.error?.stack).toBe('ValueError: no\nway\n');
    const [row] = await storage.sql<{ details: string }>`SELECT start_details AS details FROM runs WHERE flow = 'my-flow-v1'`;
    expect(JSON.parse(row?.details ?? '')).toMatchObject({ origin: { flow: 'my flow.v1', package: 'marque for Python' } });
  });

  test.each(['JsonStorage', 'ParquetStorage', 'DuckDBStorage'] as const)('comes into a %s, and once only', async (kind) => {
    const path = make(temporaryFolder());
    const folder = temporaryFolder();
    const target = {
      JsonStorage: () => new JsonStorage(folder),
      ParquetStorage: () => new ParquetStorage(folder),
      DuckDBStorage: () => new DuckDBStorage(join(folder, 'x.duckdb')),
    }[kind]();
    onTestFinished(async () => await target.close());
    expect((await target.importPython(path)).merged).toHaveLength(3);
    const again = await target.importPython(make(temporaryFolder()));
    expect([again.merged, again.skipped.length]).toEqual([[], 3]);
    expect(await target.sql`SELECT count(*) AS n FROM scopes`).toEqual([{ n: 9 }]);
  });
});

describe('an import', () => {
  test('of the same runs by way of the other kind of store brings nothing twice', async () => {
    const storage = memory();
    await storage.importPython(stores['JsonStorage']?.(temporaryFolder()) as string);
    const { merged, skipped } = await storage.importPython(stores['PolarsStorage']?.(temporaryFolder()) as string);
    expect([merged, skipped.map(({ why }) => why.replace(/as .*/, 'as …'))]).toEqual([
      [],
      Array(3).fill('it is here already, as …'),
    ]);
    expect(await storage.sql`SELECT count(*) AS n FROM scopes`).toEqual([{ n: 9 }]);
  });

  test('of anything else says what is wrong with it', async () => {
    const storage = memory();
    const folder = temporaryFolder();
    const make = (name: string, content: string | Uint8Array): string => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    await storage.export(join(folder, 'foreign.parquet'), { query: storage.sql`SELECT 1 AS id` });
    mkdirSync(join(folder, 'empty'));
    mkdirSync(join(folder, 'broken'));
    writeFileSync(join(folder, 'broken', 'a.b.c.d.json'), '{"id": "a.b.c.d"');
    mkdirSync(join(folder, 'other'));
    writeFileSync(join(folder, 'other', 'package.json'), '{"name": "x"}');
    mkdirSync(join(folder, 'ours'));
    writeFileSync(join(folder, 'ours', 'marque.json'), '{}');
    const refused: readonly (readonly [string, string, string])[] = [
      [join(folder, 'none'), 'STORE_PATH', 'none'],
      [make('text.parquet', 'no Parquet'), 'STORE_PATH', 'no Parquet file'],
      [make('torn.parquet', 'PAR1 and then nothing'), 'STORE_DAMAGED', 'torn.parquet'],
      [join(folder, 'foreign.parquet'), 'STORE_PATH', 'no column part'],
      [join(folder, 'empty'), 'STORE_PATH', 'no scope'],
      [join(folder, 'broken'), 'STORE_DAMAGED', 'a.b.c.d.json'],
      [join(folder, 'other'), 'STORE_DAMAGED', 'package.json'],
      [join(folder, 'ours'), 'STORE_PATH', 'merge'],
      ['a\0b', 'STORE_PATH', 'NUL'],
    ];
    for (const [path, code, says] of refused) {
      await expect(storage.importPython(path), path).rejects.toMatchObject({
        code,
        message: expect.stringContaining(says) as string,
      });
    }
    expect(await storage.sql`SELECT count(*) AS n FROM runs`).toEqual([{ n: 0 }]);
  });

  test('takes for the message what follows the traceback', async () => {
    const storage = memory();
    const traceback =
      'Traceback (most recent call last):\n  File "x.py", line 1, in fails\n    raise ValueError("no\\nway")\nValueError: no\nway\n';
    const path = join(temporaryFolder(), 'x.parquet');
    await storage.export(path, {
      query: storage.sql`SELECT 'f.s.r-r.p-p' AS id, 'scope' AS part, 5::BIGINT AS scope_duration, ${traceback} AS scope_error,
        NULL::VARCHAR AS artifact_name, NULL::VARCHAR AS artifact_value, NULL::VARCHAR AS tag_content, NULL::DOUBLE AS tag_value`,
    });
    await storage.importPython(path);
    expect(await storage.sql`SELECT error_message, error_stack FROM scopes`).toEqual([
      { error_message: 'ValueError: no\nway', error_stack: traceback },
    ]);
  });

  /** A store of the Python package with these files, by the last part of their ids, all of one run. */
  function storeOf(scopes: Readonly<Record<string, string>>, folder = temporaryFolder()): string {
    for (const [path, rest] of Object.entries(scopes)) {
      const id = `f.s.r-r.${path}`;
      writeFileSync(join(folder, `${id}.json`), `{"id": "${id}", "duration": 5, ${rest}}`);
    }
    return folder;
  }
  const plain = '"error": null, "tags": [], "artifacts": []';

  test('names everything that it changes or leaves out', async () => {
    const storage = memory();
    const path = storeOf({
      'p-p': `"error": "ValueError: \\ud800", "tags": [{"content": "\\ud800x", "value": 1}, {"content": "true", "value": true},
        {"content": "text", "value": "0.5"}, {"content": null, "value": 2}, {"content": "wide", "value": 99999999999999999999},
        {"content": "fine", "value": 1152921504606846976}, {"content": "none", "value": null}],
        "artifacts": [{"name": "\\ud800", "value": 1}, {"name": "", "value": 1}, {"name": "twice", "value": 1}, {"name": "twice", "value": 2},
        {"name": "lone", "value": "\\udc00"}, {"name": 7, "value": 1}, {"name": "fine", "value": [1.5]}]`,
    });
    const { lost } = await storage.importPython(path);
    expect(lost.map(({ what, why }) => `${what}: ${why}`).sort()).toEqual([
      'artifact "": its name is empty',
      expect.stringMatching(/^artifact "lone": .*surrogate/),
      'artifact "twice": a later one of the scope has its name',
      'artifact 7: its name is no text',
      'tag "\\ud800x": it has half of a surrogate pair, which is U+FFFD here',
      'tag null: its content is no text',
      'the name of artifact "\\ud800": it has half of a surrogate pair, which is U+FFFD here',
      'the traceback: it has half of a surrogate pair, which is U+FFFD here',
      'the value of tag "text": "0.5" is no number',
      'the value of tag "true": true is no number',
      'the value of tag "wide": 99999999999999999999 is 100000000000000000000 here: it has more digits than a double',
    ]);
    expect(await storage.sql`SELECT content, value FROM tags ORDER BY seq`).toEqual([
      { content: '\uFFFDx', value: 1 },
      { content: 'true', value: null },
      { content: 'text', value: null },
      { content: 'wide', value: 1e20 },
      { content: 'fine', value: 2 ** 60 },
      { content: 'none', value: null },
    ]);
    expect(await storage.sql`SELECT name, text FROM artifacts ORDER BY seq`).toEqual([
      { name: '\uFFFD', text: '1' },
      { name: 'twice', text: '2' },
      { name: 'fine', text: '[1.5]' },
    ]);
    expect(await storage.sql`SELECT error_message FROM scopes`).toEqual([{ error_message: 'ValueError: \uFFFD' }]);
  });

  test('of a run that has grown since doubles nothing and says so; of one that only has its name brings it', async () => {
    const storage = memory();
    const first = storeOf({ 'a-a': plain, 'b-b': plain, 'c-c': plain });
    await storage.importPython(first);
    storeOf({ 'd-d': plain }, first);
    const { merged, skipped } = await storage.importPython(first);
    expect([merged, skipped]).toEqual([
      [],
      [{ run: 'r-r', why: 'it is here already, as r-r, and has grown since it was imported: none of it is brought in again' }],
    ]);
    const other = storeOf({ 'a-a': plain, 'x-x': plain, 'y-y': plain, 'z-z': plain });
    expect((await storage.importPython(other)).merged).toEqual([
      { from: 'r-r', run: expect.not.stringMatching(/^r-r$/) as string },
    ]);
    expect((await storage.importPython(other)).skipped).toHaveLength(1);
    expect(await storage.sql`SELECT state, scopes FROM runs ORDER BY run_number`).toEqual([
      { state: 'finished', scopes: 3 },
      { state: 'finished', scopes: 4 },
    ]);
  });

  test('that was stopped, of a run that has grown since, mixes nothing: it is begun anew once the half of it is deleted', async () => {
    const folder = temporaryFolder();
    const text = JSON.stringify('x'.repeat(5 * 2 ** 20));
    const large = `"error": null, "tags": [], "artifacts": [{"name": "text", "value": ${text}}]`;
    const path = storeOf({ 'a-a': large, 'b-b': large, 'c-c': large });
    const stopped = new ParquetStorage(folder, { threads: 1 });
    const importing = stopped.importPython(path);
    importing.catch(() => undefined);
    while (segmentsIn(folder, 'artifacts') < 2) await new Promise((resolve) => setTimeout(resolve, 2)); // the one without rows, and a first piece
    await stopped.close();
    await expect(importing).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await using storage = new ParquetStorage(folder, { threads: 1 });
    expect(await storage.sql`SELECT state FROM runs`).toEqual([{ state: 'merging' }]);
    storeOf({ 'd-d': plain }, path);
    expect((await storage.importPython(path)).skipped).toEqual([
      { run: 'r-r', why: expect.stringContaining('in part, as r-r') as string },
    ]);
    await storage.deleteRuns('r-r');
    expect((await storage.importPython(path)).merged).toHaveLength(1);
    expect(await storage.sql`SELECT state, scopes FROM runs ORDER BY run_number`).toEqual([
      { state: 'deleted', scopes: 0 },
      { state: 'finished', scopes: 4 },
    ]);
    expect(await storage.sql`SELECT count(*) AS n FROM artifacts`).toEqual([{ n: 3 }]);
  });

  test.each(['JsonStore', 'ParquetStore', 'MemoryStore'] as const)(
    'of a run whose name another import has brought into a %s meanwhile leaves it out, whether that ended or not',
    async (kind) => {
      const text = JSON.stringify('x'.repeat(5 * 2 ** 20));
      const large = `"error": null, "tags": [], "artifacts": [{"name": "text", "value": ${text}}]`;
      const [first, second] = [storeOf({ 'a-a': large, 'b-b': large, 'c-c': large }), storeOf({ 'd-d': plain, 'e-e': plain })];
      for (const lastWrite of [Number.POSITIVE_INFINITY, 2]) {
        const folder = temporaryFolder();
        const memoryStore = new MemoryStore();
        const make = {
          JsonStore: () => new JsonStore(folder),
          ParquetStore: () => new ParquetStore(folder),
          MemoryStore: () => memoryStore,
        }[kind];
        const [slow, fast] = [make(), kind === 'MemoryStore' ? memoryStore : make()];
        await using storage = new StorageOf(slow);
        const faster = new StorageOf(fast);
        const claim = slow.claim.bind(slow);
        const write = fast.write.bind(fast);
        vi.spyOn(slow, 'claim').mockImplementationOnce(async (request) => {
          let writes = 0;
          const writing = vi.spyOn(fast, 'write').mockImplementation(async (batch) => {
            if (++writes > lastWrite) throw new Error('stopped');
            await write(batch);
          });
          await faster.importPython(first).catch(() => null);
          writing.mockRestore();
          return await claim(request);
        });
        const { merged, skipped } = await storage.importPython(second);
        expect([merged, skipped]).toEqual([
          [],
          [{ run: 'r-r', why: 'one of the same uuid and other content was brought in by another process meanwhile, as r-r' }],
        ]);
        const state = lastWrite === 2 ? 'merging' : 'finished';
        expect(await storage.sql`SELECT slug, state FROM runs`).toEqual([{ slug: 'r-r', state }]);
        const rows = await storage.sql`SELECT path FROM scopes WHERE path IN ('d-d', 'e-e')`;
        expect(rows).toEqual([]);
        await faster.close();
      }
    },
  );

  test('names ids that are none, and keeps two scopes of one id apart', async () => {
    const storage = memory();
    const folder = temporaryFolder();
    const rows = storage.sql`SELECT unnest(['a.b.c', 'f.s.r-r.p-p', 'f.s.r-r.p-p']) AS id, 'scope' AS part, 5::BIGINT AS scope_duration, NULL::VARCHAR AS scope_error,
      NULL::VARCHAR AS artifact_name, NULL::VARCHAR AS artifact_value, NULL::VARCHAR AS tag_content, NULL::DOUBLE AS tag_value`;
    await storage.export(join(folder, 'x.parquet'), { query: rows });
    const { lost } = await storage.importPython(join(folder, 'x.parquet'));
    expect(lost).toEqual([{ id: 'a.b.c', what: 'the scope', why: 'its id is not flow.step.run.path' }]);
    expect(await storage.sql`SELECT id, attempt, duration_ms FROM scopes ORDER BY sid`).toEqual([
      { id: 'f.s.r-r.p-p', attempt: 1, duration_ms: 0.005 },
      { id: 'f.s.r-r.p-p', attempt: 2, duration_ms: 0.005 },
    ]);
  });
});

describe('JSON of another program', () => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }),
      fc.boolean(),
      fc.constant(null),
      fc.constant('\\"12345678901234567890\\'),
      tie('list'),
      tie('object'),
    ),
    list: fc.array(tie('value'), { maxLength: 4 }),
    object: fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 4 },
    ),
  })).value;

  /** JSON as a writer that knows wide integers and -0 has it. */
  function text(one: unknown): string {
    if (typeof one === 'bigint') return String(one);
    if (Object.is(one, -0)) return '-0.0';
    if (Array.isArray(one)) return `[${one.map(text).join(', ')}]`;
    if (typeof one === 'object' && one !== null)
      return `{${Object.entries(one)
        .map(([key, member]) => `${JSON.stringify(key)}: ${text(member)}`)
        .join(',')}}`;
    return JSON.stringify(one);
  }
  /** Integers that a number holds are numbers; those that it does not are bigints. */
  function read(one: unknown): unknown {
    if (typeof one === 'bigint') return Number.isSafeInteger(Number(one)) ? Number(one) : one;
    if (typeof one === 'number') return one;
    if (Array.isArray(one)) return one.map(read);
    if (typeof one === 'object' && one !== null)
      return Object.fromEntries(Object.entries(one).map(([key, member]) => [key, read(member)]));
    return one;
  }

  test('gives every number exactly, and is itself again after a way through JavaScript', () => {
    fc.assert(
      fc.property(value, (one) => {
        const json = text(one);
        expect(exactJson(json)).toStrictEqual(read(withWideDoubles(one)));
        const { marked, unmark } = markNumbers(json);
        expect(exactJson(unmark(JSON.stringify(JSON.parse(marked))))).toStrictEqual(exactJson(json));
      }),
    );
  });

  /** A double beyond 2^53 that JSON writes in digits reads as a bigint, which it equals. */
  function withWideDoubles(one: unknown): unknown {
    if (typeof one === 'number' && Number.isInteger(one) && !Number.isSafeInteger(one) && !/e/.test(String(one)))
      return BigInt(String(one));
    if (Array.isArray(one)) return one.map(withWideDoubles);
    if (typeof one === 'object' && one !== null)
      return Object.fromEntries(Object.entries(one).map(([key, member]) => [key, withWideDoubles(member)]));
    return one;
  }
});

function segmentsIn(folder: string, table: string): number {
  return readdirSync(folder).includes(table)
    ? readdirSync(join(folder, table)).filter((name) => !name.startsWith('.') && name.endsWith('.parquet')).length
    : 0;
}
