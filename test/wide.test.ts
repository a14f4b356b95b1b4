import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { DuckDBStore } from '../src/storage/duckdb-store.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import type { Store } from '../src/store.ts';
import { paramsText, type ReferenceScope } from './analytics-reference.ts';
import { type MadeUp, randomScopes, StorageOver, writeScopes } from './analytics-store.ts';
import { suiteFolder, temporaryFolder } from './folders.ts';
import { isLarge } from './size.ts';

const kinds: Readonly<Record<string, (folder: string) => Store>> = {
  MemoryStore: () => new MemoryStore(),
  JsonStore: (folder) => new JsonStore(folder),
  ParquetStore: (folder) => new ParquetStore(folder),
  DuckDBStore: (folder) => new DuckDBStore(join(folder, 'history.duckdb')),
};

const scopes: readonly MadeUp[] = [
  { params: { lr: 0.1, on: true, mixed: 1, list: [1, 2], limit: 'Infinity' }, series: [3, 1], tags: [['mark', null]] },
  { params: { lr: 1, on: false, mixed: 'x', list: null, limit: 5 }, series: [Number.NaN], tags: [['acc', 0.5]] },
  {
    step: 'test',
    params: { lr: null, 'a/~b "c"': 'é' },
    tags: [
      ['Loss', 7],
      ['47 + 18', null],
      ['val loss', 2],
    ],
  },
  { path: '0-9', status: 'retried', params: { lr: 5 }, series: [9], tags: [['failed', 1]] },
  { step: 'test', status: 'error' },
];

async function storageOf(store: Store, ...runs: readonly (readonly MadeUp[])[]): Promise<StorageOver> {
  for (const [index, run] of runs.entries()) await writeScopes(store, `run-${index + 1}`, run);
  return new StorageOver(store);
}

describe.each(Object.entries(kinds))('a wide table over a %s', (_name, open) => {
  const folder = join(suiteFolder(), 'history');
  let storage: StorageOver;

  beforeAll(async () => {
    storage = await storageOf(open(folder), scopes, [{ params: { lr: 7 }, series: [8] }]);
    return () => storage.close();
  });

  test('has the parameters and the tags with numbers as columns, typed by what they hold', async () => {
    const query = storage.wide({ runs: 'run-1' });
    const { columns } = await query.result();
    expect(columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'id VARCHAR',
      'sid BIGINT',
      'flow VARCHAR',
      'run VARCHAR',
      'step VARCHAR',
      'status VARCHAR',
      'started_at TIMESTAMP_MS',
      'duration_ms DOUBLE',
      'param_a_b_c_ VARCHAR',
      'param_limit DOUBLE',
      'param_list VARCHAR',
      'param_lr DOUBLE',
      'param_mixed VARCHAR',
      'param_on BOOLEAN',
      'tag_Loss DOUBLE',
      'tag_acc DOUBLE',
      'tag_loss_2 DOUBLE',
      'tag_val_loss DOUBLE',
    ]);
    const rows = await query;
    expect(rows.map((row) => row.id)).toEqual([1, 2, 3, 5].map((n) => `flow.${n < 3 ? 'train' : 'test'}.run-1.0-${n}`));
    expect(rows[0]).toMatchObject({
      param_lr: 0.1,
      param_on: true,
      param_mixed: '1',
      param_list: '[1,2]',
      tag_loss_2: 1,
      tag_acc: null,
    });
    expect(rows[0]).toMatchObject({
      param_limit: Number.POSITIVE_INFINITY,
      started_at: new Date(1_750_000_000_001),
      duration_ms: 1,
    });
    expect(rows[1]).toMatchObject({ param_mixed: 'x', param_list: null, tag_loss_2: Number.NaN, tag_acc: 0.5, tag_Loss: null });
    expect(rows[2]).toMatchObject({ param_lr: null, param_a_b_c_: 'é', tag_Loss: 7, tag_val_loss: 2 });
    expect(rows[3]).toMatchObject({ status: 'error', param_lr: null, tag_Loss: null });
  });

  test('has just the columns that are asked for, in that order', async () => {
    const rows = await storage.wide({ runs: ['run-2', 'run-1'], tags: ['mark', 'loss', 'never'], params: ['lr', 'none'] });
    expect(Object.keys(rows[0] ?? {}).slice(8)).toEqual(['param_lr', 'param_none', 'tag_mark', 'tag_loss', 'tag_never']);
    expect(rows.map((row) => [row['param_lr'], row['param_none'], row['tag_mark'], row['tag_loss'], row['tag_never']])).toEqual([
      [0.1, null, true, 1, false],
      [1, null, false, Number.NaN, false],
      [null, null, false, null, false],
      [null, null, false, null, false],
      [7, null, false, 8, false],
    ]);
    expect(await storage.wide({ tags: [], params: [], step: 'test', status: 'error' })).toEqual([
      expect.objectContaining({ step: 'test', status: 'error' }),
    ]);
  });

  test('is one answer as rows, as an Arrow table and as a file', async () => {
    const query = storage.wide({ status: ['ok', 'retried'] });
    const table = await query.toArrow();
    expect(table.numRows).toBe(5);
    expect(table.schema.fields.map(({ name }) => name)).toContain('tag_failed');
    expect((await storage.export(join(temporaryFolder(), 'wide.parquet'), { query })).rows).toBe(5);
  });

  test('is empty where there are no scopes, and has the fixed columns all the same', async () => {
    const { columns, rowCount } = await storage.wide({ runs: 'no-such-*' }).result();
    expect([columns.length, rowCount]).toEqual([8, 0]);
  });
});

