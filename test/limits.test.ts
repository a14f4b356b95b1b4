import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  DuckDBStorage,
  Flow,
  JsonStorage,
  MemoryStorage,
  ParquetStorage,
  type Storage,
  type StorageOptions,
} from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

const storages: readonly (readonly [string, (folder: string, options: StorageOptions) => Storage])[] = [
  ['MemoryStorage', (_folder, options) => new MemoryStorage(options)],
  ['JsonStorage', (folder, options) => new JsonStorage(folder, options)],
  ['ParquetStorage', (folder, options) => new ParquetStorage(folder, options)],
  ['DuckDBStorage', (folder, options) => new DuckDBStorage(join(folder, 'history.duckdb'), options)],
];

describe.each(storages)('%s', (_name, make) => {
  test('gives its DuckDB the memory and the threads that it is told', async () => {
    await using storage = make(temporaryFolder(), { memoryLimit: '100MiB', threads: 3 });
    await new Flow('limits', storage, { logLevel: 'silent' }).execute();
    const settings = storage.sql`SELECT name, value FROM duckdb_settings() WHERE name IN ('memory_limit', 'threads') ORDER BY name`;
    expect(await settings).toEqual([
      { name: 'memory_limit', value: '100.0 MiB' },
      { name: 'threads', value: '3' },
    ]);
  });

  test('refuses an option that there is not, with the one that was meant', () => {
    const options = { thread: 3 } as StorageOptions;
    const expected = { code: 'OPTION_INVALID', message: 'there is no option "thread". Did you mean "threads"?' };
    expect(() => make(temporaryFolder(), options)).toThrow(expect.objectContaining(expected));
  });

  test.each<[string, unknown]>([
    ['memoryLimit', '2'],
    ['memoryLimit', 'much'],
    ['memoryLimit', '-1GB'],
    ['memoryLimit', 2e9],
    ['threads', 0],
    ['threads', 1.5],
    ['threads', '2'],
  ])('refuses %s %j', (name, value) => {
    expect(() => make('history', { [name]: value })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(name) }),
    );
  });
});
