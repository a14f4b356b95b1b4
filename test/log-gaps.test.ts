import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { tableNames } from '../src/schema.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { childTables } from '../src/storage/scope-rows.ts';
import { contentOf, entry, twoRuns } from './damaged-stores.ts';
import { temporaryFolder } from './folders.ts';
import { everything, storageIn, storeIn, writeRun } from './parquet-history.ts';
import { everywhere, plainly } from './parquet-stores.ts';
import { claimRows, findIn, RowMaker, selectIn } from './store-rows.ts';

/** What a claim says of a process that has ended. */
const dead = { pid: 2 ** 22 - 1, processStartedAt: 1 };

const counts = 'SELECT count(*) FROM ';

/** A closed store of so many batches, each with a scope and a tag. */
async function batches(count: number): Promise<string> {
  const folder = join(temporaryFolder(), 'history');
  const store = storeIn(folder);
  const run = await claimRows(store, 'brave-otter');
  for (let batch = 1; batch <= count; batch++) await store.write(await run.scope(batch).tag(batch, 0, 'a', batch).batch());
  await store.close();
  return folder;
}

function missing(file: string): object {
  return { code: 'STORE_DAMAGED', message: expect.stringContaining(`${file}" is missing`) };
}

/** That reading and writing fail again and again, whichever comes first, and that nothing takes the place of the entry. */
async function expectMissing(folder: string, file: string, sql: string): Promise<void> {
  for (const first of ['read', 'write']) {
    const store = storeIn(folder);
    const run = await claimRows(store, `new-${first}`);
    const batch = await run.event('started', 5).scope(1).tag(1, 0, 'new').batch();
    for (const kind of first === 'read' ? ['read', 'read', 'write', 'read'] : ['write', 'write', 'read', 'write']) {
      await expect(kind === 'read' ? selectIn(store, sql) : store.write(batch), kind).rejects.toMatchObject(missing(file));
    }
    await store.close();
  }
  expect(existsSync(file)).toBe(false);
}

describe('a log with a gap', () => {
  test.each(tableNames)('of the table %s is refused however often it is read or written', async (table) => {
    const folder = await twoRuns();
    rmSync(entry(folder, table, 2));
    await expectMissing(folder, entry(folder, table, 2), `${counts} raw.${table}`);
  });

  test('after a checkpoint is refused however often it is read or written', async () => {
    const folder = await batches(104);
    for (const table of ['scopes', 'tags']) {
      const copy = join(temporaryFolder(), 'history');
      cpSync(folder, copy, { recursive: true });
      rmSync(entry(copy, table, 103));
      await expectMissing(copy, entry(copy, table, 103), `${counts} raw.${table}`);
    }
  });

  test('is not filled by who settles first what a dead process has left', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 3);
    await store.close();
    reclaim(folder, dead);
    rmSync(entry(folder, 'logs', 2));
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    onTestFinished(() => warned.mockRestore());
    await expectMissing(folder, entry(folder, 'logs', 2), `${counts} raw.logs`);
  });

  test('that comes about after it was read is refused, and not filled', async () => {
    const folder = join(await batches(1), 'tags');
    const make = () => new DeltaLog('tags', folder, { readCheckpoint: () => Promise.reject(new Error('there is none')) });
    const [reader, writer, other] = [make(), make(), make()];
    for (const log of [reader, writer]) expect((await log.refresh()).version).toBe(1);
    for (let number = 1; number <= 4; number++) await other.append({ writer: 'a/0', number }, null);
    const [second, third] = [
      join(folder, '_delta_log', `${'2'.padStart(20, '0')}.json`),
      join(folder, '_delta_log', `${'3'.padStart(20, '0')}.json`),
    ];
    rmSync(second);
    await expect(reader.refresh()).rejects.toMatchObject(missing(second));
    rmSync(third);
    for (let time = 0; time < 2; time++) {
      await expect(writer.append({ writer: 'b/0', number: 1 }, null)).rejects.toMatchObject(missing(second));
    }
    expect(existsSync(second)).toBe(false);
  });

  test('is refused by open.sql, which names its folder', async () => {
    const folder = await batches(104);
    const sql = join(folder, 'open.sql');
    expect(await plainly(everywhere, sql)).toEqual(
      [['104', '104', '0', '0', '104', '0'].map(String)].map((row) => expect.arrayContaining(row)),
    );
    const log = join(folder, 'tags', '_delta_log');
    for (const version of [100, 102]) {
      const file = entry(folder, 'tags', version);
      const text = readFileSync(file);
      rmSync(file);
      await expect(plainly(everywhere, sql)).rejects.toThrow(`an entry is missing from the log ${log}`);
      writeFileSync(file, text);
    }
    for (const version of [100, 101, 102, 103, 104]) rmSync(entry(folder, 'tags', version));
    await expect(plainly(everywhere, sql)).rejects.toThrow(`an entry is missing from the log ${log}`);
  });
});

