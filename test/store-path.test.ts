import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DuckDBStorage } from '../src/storage/duckdb.ts';
import { JsonStorage } from '../src/storage/json.ts';
import { ParquetStorage } from '../src/storage/parquet.ts';
import { temporaryFolder } from './folders.ts';

describe.each([ParquetStorage, JsonStorage, DuckDBStorage])('$name', (Made) => {
  test.each([[undefined], [null], [7], [''], ['a\0b'], ['s3://bucket/history'], [new URL('file:///tmp/history')]])(
    'refuses %j for a path at once',
    (path) => {
      expect(() => new Made(path as string)).toThrow(expect.objectContaining({ name: 'MarqueError', code: 'STORE_PATH' }));
    },
  );

  test('refuses a path below a file when it is used', async () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    await using storage = new Made(join(file, 'below'));
    await expect(storage.begin('flow', 'uuid', () => undefined)).rejects.toMatchObject({ code: 'STORE_PATH' });
    await expect(storage.ids()).rejects.toMatchObject({ code: 'STORE_PATH' });
  });
});
