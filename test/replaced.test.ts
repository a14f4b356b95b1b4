import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DuckDBStore } from '../src/storage/duckdb-store.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import type { Store } from '../src/store.ts';
import { temporaryFolder } from './folders.ts';
import { claimRows, findIn, type RowMaker, selectIn } from './store-rows.ts';

const stores: readonly (readonly [string, (folder: string) => Store])[] = [
  ['ParquetStore', (folder) => new ParquetStore(join(folder, 'history'), { threads: 1 })],
  ['JsonStore', (folder) => new JsonStore(join(folder, 'history'))],
  ['DuckDBStore', (folder) => new DuckDBStore(join(folder, 'history.duckdb'))],
];

describe.each(stores)('a %s that outlives its store', (_name, make) => {
  let folder: string;
  let old: Store;
  let run: RowMaker;

  const opened = () => {
    const store = make(folder);
    onTestFinished(() => store.close());
    return store;
  };
  /** Each file below the folder with its size. */
  const tree = () =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => `${name} ${statSync(join(folder, name)).size}`);
  const refusesAll = async () => {
    const refused = { code: 'STORE_PATH', message: expect.stringMatching(/was replaced or removed since it was opened/) };
    const batch = await run.scope(9).tag(9, 0, 'old').event('ended', 2_000).batch();
    await expect(old.write(batch)).rejects.toMatchObject(refused);
    await expect(claimRows(old, 'calm-heron')).rejects.toMatchObject(refused);
    await expect(old.snapshot([])).rejects.toMatchObject(refused);
  };

  beforeEach(async () => {
    folder = temporaryFolder();
    old = make(folder);
    run = await claimRows(old, 'brave-otter');
    await old.write(await run.scope(1).tag(1, 0, 'old').batch());
    await old.write(await run.scope(2).tag(2, 0, 'old').batch());
    await findIn(old);
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  });

  test('refuses everything where it is gone, and makes no other', async () => {
    await refusesAll();
    await old.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('refuses everything where another has its place, which stays as it is', async () => {
    const other = opened();
    const theirs = await claimRows(other, 'quick-lynx');
    for (const ordinal of [1, 2, 3]) {
      await other.write(await theirs.scope(ordinal).tag(ordinal, 0, 'new').batch());
      const before = tree();
      await refusesAll();
      expect(tree()).toEqual(before);
    }
    const before = tree();
    await old.close();
    expect(tree()).toEqual(before);
    await other.write(await theirs.scope(4).tag(4, 0, 'new').batch());
    await other.close();
    expect(await selectIn(opened(), 'SELECT run, content, count(*) FROM tags GROUP BY ALL')).toEqual([['quick-lynx', 'new', 4]]);
  });
});
