import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Database } from '../src/duckdb.ts';
import { MarqueError } from '../src/error.ts';
import { schema, type TableName, tableNames } from '../src/schema.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { temporaryFolder } from './folders.ts';
import { everywhere, opened, written } from './parquet-stores.ts';
import { describeStore } from './store-conformance.ts';
import { claimRows, findIn, searchFor, selectIn } from './store-rows.ts';

describeStore('ParquetStore', (folder) => new ParquetStore(folder));

describe('segments', () => {
  test('have zstd, pages of version 1 and the columns of the schema, and are as large as the log says', async () => {
    const folder = temporaryFolder();
    await written(folder);
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    for (const table of ['scopes', 'tags', 'runs'] as const) {
      for (const version of [0, 1]) {
        const log = readFileSync(join(folder, table, '_delta_log', `${String(version).padStart(20, '0')}.json`), 'utf8');
        const { add } = log
          .split('\n')
          .map((line) => JSON.parse(line || '{}'))
          .find((action) => action.add);
        const path = join(folder, table, add.path);
        expect(add.size).toBe(statSync(path).size);
        const ask = async (sql: string) => (await connection.runAndReadAll(sql, [path])).getRowsJson();
        expect((await ask('SELECT name FROM parquet_schema($1)')).flat().slice(1)).toEqual(Object.keys(schema[table]));
        const formats = `SELECT DISTINCT compression, encodings LIKE '%DELTA%' FROM parquet_metadata($1)`; // DELTA came with version 2
        expect(await ask(formats)).toEqual(version === 0 ? [] : [['ZSTD', false]]);
        expect(await ask('SELECT num_rows FROM parquet_file_metadata($1)')).toEqual([[String(JSON.parse(add.stats).numRecords)]]);
      }
    }
  });
});

describe('a batch', () => {
  test.each(tableNames)(
    'of which %s could not be committed is written whole by the next attempt, and seen once meanwhile',
    async (table) => {
      const folder = temporaryFolder();
      const store = opened(folder);
      const run = await claimRows(store, 'brave-otter');
      await store.write(await run.scope(9).batch());
      const batch = await run
        .event('started', 1_000)
        .scope(1)
        .tag(1, 0, 'a')
        .log(1, 0, 'b')
        .artifact(1, 0, 'c', { text: '1' })
        .edge(1, 2)
        .batch();
      const whole = [[1, 1, 1, 1, 2, 1]];
      expect(await selectIn(store, everywhere, [batch])).toEqual(whole);

      const append = Reflect.get<DeltaLog, 'append'>(DeltaLog.prototype, 'append');
      const failing = vi.spyOn(DeltaLog.prototype, 'append').mockImplementation(async function (this: DeltaLog, ...parts) {
        if (this.folder === join(folder, table)) throw new MarqueError('STORE_UNWRITABLE', 'the disk is full');
        return await append.apply(this, parts);
      });
      onTestFinished(() => failing.mockRestore());
      for (let attempt = 0; attempt < 2; attempt++) {
        await expect(store.write(batch)).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
        expect(await selectIn(store, everywhere, [batch])).toEqual(whole);
      }
      failing.mockRestore();
      // Others see nothing of it before `scopes` has it, and everything but its events from then on.
      expect(await selectIn(opened(folder), everywhere)).toEqual(table === 'runs' ? [[1, 1, 1, 1, 2, 0]] : [[0, 0, 0, 0, 1, 0]]);
      await store.write(batch);
      expect(await selectIn(store, everywhere, [batch])).toEqual(whole);
      expect(await selectIn(opened(folder), everywhere)).toEqual(whole);
      for (const each of tableNames) expect(readdirSync(join(folder, each)).filter((name) => name.startsWith('.'))).toEqual([]);
    },
  );

  test('whose segments cannot be written leaves nothing behind', async () => {
    const folder = temporaryFolder();
    const store = opened(folder);
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1).tag(1, 0, 'a').batch());
    renameSync(join(folder, 'tags'), join(folder, 'moved'));
    const batch = await run.scope(2).tag(2, 0, 'b').batch();
    const error = await store.write(batch).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'STORE_UNWRITABLE', cause: { message: expect.stringMatching(/^IO Error/) } });
    expect((error as Error).message).toMatch(
      /^"[^"]*" cannot be written: .*No such file or directory\. The rows are kept, and flush\(\) tries again$/,
    );
    renameSync(join(folder, 'moved'), join(folder, 'tags'));
    expect(await findIn(opened(folder))).toEqual([run.sid(1)]);
    await store.write(batch);
    expect(await findIn(opened(folder))).toEqual([run.sid(1), run.sid(2)]);
  });
});