describe('a log that ends too early', () => {
  test.each(childTables)('is noticed in the table %s by what scopes says, and not gone on with', async (table) => {
    const folder = await twoRuns();
    const log = join(folder, table, '_delta_log');
    const last = entry(folder, table, readdirSync(log).filter((name) => /^\d+\.json$/.test(name)).length - 1);
    rmSync(last);
    await expectMissing(folder, last, `${counts} raw.${table}`);
  });

  test('is noticed where scopes is read from a checkpoint', async () => {
    const folder = await batches(100);
    rmSync(join(folder, 'tags', '_delta_log', '_last_checkpoint'));
    rmSync(entry(folder, 'tags', 100));
    await expectMissing(folder, entry(folder, 'tags', 100), `${counts} raw.tags`);
  });

  test('is noticed in scopes by what merged segments of the others need', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 3);
    await storageIn(folder).compact();
    await store.close();
    for (const version of [3, 4]) rmSync(entry(folder, 'scopes', version));
    await expectMissing(folder, entry(folder, 'scopes', 3), `${counts} scopes`);
  });
});

describe('a damaged log', () => {
  test.each(['tags', 'logs', 'artifacts', 'edges', 'runs'] as const)(
    'of %s stops no query that does without it, and every write',
    async (table) => {
      const folder = await twoRuns();
      const before = await findIn(storeIn(folder));
      for (const version of [0, 3]) {
        const copy = join(temporaryFolder(), 'history');
        cpSync(folder, copy, { recursive: true });
        const file = entry(copy, table, version);
        writeFileSync(file, 'x');
        const damaged = { code: 'STORE_DAMAGED', message: expect.stringContaining(file) };
        const [store, storage] = [storeIn(copy), storageIn(copy)];
        for (let time = 0; time < 2; time++) {
          expect(await findIn(store)).toEqual(before);
          for (const other of tableNames) {
            const asked = selectIn(store, `${counts} raw.${other}`);
            if (other === table) await expect(asked).rejects.toMatchObject(damaged);
            else expect(await asked).toHaveLength(1);
          }
        }
        if (table !== 'runs' && table !== 'edges') {
          await expect(storage.search('*').first()).rejects.toMatchObject(damaged); // a scope with all that is its
        }
        const run = await claimRows(store, 'deep-lynx');
        await expect(store.write(await run.scope(1).batch())).rejects.toMatchObject(damaged);
        for (const each of [store, storage]) await each.close();
      }
    },
  );

  test('of scopes stops every query but of the raw events of runs', async () => {
    const folder = await twoRuns();
    writeFileSync(entry(folder, 'scopes', 2), 'x');
    const store = storeIn(folder);
    const damaged = { code: 'STORE_DAMAGED', message: expect.stringContaining(entry(folder, 'scopes', 2)) };
    await expect(findIn(store)).rejects.toMatchObject(damaged);
    await expect(storageIn(folder).search('*', { runs: 'latest' }).ids()).rejects.toMatchObject(damaged);
    await expect(selectIn(store, `${counts} raw.tags`)).rejects.toMatchObject(damaged);
    expect(await selectIn(store, `${counts} raw.runs`)).toEqual([[4]]);
  });
});

