import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ParquetStorage } from '../src/index.ts';
import { suiteFolder } from './folders.ts';
import type { Columns } from './interop/cell.ts';
import { expectedOf, relations, type Values, valuesOf } from './interop/expected.ts';
import { recordRuns } from './interop/history.ts';
import { outcomeOf, rowOf, tableOf, type TypeColumn, typeColumns } from './interop/outcome.ts';
import { digest } from './interop/reading.ts';
import { allReaders, closeReaders, fileReaders, type Reader } from './interop/readers.ts';
import { isLarge } from './size.ts';

const parent = suiteFolder();
const folder = join(parent, 'history');
const storage = new ParquetStorage(folder, { threads: 1 });
const views = ['scopes', 'tags', 'artifacts', 'logs', 'edges', 'runs'] as const;

/** What is exported by default: scopes, with everything that belongs to them in lists. */
const whole: Columns = {
  ...relations['scopes'],
  tags: { content: 'text', value: 'double' },
  artifacts: { name: 'text', codec: 'text', text: 'text', base64: 'text' },
  logs: { level: 'text', message: 'text', logged_at: 'text' },
};

/** By what was exported: the columns, the file and the values in the store. */
const exported = new Map<string, { columns: Columns; path: string; values: Values }>();

beforeAll(async () => {
  await recordRuns(storage);
  for (const view of views) {
    const path = join(parent, `${view}.parquet`);
    const columns = relations[view] ?? {};
    await storage.export(path, { table: view });
    exported.set(view, { columns, path, values: await valuesOf(storage, view, columns) });
  }
  const path = join(parent, 'everything.parquet');
  await storage.export(path);
  exported.set('everything', { columns: whole, path, values: await wholeScopes() });
}, 60_000);

afterAll(async () => {
  await storage.close();
  await closeReaders();
});

describe('an export to one Parquet file', () => {
  test.each(fileReaders)('is to $name what the store is to this library', async ({ loses, read }) => {
    for (const [name, { columns, path, values }] of exported) {
      expect(digest(await read(path, columns)), name).toEqual(digest(expectedOf(values, columns, loses)));
    }
  });
});

describe('test/interop/table.md', () => {
  const file = new URL('interop/table.md', import.meta.url);
  const known = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];

  test('is what each reader makes of each type', { timeout: isLarge ? 900_000 : 60_000 }, async () => {
    const rows: string[] = [];
    for (const reader of allReaders) {
      const outcomes: string[] = [];
      if (reader.isHere) for (const column of typeColumns) outcomes.push(await cellOf(reader, column));
      const row = rowOf(reader, outcomes);
      rows.push(reader.isHere ? row : (known.find((line) => line.startsWith(row)) ?? row)); // one that is not here stays as it was
    }
    await expect(tableOf(rows)).toMatchFileSnapshot(fileURLToPath(file));
  });
});

async function cellOf(reader: Reader, column: TypeColumn): Promise<string> {
  const { path, values } = exported.get(column.table ?? 'everything') as { path: string; values: Values };
  if (reader.source === 'file') return await outcomeOf(reader, column, path, undefined, values);
  if (column.table === null) return '';
  const relation = `raw.${column.table}`;
  const stored = await valuesOf(storage, relation, { sid: 'bigint', [column.column]: column.type });
  return await outcomeOf(reader, column, reader.source === 'log' ? join(folder, column.table) : folder, relation, stored);
}

/** The scopes of the store with what belongs to them, put together here. */
async function wholeScopes(): Promise<Values> {
  const scopes = exported.get('scopes')?.values as Values;
  const children = async (table: string, fields: readonly string[], structOf = (row: Record<string, unknown>) => row) => {
    const columns = Object.fromEntries(['sid', 'seq', ...fields].map((name) => [name, 'text' as const]));
    const values = await valuesOf(storage, `${table} ORDER BY sid, seq`, columns);
    const rows = (values['sid'] ?? []).map((_, row) =>
      Object.fromEntries(Object.entries(values).map(([name, all]) => [name, all[row]])),
    );
    return (scopes['sid'] ?? []).map((sid) => rows.filter((row) => row['sid'] === sid).map(structOf));
  };
  return {
    ...scopes,
    tags: await children('tags', ['content', 'value']),
    artifacts: await children('artifacts', ['name', 'codec', 'text', 'bytes'], (row) => ({
      ...row,
      base64: row['bytes'] === null ? null : Buffer.from(row['bytes'] as Uint8Array).toString('base64'),
    })),
    logs: await children('logs', ['level', 'message', 'logged_at'], (row) => ({
      ...row,
      logged_at: (row['logged_at'] as Date).toISOString(),
    })),
  };
}
