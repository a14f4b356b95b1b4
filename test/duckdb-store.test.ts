import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { cp, link, mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Database } from '../src/duckdb.ts';
import { DuckDBStore } from '../src/storage/duckdb-store.ts';
import { describeStore } from './store-conformance.ts';
import { claimRows, findIn, RowMaker, searchFor, selectIn } from './store-rows.ts';

describeStore('DuckDBStore', (folder) => new DuckDBStore(join(folder, 'history.duckdb')));

describe('DuckDBStore', () => {
  let folder: string;
  let file: string;
  let stores: DuckDBStore[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'marque-duckdb-'));
    file = join(folder, 'history.duckdb');
    stores = [];
  });

  afterEach(async () => {
    for (const store of stores) await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  function opened(path = file): DuckDBStore {
    const store = new DuckDBStore(path);
    stores.push(store);
    return store;
  }

  async function closed(store: DuckDBStore): Promise<void> {
    stores.splice(stores.indexOf(store), 1);
    await store.close();
  }

  /** Runs text that has a `store` on the file and a `claimRows` in another process, and gives what it printed. */
  function child(text: string) {
    const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `
      import { DuckDBStore } from ${url('../src/storage/duckdb-store.ts')};
      import { claimRows } from ${url('./store-rows.ts')};
      const store = new DuckDBStore(process.argv[1]);
      ${text}`;
    return [process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, file]] as const;
  }

  /** What a process leaves that was killed after it had written so many batches of one scope each. */
  async function killedAfter(batches: number): Promise<void> {
    const text = `
      const run = await claimRows(store, 'brave-otter');
      for (let n = 1; n <= ${batches}; n++) await store.write(await run.scope(n).tag(n, 0, 'x'.repeat(50)).batch());
      process.kill(process.pid, 'SIGKILL');`;
    await promisify(execFile)(...child(text)).catch(() => undefined);
    expect(existsSync(`${file}.wal`)).toBe(true);
  }

  const firstRun = new RowMaker({ number: 1, slug: 'brave-otter' });

  test('leaves one file that others can open, with the views, beside what it acknowledged', async () => {
    const store = opened();
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.event('started', 1_000).scope(1).tag(1, 0, 'loss', 0.5).batch());
    await closed(store);
    expect(await readdir(folder)).toEqual(['history.duckdb', 'history.duckdb.acknowledged']);
    expect(JSON.parse(await readFile(`${file}.acknowledged`, 'utf8'))).toEqual({ batches: 1, claims: 1 });
    const database = await Database.open({ path: file });
    const connection = await database.connect();
    expect((await connection.run('SELECT id FROM scopes')).values).toEqual([['flow.step.brave-otter.0-1']]);
    expect((await connection.run('SELECT slug, state FROM runs')).values).toEqual([['brave-otter'], ['running']]);
    await database.close();
  });

  test('lets no SELECT read its file: that would let other processes in', async () => {
    const store = opened();
    await claimRows(store, 'brave-otter');
    for (const text of [`FROM read_blob('${file}')`, `FROM '${file}'`, `FROM glob('${folder}/*')`]) {
      await expect(selectIn(store, text)).rejects.toMatchObject({ code: 'SQL_INVALID' });
    }
  });

  test('keeps a snapshot the same through large batches and a checkpoint, which shortens the log', async () => {
    const store = opened();
    const run = await claimRows(store, 'brave-otter');
    const large = (ordinal: number) => {
      for (let seq = 0; seq < 150_000; seq++)
        run.tag(ordinal, seq, `metric ${(seq * 7_919) % 100_003} of ${ordinal}`, Math.sin(seq));
      return run.scope(ordinal).batch();
    };
    await store.write(await large(1));
    const snapshot = await store.snapshot([]);
    const counts = { text: 'SELECT count(*), count(DISTINCT sid), sum(seq)::DOUBLE FROM tags', values: [] };
    const before = (await snapshot.select(counts)).values;
    expect(before[0]).toEqual([150_000]);
    for (const ordinal of [2, 3, 4]) await store.write(await large(ordinal));
    const logged = async () => (await stat(`${file}.wal`).catch(() => ({ size: 0 }))).size;
    for (let n = 0; n < 100 && (await logged()) > 16 * 2 ** 20; n++) await sleep(50);
    expect(await logged()).toBeLessThan(16 * 2 ** 20);
    expect((await stat(file)).size).toBeGreaterThan(2 ** 20);
    expect((await snapshot.select(counts)).values).toEqual(before);
    expect(await snapshot.find(searchFor({ where: (tag) => tag.content.endsWith('of 2') }))).toEqual([]);
    await snapshot.release();
    expect(await selectIn(store, counts.text)).toEqual([[600_000, 4, expect.any(Number)]]);
  });

  test('takes nothing more once it is closed, and does not open the file again', async () => {
    const store = opened();
    const run = await claimRows(store, 'brave-otter');
    const batch = await run.scope(1).batch();
    await closed(store);
    for (const call of [() => store.write(batch), () => store.snapshot([]), () => claimRows(store, 'calm-heron')]) {
      await expect(call()).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    }
    expect(existsSync(`${file}.lock`)).toBe(false);
  });

  describe('is locked', () => {
    test('for a second object at once, also through links', async () => {
      await claimRows(opened(), 'brave-otter');
      await symlink(file, join(folder, 'symbolic.duckdb'));
      await symlink(folder, join(folder, 'folder'));
      await link(file, join(folder, 'hard.duckdb'));
      for (const path of [
        file,
        join(folder, 'symbolic.duckdb'),
        join(folder, 'folder', 'history.duckdb'),
        join(folder, 'hard.duckdb'),
      ]) {
        for (const attempt of [() => claimRows(opened(path), 'calm-heron'), () => findIn(opened(path))]) {
          await expect(attempt()).rejects.toMatchObject({ code: 'STORE_LOCKED' });
        }
      }
      await expect(findIn(opened())).rejects.toThrow(String(process.pid));
    });

    test('for another process, which is told the pid, and free once closed', async () => {
      const store = opened();
      await claimRows(store, 'brave-otter');
      const text = `await claimRows(store, 'calm-heron').then((run) => console.log(run.number), (error) => console.log(error.code, error.message)); await store.close();`;
      expect((await promisify(execFile)(...child(text))).stdout).toMatch(new RegExp(`^STORE_LOCKED .*process ${process.pid} `));
      await closed(store);
      expect((await promisify(execFile)(...child(text))).stdout).toBe('2\n');
    });

    test('by nobody once its process was killed: everything acknowledged is there, and the run stays claimed', async () => {
      await killedAfter(5);
      const store = opened();
      expect(await findIn(store)).toEqual([1, 2, 3, 4, 5].map((ordinal) => firstRun.sid(ordinal)));
      expect((await claimRows(store, 'calm-heron')).number).toBe(2);
    });
  });

  describe('notices that acknowledged batches are missing', () => {
    test('wherever a byte of the log is damaged', { timeout: 120_000 }, async () => {
      await killedAfter(4);
      const copy = join(folder, 'copy');
      const { size } = await stat(`${file}.wal`);
      const outcomes = new Map<string, number>();
      for (let part = 0; part < 40; part++) {
        await mkdir(copy);
        for (const ending of ['', '.wal', '.acknowledged']) await cp(`${file}${ending}`, join(copy, `history.duckdb${ending}`));
        const log = await open(join(copy, 'history.duckdb.wal'), 'r+');
        const position = Math.floor((part * size) / 40);
        const { buffer } = await log.read(Buffer.alloc(1), 0, 1, position);
        await log.write(Buffer.from([(buffer[0] as number) ^ 0x41]), 0, 1, position);
        await log.close();
        const store = opened(join(copy, 'history.duckdb'));
        const outcome = await findIn(store).then(
          (sids) => `found ${sids.length}`,
          (error: { code: string }) => error.code,
        );
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        await closed(store);
        await rm(copy, { recursive: true });
      }
      expect([...outcomes.keys()]).toEqual(['STORE_DAMAGED']);
    });

    const losses: [string, () => Promise<void>][] = [
      [
        'its end is cut off',
        async () =>
          (await open(`${file}.wal`, 'r+').then(async (log) => (await log.truncate((await log.stat()).size - 40), log))).close(),
      ],
      ['it is missing', () => rm(`${file}.wal`)],
    ];
    test.for(losses)('where %s, until told to go on with what is there', async ([, lose]) => {
      await killedAfter(4);
      await lose();
      for (let attempt = 0; attempt < 2; attempt++) {
        await expect(findIn(opened())).rejects.toMatchObject({
          code: 'STORE_DAMAGED',
          message: expect.stringContaining(`${file}.acknowledged`),
        });
      }
      await rm(`${file}.acknowledged`);
      expect((await findIn(opened())).length).toBeLessThan(4);
    });

    test('where what it acknowledged cannot be read', async () => {
      await killedAfter(1);
      await writeFile(`${file}.acknowledged`, '{"batches":');
      await expect(findIn(opened())).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    });

    test('but not where a batch was committed and its process killed before that was acknowledged', async () => {
      await killedAfter(2);
      await writeFile(`${file}.acknowledged`, '{"batches":1,"claims":1}');
      expect(await findIn(opened())).toHaveLength(2);
    });
  });

  test.for([0.2, 0.4, 0.6])('reports damage of its file with its name, at %d of its length', async (part) => {
    const store = opened();
    const run = await claimRows(store, 'brave-otter');
    const text = randomBytes(2 ** 20).toString('base64'); // most of the file
    await store.write(await run.scope(1).artifact(1, 0, 'a', { text }).batch());
    await closed(store);
    const content = await readFile(file);
    const position = Math.floor(part * content.length);
    content.writeUInt8(content.readUInt8(position) ^ 0x41, position);
    await writeFile(file, content);
    const damaged = { code: 'STORE_DAMAGED', message: expect.stringContaining(file) };
    const reader = opened();
    await expect(selectIn(reader, 'FROM artifacts')).rejects.toMatchObject(damaged);
    await expect(reader.snapshot([]).then((snapshot) => snapshot.read([run.sid(1)]))).rejects.toMatchObject(damaged);
  });

  test.for([0.1, 0.3, 0.5, 0.7])('reports a file that was cut short with its name, at %d of its length', async (part) => {
    const store = opened();
    const run = await claimRows(store, 'brave-otter');
    const text = randomBytes(2 ** 20).toString('base64'); // most of the file
    await store.write(await run.scope(1).artifact(1, 0, 'a', { text }).batch());
    await closed(store);
    await truncate(file, Math.floor(part * (await stat(file)).size));
    const damaged = { code: 'STORE_DAMAGED', message: expect.stringContaining(file) };
    await expect(selectIn(opened(), 'FROM artifacts')).rejects.toMatchObject(damaged);
  });

  describe.skipIf(!existsSync('/usr/bin/prlimit'))('on a full disk', () => {
    /** No file of this process may grow beyond this size, in bytes: as if the disk were full. */
    const limit = (bytes: number | 'unlimited') =>
      execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:unlimited`]);

    afterEach(() => limit('unlimited'));

    test('rejects a batch, loses nothing, and takes it once there is room', async () => {
      const store = opened();
      const run = await claimRows(store, 'brave-otter');
      await store.write(await run.scope(1).batch());
      const batch = await run
        .scope(2)
        .artifact(2, 0, 'a', { text: 'x'.repeat(3 * 2 ** 20) })
        .batch();
      limit(2 ** 20);
      await expect(store.write(batch)).rejects.toMatchObject({
        code: 'STORE_UNWRITABLE',
        message: expect.stringMatching(
          /^"[^"]*history\.duckdb" cannot be written: Could not write file .* The rows are kept, and flush\(\) tries again$/,
        ),
        cause: { message: expect.stringMatching(/^TransactionContext Error/) },
      });
      expect(await findIn(store, {}, [batch])).toEqual([run.sid(1), run.sid(2)]);
      limit('unlimited');
      await store.write(batch);
      await store.write(batch);
      expect(await findIn(store, {}, [batch])).toEqual([run.sid(1), run.sid(2)]);
      await closed(store);
      expect(await findIn(opened())).toEqual([run.sid(1), run.sid(2)]);
    });

    test('goes on where DuckDB gives up on its log: the next call opens the file again', async () => {
      const store = opened();
      const run = await claimRows(store, 'brave-otter');
      await store.write(
        await run
          .scope(1)
          .artifact(1, 0, 'a', { codec: 'bytes', bytes: randomBytes(20 * 2 ** 20) })
          .batch(),
      );
      limit(2 ** 20); // reached before the log, which is long now, goes into the file
      await sleep(500);
      limit('unlimited');
      await store.write(await run.scope(2).batch());
      await store.write(await run.scope(3).batch());
      expect(await findIn(store)).toEqual([1, 2, 3].map((ordinal) => run.sid(ordinal)));
      await closed(store);
      expect(await findIn(opened())).toHaveLength(3);
    });
  });

  describe('on opening', () => {
    test('makes nothing for a reader', async () => {
      await expect(findIn(opened())).rejects.toMatchObject({
        code: 'STORE_PATH',
        message: expect.stringContaining('there is no store'),
      });
      expect(await readdir(folder)).toEqual([]);
    });

    test('makes missing folders, and takes an empty file for none', async () => {
      const path = join(folder, 'not', 'yet', `it's "[1]" é.duckdb`);
      await claimRows(opened(path), 'brave-otter');
      await writeFile(file, '');
      await claimRows(opened(), 'brave-otter');
      expect(await findIn(opened(join(folder, 'missing.duckdb'))).catch(() => 'none')).toBe('none');
    });

    test.for(['live', 'Live', 'LIVE', 'live.rows', 'memory', 'system', 'temp', 'main', 'raws'])(
      'takes a file of the name %s',
      async (name) => {
        const store = opened(join(folder, `${name}.duckdb`));
        const run = await claimRows(store, 'brave-otter');
        const second = await run.scope(2).batch();
        await store.write(
          await run
            .scope(1, {})
            .batch()
            .then((batch) => ({ ...batch, id: { ...batch.id, number: 7 } })),
        );
        expect(await selectIn(store, 'SELECT count(*) FROM scopes', [second])).toEqual([[2]]);
      },
    );

    const refusals: [string, string, (path: string) => Promise<unknown>, RegExp][] = [
      ['a folder', 'STORE_PATH', (path) => mkdir(path), /is no file/],
      ['a text file', 'STORE_PATH', (path) => writeFile(path, 'hello '.repeat(5_000)), /not a DuckDB file/],
      ['a short file', 'STORE_PATH', (path) => writeFile(path, 'hello'), /not a DuckDB file/],
      [
        'a DuckDB file of somebody else',
        'STORE_PATH',
        (path) => scripted(path, 'CREATE TABLE t (a INT)'),
        /no store of this library/,
      ],
      ['a store of a newer format', 'STORE_FORMAT', (path) => stored(path, 'UPDATE raw.format SET version = 2'), /format 2/],
      ['a store without its format', 'STORE_DAMAGED', (path) => stored(path, 'DELETE FROM raw.format'), /raw\.format/],
      ['a store without a table', 'STORE_DAMAGED', (path) => stored(path, 'DROP TABLE raw.tags'), /raw\.tags/],
      ['a log whose file has gone', 'STORE_DAMAGED', (path) => writeFile(`${path}.wal`, 'rows'), /write-ahead log/],
      ['a device', 'STORE_PATH', (path) => symlink('/dev/null', path), /is no file/],
    ];
    test.for(refusals)('refuses %s with %s and leaves it as it was', async ([, code, prepare, message]) => {
      await prepare(file);
      const before = await contentOf();
      await expect(claimRows(opened(), 'brave-otter')).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
      expect(await contentOf()).toEqual(before);
    });

    test('refuses a path below a file, and one that cannot be written', async () => {
      await writeFile(join(folder, 'file'), '');
      await expect(claimRows(opened(join(folder, 'file', 'a.duckdb')), 'a-b')).rejects.toMatchObject({ code: 'STORE_PATH' });
      await expect(claimRows(opened('/proc/marque/a.duckdb'), 'a-b')).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
      await expect(claimRows(opened('/proc/a.duckdb'), 'a-b')).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
      for (const name of ['raw.duckdb', 'RAW', 'what?.duckdb', join('what?', 'a.duckdb')]) {
        await expect(claimRows(opened(join(folder, name)), 'a-b')).rejects.toMatchObject({ code: 'STORE_PATH' });
      }
      expect(await readdir(folder)).toEqual(['file']);
    });

    test('opens after a process was killed at any moment of making it', { timeout: 120_000 }, async () => {
      for (const delay of [0, 15, 30, 60, 120, 250]) {
        const process = spawn(
          ...child(`console.log('ready'); await claimRows(store, 'brave-otter'); setTimeout(() => {}, 60_000);`),
        );
        await once(process.stdout, 'data');
        await sleep(delay);
        process.kill('SIGKILL');
        await once(process, 'exit');
        const store = opened();
        await claimRows(store, `slug-${delay}`);
        expect(await findIn(store)).toEqual([]);
        await closed(store);
        for (const name of readdirSync(folder)) await rm(join(folder, name));
      }
    });

    async function scripted(path: string, text: string): Promise<void> {
      const database = await Database.open({ path });
      await (await database.connect()).script(`${text}; CHECKPOINT`);
      await database.close();
    }

    async function stored(path: string, text: string): Promise<void> {
      const store = new DuckDBStore(path);
      await claimRows(store, 'calm-heron');
      await store.close();
      await scripted(path, text);
    }

    async function contentOf(): Promise<unknown> {
      const files = (await readdir(folder)).map(async (name) => {
        const found = await stat(join(folder, name));
        return [name, found.isFile() ? await readFile(join(folder, name), 'base64') : 'folder'];
      });
      return await Promise.all(files);
    }
  });
});
