import { cpSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DuckDBStorage, JsonStorage, MemoryStorage, ParquetStorage, type Storage } from '../src/index.ts';
import { exactJson, markNumbers } from '../src/storage/exact-json.ts';
import { temporaryFolder } from './folders.ts';

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
  test('of runs with slugs that are taken gives them others', async () => {
    const storage = memory();
    await storage.importPython(stores['JsonStorage']?.(temporaryFolder()) as string);
    const { merged } = await storage.importPython(stores['PolarsStorage']?.(temporaryFolder()) as string);
    expect(merged.filter(({ from, run }) => from !== run).map(({ from }) => from)).toContain('whimsical-lemming');
    expect(await storage.sql`SELECT count(DISTINCT slug) AS slugs, count(*) AS runs FROM runs`).toEqual([{ slugs: 6, runs: 6 }]);
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
      return BigInt(one);
    if (Array.isArray(one)) return one.map(withWideDoubles);
    if (typeof one === 'object' && one !== null)
      return Object.fromEntries(Object.entries(one).map(([key, member]) => [key, withWideDoubles(member)]));
    return one;
  }
});