describe('a wide table', () => {
  test.each(Array.from({ length: isLarge ? 200 : 6 }, (_, index) => index + 1))(
    'of a random history holds what was recorded, seed %i',
    async (seed) => {
      const store = new MemoryStore();
      const made = await writeScopes(store, 'first-run', randomScopes(seed, 40));
      await using storage = new StorageOver(store);
      const kept = made.filter(({ status }) => status !== 'retried');
      const names = [...new Set(kept.flatMap(({ params }) => Object.keys(params ?? {})))].toSorted();
      const rows = await storage.wide();
      const cells = ({ params, series }: ReferenceScope) => {
        const last = series.filter((value) => value !== null).at(-1) ?? null;
        return [...names.map((name) => params?.[name] ?? null), last];
      };
      const found = rows.map((row) => Object.values(row).slice(8));
      // Of several types a parameter is text: that of a number or an object is its JSON, that of a text is itself.
      const asText = (cell: unknown) =>
        cell === null || typeof cell === 'string' ? cell : (paramsText({ cell }) ?? '').slice(8, -1);
      const isText = names.map((_, column) => found.some((cellsOfRow) => typeof cellsOfRow[column] === 'string'));
      const expected = kept.map((scope) => cells(scope).map((cell, column) => (isText[column] === true ? asText(cell) : cell)));
      expect(found).toEqual(expected);
      expect(rows.map((row) => row.sid)).toEqual(kept.map(({ sid }) => sid));
    },
  );

  test('of too many columns is refused, and says how to choose', async () => {
    const many = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
    await using storage = await storageOf(new MemoryStore(), [
      { tags: many('t', 257).map((name) => [name, 1]), params: Object.fromEntries(many('p', 257).map((name) => [name, 1])) },
    ]);
    const refusal = (says: string) => ({ code: 'OPTION_INVALID', message: expect.stringContaining(says) as string });
    await expect(Promise.resolve(storage.wide({ params: [] }))).rejects.toMatchObject(refusal(`choose some with tags: ['…']`));
    await expect(Promise.resolve(storage.wide({ tags: [] }))).rejects.toMatchObject(refusal(`choose some with params: ['…']`));
    const [row] = await storage.wide({ tags: many('t', 256), params: many('p', 256) });
    expect(Object.keys(row ?? {}).length).toBe(8 + 512);
    expect(() => storage.wide({ tags: many('t', 257) })).toThrow(expect.objectContaining(refusal('more than 256')));
  });

  test.each([
    ['a name twice', { tags: ['a', 'a'] }],
    ['names that are none', { params: 'lr' }],
    ['an unknown status', { status: 'done' }],
    ['no status', { status: [] }],
  ])('with %s is refused', (_what, options) => {
    const storage = new StorageOver(new MemoryStore());
    expect(() => storage.wide(options as object)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});
