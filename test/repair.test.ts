import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type TableName, tableNames } from '../src/schema.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { contentOf, entry, flip, segmentOf, twoRuns } from './damaged-stores.ts';
import { temporaryFolder } from './folders.ts';
import { everything, storageIn, storeIn, writeRun } from './parquet-history.ts';
import { isLarge } from './size.ts';
import { claimRows, selectIn } from './store-rows.ts';

const first = '000000000001-0-2'; // the second batch of run 1

describe('repair', () => {
  test('does nothing to a store that is as it was written', async () => {
    const folder = await twoRuns();
    const before = contentOf(folder);
    expect(await storageIn(folder).repair()).toEqual({ lost: [], done: [], left: [] });
    expect(contentOf(folder)).toEqual(before);
  });

  test('takes damaged and missing segments out, keeps them, and tells the runs what they lost', async () => {
    const folder = await twoRuns();
    const storage = storageIn(folder);
    const [tags, scopes] = [segmentOf(folder, 'tags', first), segmentOf(folder, 'scopes', '000000000002-0-1')];
    flip(tags, 100);
    rmSync(scopes);
    const damaged = readFileSync(tags);
    const { lost, done, left } = await storage.repair();
    expect(lost).toMatchObject([
      { table: 'tags', file: tags, rows: 2, runs: ['brave-otter'] },
      { table: 'scopes', file: scopes, rows: 2, runs: ['calm-heron'], what: 'it is missing' },
    ]);
    expect(done).toHaveLength(2);
    expect(left).toEqual([]);
    expect(readFileSync(join(folder, '_damaged', 'tags', tags.slice(join(folder, 'tags').length)))).toEqual(damaged);
    for (const each of [storage, storageIn(folder)]) {
      expect(await each.verify()).toMatchObject({ ok: true });
      expect(await each.sql`SELECT run, count(*) AS n FROM scopes GROUP BY run`).toEqual([{ run: 'brave-otter', n: 6 }]);
      expect(await each.sql`SELECT count(*) AS n FROM tags WHERE step IS NOT NULL`).toEqual([{ n: 4 }]);
      expect(await each.sql`SELECT run, level, seq, message FROM logs WHERE level = 'error' ORDER BY run`).toEqual([
        {
          run: 'brave-otter',
          level: 'error',
          seq: 1,
          message: expect.stringMatching(/took 2 rows out of tags, of scopes 3 to 4: ".*parquet": bytes 0/),
        },
        {
          run: 'calm-heron',
          level: 'error',
          seq: 1,
          message: expect.stringMatching(/took 2 rows out of scopes, of scopes 1 to 2: .*it is missing/),
        },
      ]);
    }
    expect(await storage.repair()).toEqual({ lost: [], done: [], left: [] });
  });

  const damages: readonly [string, (file: string) => void][] = [
    ['missing', (file) => rmSync(file)],
    ['empty', (file) => writeFileSync(file, '')],
    ['cut', (file) => truncateSync(file, 40)],
    ['without its end', (file) => truncateSync(file, statSync(file).size - 20)],
    [
      'flipped in its number of a batch',
      (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"version":', '"version":1')),
    ],
  ];
  const places = tableNames.flatMap((table) => [0, 2, 4].map((version) => [table, version] as const));
  /** In the small size each damage is done to another part of them. */
  const placesOf = (damage: unknown) =>
    places.filter((_, index) => isLarge || index % 7 === damages.findIndex((one) => one[1] === damage));
  test.each(damages)(
    'puts a log entry that is %s together again without losing a row',
    async (_name, damage) => {
      const folder = await twoRuns();
      const before = await everything(storageIn(folder));
      for (const [table, version] of placesOf(damage)) {
        const copy = join(temporaryFolder(), 'history');
        cpSync(folder, copy, { recursive: true });
        rmSync(join(copy, table, '_delta_log', '_last_checkpoint')); // so that it has to do without
        const file = entry(copy, table, version);
        damage(readdirSync(join(copy, table, '_delta_log')).includes(file.slice(-25)) ? file : entry(copy, table, 2));
        const result = await storageIn(copy).repair();
        expect(result.lost, `${table} ${version}`).toEqual([]);
        const opened = storageIn(copy);
        expect(await everything(opened), `${table} ${version} ${JSON.stringify(result.done)}`).toEqual(before);
        expect(await opened.verify(), `${table} ${version}`).toMatchObject({ ok: true });
        await opened.close();
      }
    },
    300_000,
  );

  test('puts entries together again that a checkpoint knows, and the checkpoint where it is damaged', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    const run = await claimRows(store, 'brave-otter');
    for (let batch = 1; batch <= 104; batch++) await store.write(await run.scope(batch).tag(batch, 0, 'a', batch).batch());
    await store.close();
    const tags = 'SELECT sid, value FROM tags ORDER BY sid';
    const before = await selectIn(storeIn(folder), tags);
    rmSync(entry(folder, 'tags', 30));
    writeFileSync(entry(folder, 'scopes', 50), '');
    writeFileSync(entry(folder, 'tags', 0), '{}');
    rmSync(join(folder, 'tags', 'empty.parquet'));
    const { lost, done } = await storageIn(folder).repair();
    expect(lost).toEqual([]);
    expect(done.filter((one) => one.includes('known from the checkpoint of version 100'))).toHaveLength(3);
    expect(await selectIn(storeIn(folder), tags)).toEqual(before);
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
    expect(await storageIn(folder).asOf(60).search('*').count()).toBeGreaterThan(55);

    const log = join(folder, 'tags', '_delta_log');
    const last = readdirSync(log).filter((one) => one.endsWith('.checkpoint.parquet'));
    flip(join(log, last.sort().at(-1) as string), 200);
    const again = await storageIn(folder).repair();
    expect(again.done).toEqual([expect.stringMatching(/^the checkpoint of tags was written anew/)]);
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
    expect(await selectIn(storeIn(folder), tags)).toEqual(before);
  });

  describe.each(['tags', 'scopes'] as const)('of a merge that the log of %s has lost', (table) => {
    test.each([
      ['lets its inputs count again', false, false],
      ['finds its rows where the inputs have gone', true, false],
      ['does not count rows twice that were merged once more', false, true],
      ['does not miss rows that were merged once more and whose first segments have gone', true, true],
    ])('%s', async (_name, vacuumed, mergedAgain) => {
      const folder = join(temporaryFolder(), 'history');
      const store = storeIn(folder);
      await writeRun(store, 'brave-otter', 3);
      await storageIn(folder).compact();
      if (mergedAgain) {
        await writeRun(store, 'calm-heron', 2);
        await storageIn(folder).compact();
      }
      await store.close();
      if (vacuumed) await storageIn(folder).vacuum({ retention: 0 });
      const before = await everything(storageIn(folder));
      rmSync(join(folder, table, '_delta_log', '_last_checkpoint'));
      rmSync(entry(folder, table, 4)); // the first compaction
      const result = await storageIn(folder).repair();
      expect(result.lost, JSON.stringify(result)).toEqual([]);
      expect(await everything(storageIn(folder)), JSON.stringify(result)).toEqual(before);
      expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
    });
  });

  test('that was stopped before its version goes on, and tells the runs once', async () => {
    const folder = await twoRuns();
    flip(segmentOf(folder, 'tags', first), 100);
    const stopped = vi.spyOn(DeltaLog.prototype, 'replace').mockRejectedValue(new Error('killed'));
    onTestFinished(() => stopped.mockRestore());
    await expect(storageIn(folder).repair()).rejects.toThrow('killed');
    await expect(storageIn(folder).sql`SELECT count(*) FROM tags`).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    stopped.mockRestore();
    expect((await storageIn(folder).repair()).lost).toHaveLength(1);
    const storage = storageIn(folder);
    expect(await storage.sql`SELECT count(*) AS n FROM logs WHERE level = 'error'`).toEqual([{ n: 1 }]);
    expect(await storage.verify()).toMatchObject({ ok: true });
  });

  test('does not bring back a run whose deletion the log has lost', async () => {
    const folder = await twoRuns();
    await storageIn(folder).deleteRuns('calm-heron');
    const [storage, before] = [storageIn(folder), await everything(storageIn(folder))];
    for (const table of ['scopes', 'tags'] as const) {
      const log = join(folder, table, '_delta_log');
      rmSync(join(log, '_last_checkpoint'));
      const last = readdirSync(log)
        .filter((name) => /^\d+\.json$/.test(name))
        .sort()
        .at(-1) as string;
      writeFileSync(join(log, last), '');
    }
    expect((await storage.repair()).lost).toEqual([]);
    expect(await everything(storage)).toEqual(before);
    expect(await storage.verify()).toMatchObject({ problems: [] });
  });

  test('leaves a segment out that cannot be read and whose log entry is lost, and goes on', async () => {
    const folder = await twoRuns();
    truncateSync(segmentOf(folder, 'tags', first), 60);
    rmSync(entry(folder, 'tags', 2));
    const { done } = await storageIn(folder).repair();
    expect(done).toEqual([
      expect.stringMatching(/0002\.json" \(it is missing\) was put together again: .*-0-2\..*cannot be read/),
    ]);
    const storage = storageIn(folder);
    expect(await storage.verify()).toMatchObject({ problems: [] });
    expect(await storage.sql`SELECT count(*) AS n FROM tags`).toEqual([{ n: 8 }]);
  });

  test('restores a claim from its other half, and keeps the name of one that has none', async () => {
    const folder = await twoRuns();
    const claims = join(folder, '_runs');
    const whole = readFileSync(join(claims, '1.json'), 'utf8');
    writeFileSync(join(claims, '1.json'), 'x');
    writeFileSync(join(claims, '2.json'), '');
    writeFileSync(join(claims, 'calm-heron.json'), '{}');
    expect((await storageIn(folder).repair()).done).toHaveLength(3);
    expect(readFileSync(join(claims, '1.json'), 'utf8')).toBe(whole);
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
    expect((await claimRows(storeIn(folder), 'deep-lynx')).number).toBe(3);
  });

  test('makes claims again that are lost, and no number is given twice before that either', async () => {
    const folder = await twoRuns();
    const claims = join(folder, '_runs');
    rmSync(claims, { recursive: true });
    expect((await claimRows(storeIn(folder), 'deep-lynx')).number).toBe(3);
    const { lost, done, left } = await storageIn(folder).repair();
    expect({ lost, left }).toEqual({ lost: [], left: [] });
    expect(done).toHaveLength(4);
    expect(JSON.parse(readFileSync(join(claims, '1.json'), 'utf8'))).toMatchObject({ number: 1, slug: 'brave-otter' });
    expect(JSON.parse(readFileSync(join(claims, 'calm-heron.json'), 'utf8'))).toMatchObject({ number: 2, flow: 'flow' });
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
    expect(await storageIn(folder).repair()).toEqual({ lost: [], done: [], left: [] });
    rmSync(join(claims, '3.json')); // of a run that nothing was recorded of
    expect((await claimRows(storeIn(folder), 'early-fox')).number).toBe(3);
  });

  test('leaves a run alone that was under way when its claim was lost: nobody can tell whether its process lives', async () => {
    const folder = join(temporaryFolder(), 'history');
    const long = storeIn(folder);
    const run = await claimRows(long, 'brave-otter');
    await long.write(await run.event('started', Date.now()).scope(1).batch());
    rmSync(join(folder, '_runs'), { recursive: true });
    await storageIn(folder).repair();
    await writeRun(storeIn(folder), 'calm-heron', 1, { ends: true });
    const states = () => storageIn(folder).sql`SELECT slug, state FROM runs ORDER BY slug`;
    expect(await states()).toEqual([
      { slug: 'brave-otter', state: 'running' },
      { slug: 'calm-heron', state: 'finished' },
    ]);
    await expect(storageIn(folder).deleteRuns('brave-otter')).rejects.toMatchObject({ code: 'RUN_ACTIVE' });
    const claim = join(folder, '_runs', '1.json');
    utimesSync(claim, new Date(0), new Date(0));
    expect(await states()).toMatchObject([{ slug: 'brave-otter', state: 'unknown' }, { slug: 'calm-heron' }]);
    await long.write(await run.event('ended', Date.now(), { state: 'finished' }).scope(2).batch());
    expect(await states()).toMatchObject([{ slug: 'brave-otter', state: 'finished' }, { slug: 'calm-heron' }]);
  });

  test.each<TableName>(['edges', 'tags', 'runs', 'scopes'])(
    'mends a store whose %s lost its only segment without rows',
    async (table) => {
      const folder = join(temporaryFolder(), 'history');
      const store = storeIn(folder);
      const run = await claimRows(store, 'brave-otter');
      await store.write(await run.scope(1).batch());
      await store.close();
      writeFileSync(join(folder, table, 'empty.parquet'), 'x');
      const storage = storageIn(folder);
      await storage.repair();
      expect(await storage.verify()).toMatchObject({ ok: true, problems: [] });
      await storage.compact();
      expect(await storage.ids()).toEqual(['flow.step.brave-otter.0-1']);
      await writeRun(storeIn(folder), 'calm-heron', 1, { ends: true });
      expect(await storage.verify()).toMatchObject({ ok: true });
    },
  );

  test('goes on where a merge is lost and one of the segments that it merged is damaged', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = storeIn(folder);
    await writeRun(store, 'brave-otter', 2);
    await storageIn(folder).compact();
    await writeRun(store, 'calm-heron', 1);
    await storageIn(folder).compact();
    const before = await everything(storageIn(folder));
    truncateSync(entry(folder, 'tags', 3), 40); // the first compaction
    truncateSync(segmentOf(folder, 'tags', '000000000001-0-1'), 100);
    expect(await storageIn(folder).repair()).toMatchObject({ lost: [], left: [] });
    expect(await everything(storageIn(folder))).toEqual(before);
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
  });

  test('is possible while a flow writes', async () => {
    const folder = await twoRuns();
    const before = (await storageIn(folder).sql`SELECT count(*) AS n FROM tags`) as { n: number }[];
    flip(segmentOf(folder, 'tags', first), 100);
    const store = storeIn(folder);
    const writing = writeRun(store, 'deep-lynx', 12, { ends: true });
    const { lost } = await storageIn(folder).repair();
    await writing;
    await store.close();
    expect(lost).toHaveLength(1);
    expect(await storageIn(folder).verify()).toMatchObject({ problems: [] });
    expect(await storageIn(folder).sql`SELECT count(*) AS n FROM tags`).toEqual([{ n: (before[0]?.n as number) - 2 + 25 }]);
  });
});
