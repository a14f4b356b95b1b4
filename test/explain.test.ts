import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { DuckDBStorage, Flow, JsonStorage, MemoryStorage, ParquetStorage, repeat, step, type Storage } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

const work = step('work', (flow) => flow.tag('loss', 0.5));

async function twoRuns(storage: Storage): Promise<void> {
  for (const name of ['first', 'second']) await new Flow(name, storage, { logLevel: 'silent' }).push(repeat(work, 10)).execute();
}

describe('explain', () => {
  test('shows the statement with its values, and which files of a Parquet store it reads of how many', async () => {
    await using storage = new ParquetStorage(temporaryFolder());
    await twoRuns(storage);
    const found = await storage.search('first.*', { runs: 'all', where: ({ content }) => content === 'loss' }).explain();
    expect(found).toMatchObject({ engine: 'DuckDB', javascript: true, oldestRun: null });
    expect(found.statement?.values).toContain('first');
    expect(found.tables.map(({ table }) => table).toSorted()).toEqual(['scopes', 'tags']);
    for (const { segments, rows } of found.tables) {
      expect(segments?.read).toHaveLength(1);
      expect(segments?.all).toBeGreaterThan(1);
      expect(rows).toEqual({ read: 10, all: 20 });
    }
    expect(found.plan).toMatch(/READ_PARQUET/);
  });

  test('says of a search for the latest run where it begins', async () => {
    await using storage = new ParquetStorage(temporaryFolder());
    await twoRuns(storage);
    const { oldestRun, tables } = await storage.search('*').explain();
    expect(oldestRun).toBe(2);
    expect(tables).toMatchObject([{ table: 'scopes', rows: { read: 10, all: 20 } }]);
  });

  test('counts what is not flushed', async () => {
    await using storage = new ParquetStorage(temporaryFolder(), { flush: { ms: 60_000 } });
    const seen: number[] = [];
    const look = step('look', async (flow) => {
      const { tables } = await flow.search('*').explain();
      seen.push(...tables.map(({ unflushed }) => unflushed));
    });
    await new Flow('test', storage, { logLevel: 'silent' }).failFast().push([work, work, look]).execute();
    expect(seen).toEqual([2]);
  });

  test('says that a storage without a database evaluates rows in memory, and how many', async () => {
    for (const storage of [new MemoryStorage(), new JsonStorage(temporaryFolder())]) {
      await twoRuns(storage);
      const found = await storage.search('first.*').explain();
      const read = storage instanceof MemoryStorage ? 20 : 10; // files of the other run are not opened
      expect(found).toMatchObject({ engine: 'memory', statement: null, plan: null, tables: [{ rows: { read, all: 20 } }] });
      expect(inspect(found)).toMatch(/scopes: .*20 rows\n.*in memory/);
      await storage.close();
    }
  });

  test('counts the rows of a DuckDB file, and prints as text', async () => {
    await using storage = new DuckDBStorage(join(temporaryFolder(), 'history.duckdb'));
    await twoRuns(storage);
    const found = await storage.search('first.*').explain();
    expect(found.tables).toEqual([{ table: 'scopes', segments: null, rows: { read: 20, all: 20 }, unflushed: 0 }]);
    const text = inspect(found);
    expect(text).toMatch(/^WITH matching[^]*\$1 = 'first'[^]*scopes: 20 rows[^]*│/);
    expect(text).toBe(String(found));
  });

  test('runs nothing: a predicate is not called', async () => {
    await using storage = new ParquetStorage(temporaryFolder());
    await twoRuns(storage);
    const where = (): boolean => {
      throw new Error('called');
    };
    expect((await storage.search('*', { where }).explain()).javascript).toBe(true);
  });
});
