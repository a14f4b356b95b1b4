import { appendFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { TableName } from '../src/schema.ts';
import { fingerprint } from '../src/storage/checksum.ts';
import { checkSegments } from '../src/storage/damage.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { SegmentChecks } from '../src/storage/segment-checks.ts';
import { SegmentWriter } from '../src/storage/segment-writer.ts';
import type { Segment } from '../src/storage/table-state.ts';
import { segmentOf, twoRuns } from './damaged-stores.ts';
import { temporaryFolder } from './folders.ts';
import { storeIn, writeRun } from './parquet-history.ts';
import { opened } from './parquet-stores.ts';
import { claimRows, findIn, readIn, type RowMaker, selectIn } from './store-rows.ts';

test('damaged events of runs make nobody conclude that one has died: a warning names the file, and the write goes on', async () => {
  const folder = await twoRuns();
  const path = segmentOf(folder, 'runs', '000000000001-0-1');
  flip(path, 60);
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  onTestFinished(() => warned.mockRestore());
  await writeRun(storeIn(folder), 'deep-lynx', 1);
  expect(warned.mock.calls.map(([message]) => message)).toEqual([expect.stringContaining(basename(path))]);
  expect(await findIn(storeIn(folder), {})).toHaveLength(10);
});

const anyLog = { readCheckpoint: () => Promise.reject(new Error('there is no checkpoint')) };

/** A store of three runs with two scopes each, one segment a run and table; closed. */
async function threeRuns(folder: string): Promise<RowMaker[]> {
  const store = new ParquetStore(folder, { threads: 1 });
  const runs: RowMaker[] = [];
  for (const slug of ['a-a', 'b-b', 'c-c']) {
    const run = await claimRows(store, slug, `flow-${slug[0]}`);
    run
      .event('started', 1_000)
      .scope(1)
      .scope(2)
      .tag(1, 0, 'loss', 0.5)
      .log(1, 0, 'a line')
      .artifact(2, 0, 'data', { text: '1' });
    await store.write(await run.event('ended', 2_000, { state: 'finished' }).batch());
    runs.push(run);
  }
  await store.close();
  return runs;
}

async function segmentsOf(folder: string, table: TableName): Promise<readonly Segment[]> {
  return (await new DeltaLog(table, join(folder, table), anyLog).refresh()).segments;
}

/** The file with the rows that the n-th run has of a table. */
async function fileOf(folder: string, table: TableName, run: number): Promise<string> {
  const segment = (await segmentsOf(folder, table))[run];
  return join(folder, table, segment?.name as string);
}

function flip(path: string, offset: number): void {
  const content = readFileSync(path);
  content.writeUInt8((content.readUInt8(offset) + 1) % 256, offset);
  writeFileSync(path, content);
}

const damaged = (path: string, what = '') =>
  expect.objectContaining({ code: 'STORE_DAMAGED', message: expect.stringMatching(`${path.replaceAll('.', '\\.')}[^]*${what}`) });

describe('one flipped byte', () => {
  test('of a segment is found wherever it is, before a row is believed', async () => {
    const folder = temporaryFolder();
    await threeRuns(folder);
    const path = await fileOf(folder, 'scopes', 2);
    const original = readFileSync(path);
    for (const offset of [0, 4, 100, original.length >> 1, original.length - 20, original.length - 1]) {
      flip(path, offset);
      const store = new ParquetStore(folder, { threads: 1 });
      await expect(findIn(store)).rejects.toEqual(damaged(path, `bytes 0 to ${original.length - 1} are not what was written`));
      await expect(selectIn(store, 'SELECT sum(duration_ms) FROM scopes')).rejects.toEqual(damaged(path));
      await store.close();
      writeFileSync(path, original);
    }
    expect(await findIn(opened(folder))).toHaveLength(6);
  });

  test('is of no concern to queries that do not need the segment', async () => {
    const folder = temporaryFolder();
    const [first, second, third] = (await threeRuns(folder)) as [RowMaker, RowMaker, RowMaker];
    const path = await fileOf(folder, 'tags', 2);
    flip(path, 30);
    const store = opened(folder);
    expect(await findIn(store)).toHaveLength(6); // looks at no tag
    expect(await findIn(store, { runs: { kind: 'recent', back: 0, before: null } })).toEqual([third.sid(1), third.sid(2)]);
    expect(await readIn(store, [first.sid(1), third.sid(2)])).toHaveLength(2);
    expect(await selectIn(store, 'SELECT count(*) FROM scopes')).toEqual([[6]]);
    expect(await selectIn(store, `SELECT content FROM tags WHERE run = 'c-c'`)).toEqual([['loss']]);
    expect(await findIn(store, { flow: 'flow-a', where: ({ content }) => content === 'loss' })).toEqual([first.sid(1)]);
    expect(await findIn(store, { runs: { kind: 'recent', back: 0, before: null }, where: () => true })).toEqual([third.sid(1)]);

    await expect(selectIn(store, 'SELECT count(*) FROM tags')).rejects.toEqual(damaged(path));
    await expect(readIn(store, [second.sid(1)])).rejects.toEqual(damaged(path));
    await expect(findIn(store, { where: () => true })).rejects.toEqual(damaged(path));
    await expect(selectIn(store, `SELECT getvariable('snapshot')`)).rejects.toEqual(damaged(path));
    expect(await selectIn(store, 'SELECT count(*) FROM logs')).toEqual([[3]]);
  });

  test('of one of several segments that are wanted at the same time fails only those who need it', async () => {
    const folder = temporaryFolder();
    await threeRuns(folder);
    const segments = await segmentsOf(folder, 'scopes');
    flip(join(folder, 'scopes', segments[2]?.name as string), 30);
    const checks = new SegmentChecks(folder);
    const check = (some: readonly Segment[]) =>
      checks.check(new Map([['scopes', some]])).then(
        () => 'fine',
        (error) => error.code,
      );
    const [last, others] = [segments.slice(3), segments.toSpliced(2, 1)];
    const outcomes = [check(segments), check(last), check(others), check(segments), check(segments.slice(2, 3))];
    expect(await Promise.all(outcomes)).toEqual(['STORE_DAMAGED', 'fine', 'fine', 'STORE_DAMAGED', 'STORE_DAMAGED']);
  });
});

describe('a segment', () => {
  test.for<[string, (path: string) => void, string]>([
    ['cut short', (path) => truncateSync(path, 100), 'it ends at byte 100 of \\d+'],
    ['emptied', (path) => truncateSync(path, 0), 'it ends at byte 0 of \\d+'],
    ['grown', (path) => appendFileSync(path, 'x'), 'it goes on after byte \\d+'],
    ['missing', (path) => rmSync(path), 'is missing'],
  ])('%s is reported', async ([, damage, what]) => {
    const folder = temporaryFolder();
    await threeRuns(folder);
    const path = await fileOf(folder, 'scopes', 1);
    damage(path);
    await expect(findIn(opened(folder))).rejects.toEqual(damaged(path, what));
  });

  test('is read once to be checked, and again by the next reader', async () => {
    const folder = temporaryFolder();
    await threeRuns(folder);
    const segments = new Map([['scopes', await segmentsOf(folder, 'scopes')]] as const);
    const checks = new SegmentChecks(folder);
    await checks.check(segments);
    const path = await fileOf(folder, 'scopes', 1);
    flip(path, 30);
    await checks.check(segments);
    await expect(new SegmentChecks(folder).check(segments)).rejects.toEqual(damaged(path));
  });

  test('that was repaired is believed from then on', async () => {
    const folder = temporaryFolder();
    await threeRuns(folder);
    const path = await fileOf(folder, 'scopes', 1);
    renameSync(path, `${path}.away`);
    const store = opened(folder);
    await expect(findIn(store)).rejects.toEqual(damaged(path));
    renameSync(`${path}.away`, path);
    expect(await findIn(store)).toHaveLength(6);
  });

  test('that a vacuum has taken from under an old snapshot is called that', async () => {
    const folder = temporaryFolder();
    await threeRuns(folder);
    const store = opened(folder);
    const snapshot = await store.snapshot([]);
    onTestFinished(() => snapshot.release());
    const writer = await SegmentWriter.open(folder, { threads: 1 });
    const log = new DeltaLog('scopes', join(folder, 'scopes'), writer);
    const removed = (await log.refresh()).segments.slice(1);
    const merged = await writer.merge('scopes', removed);
    await log.replace({ operation: 'OPTIMIZE', removed, added: [merged as NonNullable<typeof merged>], dataChange: false });
    await writer.close();
    for (const { name } of removed) rmSync(join(folder, 'scopes', name));
    const words = 'older than the retention of a vacuum';
    await expect(snapshot.select({ text: 'FROM scopes', values: [] })).rejects.toThrow(words);
    expect(await selectIn(store, 'SELECT count(*) FROM scopes')).toEqual([[6]]);
  });
});

describe('checking many segments', () => {
  test('holds the event loop for a few milliseconds at most, and finds the one that is damaged', async () => {
    const folder = temporaryFolder();
    const files = [];
    for (let index = 0; index < 300; index++) {
      const name = `${index}.parquet`;
      writeFileSync(join(folder, name), Buffer.alloc(200_000, index));
      files.push({ name, ...(await fingerprint(join(folder, name))) });
    }
    const sound: string[] = [];
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 1);
    await checkSegments(folder, files, { sound: ({ name }) => void sound.push(name) });
    clearInterval(ticking);
    expect(sound).toHaveLength(300);
    expect(ticks).toBeGreaterThan(5);
    flip(join(folder, '299.parquet'), 199_999);
    await expect(checkSegments(folder, files)).rejects.toEqual(damaged(join(folder, '299.parquet')));
  });

  test('ends when nobody wants to know any more', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'a.parquet');
    writeFileSync(path, Buffer.alloc(2 ** 20 + 1));
    const file = { name: 'a.parquet', ...(await fingerprint(path)) };
    const files = Array.from({ length: 50 }, () => file);
    const ending = new AbortController();
    let sound = 0;
    const checking = checkSegments(folder, files, {
      signal: ending.signal,
      sound: () => {
        if (++sound === 3) ending.abort(new Error('enough'));
      },
    });
    await expect(checking).rejects.toThrow('enough');
    expect(sound).toBeLessThan(20);
  });
});