describe('a store whose scopes have no beginning any more', () => {
  const losses: readonly (readonly [string, (folder: string) => void])[] = [
    ['their folder is gone', (folder) => rmSync(join(folder, 'scopes'), { recursive: true })],
    ['their log is gone', (folder) => rmSync(join(folder, 'scopes', '_delta_log'), { recursive: true })],
    ['the first entry is gone', (folder) => rmSync(entry(folder, 'scopes', 0))],
    [
      'no other table is left',
      (folder) => {
        for (const table of tableNames)
          rmSync(table === 'scopes' ? entry(folder, table, 0) : join(folder, table), { recursive: true });
      },
    ],
    [
      'only their segments are left',
      (folder) => {
        for (const table of tableNames) rmSync(join(folder, table, table === 'scopes' ? '_delta_log' : ''), { recursive: true });
      },
    ],
  ];
  test.each(losses)('is neither begun anew nor taken for something else where %s', async (_name, lose) => {
    const folder = await twoRuns();
    lose(folder);
    writeFileSync(join(folder, 'notes.md'), 'a store may hold other things');
    const before = contentOf(folder);
    const damaged = { code: 'STORE_DAMAGED', message: expect.stringMatching(/scopes.*00000\.json" is missing.*repair\(\)/) };
    const store = storeIn(folder);
    for (let time = 0; time < 2; time++) {
      await expect(store.snapshot([])).rejects.toMatchObject(damaged);
      await expect(claimRows(store, 'deep-lynx')).rejects.toMatchObject(damaged);
    }
    const { ok, problems } = await storageIn(folder).verify();
    expect(ok).toBe(false);
    expect(problems.map(({ file }) => file)).toContain(entry(folder, 'scopes', 0));
    expect(contentOf(folder)).toEqual(before);
  });

  test('is repaired without loss where their segments are there', async () => {
    const folder = await twoRuns();
    const before = await everything(storageIn(folder));
    rmSync(entry(folder, 'scopes', 0));
    expect((await storageIn(folder).repair()).lost).toEqual([]);
    expect(await everything(storageIn(folder))).toEqual(before);
  });

  test('says after a repair that all scopes are lost where their folder is gone', async () => {
    const folder = await twoRuns();
    reclaim(folder);
    rmSync(join(folder, 'scopes'), { recursive: true });
    const storage = storageIn(folder);
    const { lost } = await storage.repair();
    expect(lost).toEqual([
      {
        table: 'scopes',
        file: join(folder, 'scopes'),
        rows: null,
        runs: ['brave-otter', 'calm-heron'],
        from: null,
        to: null,
        what: expect.stringContaining('all scopes'),
      },
    ]);
    expect(await storage.verify()).toMatchObject({ problems: [] });
    expect(await storage.sql`SELECT run, message FROM logs WHERE level = 'error' ORDER BY run`).toMatchObject([
      { run: 'brave-otter', message: expect.stringContaining('all scopes') },
      { run: 'calm-heron' },
    ]);
    expect(await storage.repair()).toEqual({ lost: [], done: [], left: [] });
  });

  test('says the same of another table', async () => {
    const folder = await twoRuns();
    reclaim(folder);
    rmSync(join(folder, 'tags'), { recursive: true });
    await expect(storageIn(folder).sql`SELECT count(*) FROM tags`).rejects.toMatchObject(missing(entry(folder, 'tags', 0)));
    expect((await storageIn(folder).repair()).lost).toMatchObject([{ table: 'tags', runs: ['brave-otter', 'calm-heron'] }]);
  });
});

describe('the format of an older store', () => {
  const formatOf = (folder: string) =>
    tableNames.map((table) =>
      readdirSync(join(folder, table, '_delta_log'))
        .map((name) => /"marque\.formatVersion\W+2/.test(readFileSync(join(folder, table, '_delta_log', name), 'latin1')))
        .some(Boolean),
    );

  test('is raised by a write, and by nothing else', async () => {
    const folder = await twoRuns();
    toFirstFormat(folder);
    const storage = storageIn(folder);
    await everything(storage);
    expect(await storage.verify()).toMatchObject({ ok: true, problems: [] });
    await storage.compact();
    expect(formatOf(folder)).toEqual(tableNames.map(() => false));
    await storage.close();
    await writeRun(storeIn(folder), 'deep-lynx', 1);
    expect(formatOf(folder)).toEqual(tableNames.map(() => true));
    expect(await storageIn(folder).verify()).toMatchObject({ ok: true });
  });

  test('stays while another process has a run under way, and the store is written nevertheless', async () => {
    const folder = await twoRuns();
    toFirstFormat(folder);
    reclaim(folder, { pid: process.ppid, processStartedAt: null });
    await writeRun(storeIn(folder), 'deep-lynx', 1);
    expect(formatOf(folder)).toEqual(tableNames.map(() => false));
    reclaim(folder, dead);
    await writeRun(storeIn(folder), 'eager-mole', 1);
    expect(formatOf(folder)).toEqual(tableNames.map(() => true));
    expect(await storageIn(folder).search('*', { runs: 'all' }).count()).toBe(12);
  });
});

test('the times of versions never go back, also where a log goes on from a checkpoint of a process whose clock was ahead', async () => {
  const ahead = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000);
  onTestFinished(() => ahead.mockRestore());
  const folder = await batches(100);
  ahead.mockRestore();
  const store = storeIn(folder);
  await writeRun(store, 'calm-heron', 1);
  const times = await store.inspect(async (_folder, logs) => [
    await logs.scopes.committedAt(100),
    await logs.scopes.committedAt(101),
  ]);
  expect(times[1]).toBe(times[0]);
});

/** Makes the claims of a store be of the runs that `writeRun` makes up, with what else they are to say. */
function reclaim(folder: string, more: object = {}): void {
  const claims = join(folder, '_runs');
  for (const name of readdirSync(claims)) {
    const claim = JSON.parse(readFileSync(join(claims, name), 'utf8')) as { readonly number: number };
    writeFileSync(join(claims, name), JSON.stringify({ ...claim, uuid: new RowMaker({ ...claim, slug: '' }).uuid, ...more }));
  }
}

/** Makes of a store what the first format was: without checksums, and without checkpoints. */
function toFirstFormat(folder: string): void {
  for (const table of tableNames) {
    const log = join(folder, table, '_delta_log');
    for (const name of readdirSync(log)) {
      const path = join(log, name);
      if (!/^\d+\.json$/.test(name)) {
        rmSync(path);
        continue;
      }
      const text = readFileSync(path, 'utf8')
        .replace(/,"checksum":"[0-9a-f]{32}"\}\}\n$/, '}}\n')
        .replace(/,"tags":\{[^}]*\}/g, '');
      writeFileSync(path, text.replace('"marque.formatVersion":"2"', '"marque.formatVersion":"1"'));
    }
  }
}