describe('damage', () => {
  test('of a log entry is reported with its file by whoever reads the table or writes', async () => {
    const folder = temporaryFolder();
    const run = await written(folder);
    const file = join(folder, 'tags', '_delta_log', '00000000000000000001.json');
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -10));
    const damaged = { code: 'STORE_DAMAGED', message: expect.stringContaining(file) };
    await expect(selectIn(opened(folder), 'SELECT * FROM tags')).rejects.toMatchObject(damaged);
    await expect(opened(folder).write(await run.scope(3).tag(3, 0, 'c').batch())).rejects.toMatchObject(damaged);
  });

  test.each<TableName>(['tags', 'runs'])('by the loss of the log of %s is reported', async (table) => {
    const folder = temporaryFolder();
    await written(folder);
    rmSync(join(folder, table), { recursive: true });
    await expect(selectIn(opened(folder), `SELECT * FROM ${table}`)).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
      message: expect.stringContaining(join(folder, table)),
    });
  });

  const damages: [string, (path: string) => void][] = [
    ['its loss', (path) => rmSync(path)],
    ['its emptiness', (path) => writeFileSync(path, '')],
    ['another content', (path) => writeFileSync(path, 'x'.repeat(statSync(path).size))],
    [
      'bytes of its end',
      (path) => writeFileSync(path, readFileSync(path).fill(0xff, statSync(path).size - 200, statSync(path).size - 20)),
    ],
    ['bytes of its pages', (path) => writeFileSync(path, readFileSync(path).fill(0xff, 4, 60))],
  ];
  test.each(damages)('of a segment by %s is reported with its file, not answered without it', async (_label, damage) => {
    const folder = temporaryFolder();
    await written(folder);
    const [segment] = readdirSync(join(folder, 'tags')).filter((name) => name.includes('-0-1.'));
    const path = join(folder, 'tags', segment as string);
    damage(path);
    const damaged = { code: 'STORE_DAMAGED', message: expect.stringContaining(path) };
    await expect(selectIn(opened(folder), 'SELECT * FROM tags')).rejects.toMatchObject(damaged);
    await expect(findIn(opened(folder), { where: () => true })).rejects.toMatchObject(damaged);
    const snapshot = await opened(folder).snapshot([]);
    const [sid] = await snapshot.find(searchFor());
    await expect(snapshot.read([sid as number])).rejects.toMatchObject(damaged);
    await snapshot.release();
  });

  test('of a segment without rows is reported with its file', async () => {
    const folder = temporaryFolder();
    await written(folder);
    const path = join(folder, 'logs', 'empty.parquet');
    writeFileSync(path, '');
    const damaged = { code: 'STORE_DAMAGED', message: expect.stringContaining(path) };
    await expect(selectIn(opened(folder), 'SELECT * FROM logs')).rejects.toMatchObject(damaged);
    expect(await selectIn(opened(folder), 'SELECT count(*) FROM artifacts')).toEqual([[0]]);
  });

  test('is not what SQL says that names a file which is not there', async () => {
    const folder = temporaryFolder();
    await written(folder);
    const text = `FROM read_parquet('${folder}/tags/nothing.parquet')`;
    await expect(selectIn(opened(folder), text)).rejects.toMatchObject({ code: 'SQL_INVALID' });
  });
});

describe('a DuckDB that stopped at a fatal error', () => {
  /** Makes every database that has been opened since stop at its next statement once it is called, as DuckDB does. */
  function stopper(): () => void {
    const connect = vi.spyOn(Database.prototype, 'connect');
    onTestFinished(() => connect.mockRestore());
    return () => {
      connect.mock.settledResults.forEach(({ value }, call) => {
        const stopped = async () => {
          Object.defineProperty(connect.mock.contexts[call], 'isUsable', { value: false });
          throw new MarqueError('DATABASE_FAILED', 'the database in memory stopped at a fatal error');
        };
        Object.assign(value, { run: stopped, exclusive: stopped, select: stopped });
      });
    };
  }

  test('is opened again, for writing and for reading', async () => {
    const stop = stopper();
    const store = opened(temporaryFolder());
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1).batch());
    const snapshot = await store.snapshot([]);
    stop();
    const batch = await run.scope(2).batch();
    await expect(store.write(batch)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
    await expect(snapshot.find(searchFor())).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
    await store.write(batch);
    expect(await findIn(store)).toEqual([run.sid(1), run.sid(2)]);
    await snapshot.release();
  });
});

describe('closing', () => {
  test('waits for what is under way, and refuses what comes after', async () => {
    const folder = temporaryFolder();
    const store = new ParquetStore(folder, { threads: 1 });
    const run = await claimRows(store, 'brave-otter');
    const batch = await run.scope(1).batch();
    const writing = store.write(batch);
    const snapshot = store.snapshot([batch]);
    await store.close();
    await writing;
    await (await snapshot).release();
    for (const late of [
      () => store.write(batch),
      () => store.snapshot([]),
      () => store.claim({ uuid: 'u', flow: 'f', drawSlug: () => 'a-b' }),
    ]) {
      await expect(late()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    }
    expect(await findIn(opened(folder))).toEqual([run.sid(1)]);
  });

  test('of a store that was never used does nothing', async () => {
    const folder = join(temporaryFolder(), 'history');
    await new ParquetStore(folder).close();
    expect(existsSync(folder)).toBe(false);
  });
});

describe('a snapshot', () => {
  test('lets user SQL reach nothing outside of the store', async () => {
    const folder = join(temporaryFolder(), 'history');
    await written(folder);
    const secret = join(dirname(folder), 'secret.txt');
    writeFileSync(secret, 'secret');
    const snapshot = await opened(folder).snapshot([]);
    for (const path of [secret, join(folder, '..', 'secret.txt'), relative(process.cwd(), secret), '/etc/hostname']) {
      const statement = { text: 'SELECT content FROM read_text($1)', values: [path] };
      await expect(snapshot.select(statement)).rejects.toMatchObject({ code: 'SQL_INVALID' });
    }
    await snapshot.release();
  });

  test('answers queries side by side with others of the same store', async () => {
    const folder = temporaryFolder();
    const store = opened(folder);
    const run = await claimRows(store, 'brave-otter');
    const snapshots = [];
    for (let ordinal = 1; ordinal <= 5; ordinal++) {
      const unflushed = await run.scope(ordinal).batch();
      snapshots.push(await store.snapshot([unflushed]));
      await store.write(unflushed);
    }
    const found = await Promise.all([...snapshots, ...snapshots].map((snapshot) => snapshot.find(searchFor())));
    expect(found.map((sids) => sids.length)).toEqual([1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    await Promise.all(snapshots.map((snapshot) => snapshot.release()));
  });
});
