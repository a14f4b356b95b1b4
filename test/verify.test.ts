import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type TableName, tableNames } from '../src/schema.ts';
import { checkpointEvery, lastCheckpointVersion } from '../src/storage/checkpoint.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { createTables, logsIn } from '../src/storage/parquet-folder.ts';
import type { ParquetStore } from '../src/storage/parquet-store.ts';
import { segmentName } from '../src/storage/segment.ts';
import { SegmentWriter } from '../src/storage/segment-writer.ts';
import { temporaryFolder } from './folders.ts';
import { contentOf, entry, flip, segmentOf, twoRuns } from './damaged-stores.ts';
import { storageIn, storeIn, writeRun } from './parquet-history.ts';
import { claimRows, type RowMaker } from './store-rows.ts';

const first = '000000000001-0-2'; // the second batch of run 1

/** The stores of these tests have none that is needed. */
const noCheckpoints = { readCheckpoint: () => Promise.reject(new Error('there is no checkpoint')) };

describe('verify', () => {
  test('finds nothing wrong with a store that is as it was written, and changes nothing', async () => {
    const folder = await twoRuns();
    await storageIn(folder).compact();
    await storageIn(folder).deleteRuns('calm-heron');
    const before = contentOf(folder);
    expect(await storageIn(folder).verify()).toEqual({ ok: true, problems: [], notes: [] });
    expect(contentOf(folder)).toEqual(before);
  });

  test('goes on after each problem, and says where it is and whom it concerns', async () => {
    const folder = await twoRuns();
    const [tags, scopes, logs] = [
      segmentOf(folder, 'tags', first),
      segmentOf(folder, 'scopes', '000000000002-0-1'),
      segmentOf(folder, 'logs', first),
    ];
    flip(tags, 100);
    rmSync(scopes);
    truncateSync(logs, 50);
    truncateSync(entry(folder, 'edges', 2), 70);
    rmSync(entry(folder, 'artifacts', 1));
    writeFileSync(join(folder, '_runs', '1.json'), '{');
    const { ok, problems } = await storageIn(folder).verify();
    expect(ok).toBe(false);
    expect(problems.map(({ kind, file, table, what, runs }) => [kind, table, file, what, runs])).toEqual(
      [
        ['log', 'artifacts', entry(folder, 'artifacts', 1), 'it is missing', []],
        ['segment', 'tags', tags, expect.stringMatching(/^bytes 0 to \d+ are not what was written there$/), ['brave-otter']],
        ['segment', 'logs', logs, expect.stringMatching(/^it ends at byte 50 of \d+$/), ['brave-otter']],
        ['log', 'edges', entry(folder, 'edges', 2), expect.stringMatching(/^line 1 is no JSON/), []],
        ['segment', 'scopes', scopes, 'it is missing', ['calm-heron']],
        ['claim', null, join(folder, '_runs', '1.json'), expect.stringMatching(/no JSON/), []],
      ].map((row) => ((row[4] as string[]).includes('brave-otter') ? [...row.slice(0, 4), []] : row)),
    );
  });

  test('finds a changed byte anywhere in a log entry or a checkpoint', async () => {
    const folder = await twoRuns();
    const files = [entry(folder, 'tags', 1), join(folder, 'tags', '_delta_log', `${'0'.repeat(20)}.checkpoint.parquet`)];
    for (const file of files) {
      const whole = readFileSync(file);
      for (const at of [3, Math.floor(whole.length / 2), whole.length - 5]) {
        flip(file, at);
        const { problems } = await storageIn(folder).verify();
        expect(
          problems.map((problem) => problem.file),
          `${file} at ${at}`,
        ).toEqual([file]);
        writeFileSync(file, whole);
      }
    }
  });

  test('finds a version of a child that was the last, and one of scopes, by what the others say', async () => {
    const folder = await twoRuns();
    for (const table of ['tags', 'scopes']) {
      const copy = join(temporaryFolder(), 'history');
      cpSync(folder, copy, { recursive: true });
      rmSync(entry(copy, table, 4));
      const { problems } = await storageIn(copy).verify();
      expect(problems).toMatchObject([{ kind: 'log', table, file: entry(copy, table, 4), what: 'it is missing' }]);
    }
  });

  test('notes what is no fault: files of nobody, rows whose scope never ended', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await writeRun(store, 'brave-otter', 1);
    await store.write(await run.tag(77, 0, 'never ended').event('ended', 9_000).batch());
    writeFileSync(join(folder, 'tags', segmentName({ writer: 'x/0', number: 1 })), '');
    const { ok, notes } = await storageIn(folder).verify();
    expect(ok).toBe(true);
    expect(notes).toEqual([
      expect.stringMatching(/^1 files of tags are named by no version/),
      expect.stringMatching(/^1 rows of tags belong to steps of run brave-otter that never ended$/),
    ]);
  });

  test('finds rows that are there twice, and says in which files', async () => {
    const folder = await twoRuns();
    await storageIn(folder).compact();
    for (const table of ['scopes', 'tags'] as const) {
      const [merged, input] = [segmentOf(folder, table, '.merged'), segmentOf(folder, table, first)];
      const log = logsIn(folder, noCheckpoints)[table];
      const writer = await SegmentWriter.open(folder, { threads: 1 });
      const again = await writer.describe(table, input.slice(join(folder, table).length + 1));
      await writer.close();
      await log.replace({ operation: 'REPAIR', removed: [], added: [again], dataChange: true });
      const { problems } = await storageIn(folder).verify();
      const files = [merged, input].sort();
      expect(problems.filter((problem) => problem.table === table)[0]).toEqual({
        kind: 'segment',
        table,
        file: files[1],
        what: expect.stringMatching(`^2 of its rows are also in "${files[0]}", such as of sid \\d+$`),
        runs: ['brave-otter'],
      });
    }
  });

  test('finds claims of recorded runs that are missing', async () => {
    const folder = await twoRuns();
    rmSync(join(folder, '_runs', '1.json'));
    rmSync(join(folder, '_runs', 'calm-heron.json'));
    const { problems } = await storageIn(folder).verify();
    expect(problems).toEqual([
      {
        kind: 'claim',
        table: null,
        file: join(folder, '_runs', '1.json'),
        what: 'it is missing, although run 1, brave-otter, has been recorded',
        runs: ['brave-otter'],
      },
      expect.objectContaining({ kind: 'claim', file: join(folder, '_runs', 'calm-heron.json'), runs: ['calm-heron'] }),
    ]);
  });

  test.each([
    ['a run that begins, ends', async (store: ParquetStore) => void (await writeRun(store, 'deep-lynx', 1, { ends: true }))],
    [
      'a run goes on and ends',
      async (store: ParquetStore, run: RowMaker) => {
        await store.write(await run.scope(2).tag(2, 0, 'a').event('ended', 9_000).batch());
      },
    ],
  ])('does not say of steps that they never ended where %s between its looks at two tables', async (_name, happens) => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await writeRun(store, 'brave-otter', 1);
    const highest = Reflect.get<DeltaLog, 'highestVersion'>(DeltaLog.prototype, 'highestVersion');
    let isToCome = true;
    const spy = vi.spyOn(DeltaLog.prototype, 'highestVersion').mockImplementation(async function (this: DeltaLog) {
      if (this.table === 'tags' && isToCome) {
        isToCome = false; // `runs` and `scopes` have been read, `tags` has not
        await happens(store, run);
      }
      return await highest.call(this);
    });
    onTestFinished(() => spy.mockRestore());
    const { notes } = await storageIn(folder).verify();
    expect(notes.filter((note) => note.includes('never ended'))).toEqual([]);
    expect(isToCome).toBe(false);
  });

  test('does not take a checkpoint for damaged that a busy store writes while the versions are read', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await claimRows(store, 'brave-otter');
    const write = async (batch: number) => store.write(await run.scope(batch).batch());
    for (let batch = 1; batch < checkpointEvery; batch++) await write(batch);
    const log = join(folder, 'scopes', '_delta_log');
    const read = Reflect.get<DeltaLog, 'read'>(DeltaLog.prototype, 'read');
    let isToCome = true;
    const spy = vi.spyOn(DeltaLog.prototype, 'read').mockImplementation(async function (this: DeltaLog, version) {
      if (this.table === 'scopes' && version === 5 && isToCome) {
        isToCome = false;
        for (let batch = checkpointEvery; batch <= checkpointEvery + 1; batch++) await write(batch);
        await vi.waitFor(async () => expect(await lastCheckpointVersion(log)).toBe(checkpointEvery));
      }
      return await read.call(this, version);
    });
    onTestFinished(() => spy.mockRestore());
    expect((await storageIn(folder).verify()).problems).toEqual([]);
    expect(isToCome).toBe(false);
  });

  test('says of one damaged version of scopes no more than that', async () => {
    const folder = await twoRuns();
    truncateSync(entry(folder, 'scopes', 3), 40);
    expect((await storageIn(folder).verify()).problems).toMatchObject([{ table: 'scopes', file: entry(folder, 'scopes', 3) }]);
    expect((await storageIn(folder).repair()).done).toHaveLength(1);
  });

  test('may be asked while a flow writes and others compact, and cries no wolf', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const storage = storageIn(folder);
    await writeRun(store, 'brave-otter', 1);
    const writer = { isDone: false };
    const writing = writeRun(store, 'calm-heron', 25, { ends: true }).finally(() => (writer.isDone = true));
    while (!writer.isDone) {
      expect((await storage.verify()).problems).toEqual([]);
      await storageIn(folder).compact();
      await storageIn(folder).vacuum({ retention: 0 });
    }
    await writing;
    expect(await storage.verify()).toMatchObject({ ok: true });
  });

  test('works in a folder that cannot be written', async () => {
    const folder = await twoRuns();
    const folders = ['', ...tableNames, ...tableNames.map((table) => `${table}/_delta_log`)].map((name) => join(folder, name));
    for (const each of folders) chmodSync(each, 0o555);
    try {
      expect(await storageIn(folder).verify()).toMatchObject({ ok: true });
      expect(await storageIn(folder).asOf(2).ids()).toHaveLength(4);
      expect(await storageIn(folder).vacuum({ dryRun: true })).toEqual({ files: 0, bytes: 0 });
    } finally {
      for (const each of folders) chmodSync(each, 0o755);
    }
  });

  test('takes a store whose creation was interrupted before its table scopes for none, and the next process finishes it', async () => {
    for (const table of ['artifacts', 'edges', 'scopes'] as const) {
      const folder = join(temporaryFolder(), 'history');
      await expect(createUntil(folder, table)).rejects.toThrow('the process died');
      const none = { code: 'STORE_PATH', message: expect.stringContaining(`there is no store in "${folder}"`) };
      await expect(storageIn(folder).verify()).rejects.toMatchObject(none);
      await expect(storageIn(folder).repair()).rejects.toMatchObject(none);
      await writeRun(storeIn(folder), 'brave-otter', 1);
      expect(await storageIn(folder).verify()).toEqual({ ok: true, problems: [], notes: [] });
    }
  });

  test('notes that a store has no checkpoints yet, which its creation ends with', async () => {
    const folder = join(temporaryFolder(), 'history');
    await createUntil(folder, null);
    const { ok, notes } = await storageIn(folder).verify();
    expect(ok).toBe(true);
    expect(notes).toEqual(tableNames.map((table) => expect.stringMatching(`^${table} has no checkpoint yet`)));
    await writeRun(storeIn(folder), 'brave-otter', 1);
    expect(await storageIn(folder).verify()).toEqual({ ok: true, problems: [], notes: [] });
  });

  test('finds the first version of scopes missing where more has been stored', async () => {
    const folder = await twoRuns();
    for (const version of [0, 1, 2, 3, 4]) rmSync(entry(folder, 'scopes', version), { force: true });
    const { problems } = await storageIn(folder).verify();
    expect(problems).toContainEqual(
      expect.objectContaining({ kind: 'log', file: entry(folder, 'scopes', 0), what: 'it is missing' }),
    );
  });

  test('refuses a folder without a store', async () => {
    const folder = temporaryFolder();
    await expect(storageIn(folder).verify()).rejects.toMatchObject({ code: 'STORE_PATH' });
    writeFileSync(join(folder, 'mine.txt'), '');
    await expect(storageIn(folder).verify()).rejects.toMatchObject({ code: 'STORE_PATH' });
    await expect(storageIn(folder).repair()).rejects.toMatchObject({ code: 'STORE_PATH' });
  });
});

/** Makes the tables of a store up to one, exclusive, as a process that dies there. Checkpoints come later. */
async function createUntil(folder: string, last: TableName | null): Promise<void> {
  for (const table of tableNames) mkdirSync(join(folder, table), { recursive: true });
  const writer = await SegmentWriter.open(folder, { threads: 1 });
  try {
    await createTables(logsIn(folder, writer), async (table) => {
      if (table === last) throw new Error('the process died');
      return await writer.writeEmpty(table);
    });
  } finally {
    await writer.close();
  }
}
