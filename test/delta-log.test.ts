import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseActions } from '../src/storage/delta-actions.ts';
import { appendEntry, firstEntry, replaceEntry } from '../src/storage/delta-entry.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { batchOf, mergedName, type SegmentFile, segmentName } from '../src/storage/segment.ts';
import { temporaryFolder } from './folders.ts';

const empty: SegmentFile = { name: 'empty.parquet', bytes: 100, rows: 0, checksum: null, stats: {} };
const checksum = `sha256-mib:${'0123456789abcdef'.repeat(2)}`;

/** Logs in these tests are too short for a checkpoint. */
const noCheckpoints = { readCheckpoint: () => Promise.reject(new Error('there is no checkpoint')) };

function logOf(folder: string): DeltaLog {
  return new DeltaLog('tags', folder, noCheckpoints);
}

/** What another engine says of a version that it has written. */
const byAnother = { commitInfo: { timestamp: 7, operation: 'OPTIMIZE', engineInfo: 'another 1.0' } };

function fileOf(folder: string, version: number): string {
  return join(folder, '_delta_log', `${String(version).padStart(20, '0')}.json`);
}

function write(folder: string, version: number, ...actions: readonly (object | string)[]): void {
  mkdirSync(join(folder, '_delta_log'), { recursive: true });
  const lines = actions.map((action) => (typeof action === 'string' ? action : JSON.stringify(action)));
  writeFileSync(fileOf(folder, version), lines.join('\n'));
}

async function newLog(): Promise<DeltaLog> {
  const log = logOf(join(temporaryFolder(), 'tags'));
  await log.create(async () => empty);
  return log;
}

function segment(name: string): SegmentFile {
  return {
    name,
    bytes: 10,
    rows: 1,
    checksum,
    stats: { sid: { min: 3, max: 9, nulls: 0 }, step: { min: null, max: null, nulls: 1 } },
  };
}

/** A segment whose file is there, as a log wants it of what it is to name. */
function segmentIn(log: DeltaLog, name: string): SegmentFile {
  writeFileSync(join(log.folder, name), '');
  return segment(name);
}

describe('an entry', () => {
  test('of version 0 has the protocol, the columns and a segment without rows', () => {
    const actions = firstEntry('tags', empty, 5)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(actions[0]).toEqual({ protocol: { minReaderVersion: 1, minWriterVersion: 2 } });
    expect(actions[1].metaData).toMatchObject({
      partitionColumns: [],
      configuration: { 'marque.formatVersion': '2' },
      createdTime: 5,
    });
    expect(actions[2].add).toEqual({
      path: 'empty.parquet',
      partitionValues: {},
      size: 100,
      modificationTime: 5,
      dataChange: true,
      stats: '{"numRecords":0,"minValues":{},"maxValues":{},"nullCount":{}}',
    });
  });

  test.each([
    ['tags', 'sid long, flow string, run string, step string, seq integer, content string, value double'],
    ['logs', 'sid long, flow string, run string, step string, seq integer, level string, message string, logged_at timestamp'],
    [
      'artifacts',
      'sid long, flow string, run string, step string, seq integer, name string, codec string, text string, bytes binary',
    ],
  ] as const)('of version 0 declares the columns of %s in the types of Delta Lake', (table, columns) => {
    const [, { metaData }] = firstEntry(table, empty, 0)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { fields } = JSON.parse(metaData.schemaString) as { fields: { name: string; type: string }[] };
    expect(fields.map(({ name, type }) => `${name} ${type}`).join(', ')).toBe(columns);
  });

  test.each([
    ['with rows', segment('a-0-3.parquet')],
    ['without rows', null],
  ] as const)('of a batch %s reads back', (_name, added) => {
    const text = appendEntry('tags', { writer: 'a/0', number: 3 }, added, { tags: 7 }, 5);
    expect(parseActions('tags', text, 'f')).toEqual({
      added: added === null ? [] : [added],
      removed: [],
      batches: [{ writer: 'a/0', number: 3 }],
      metaData: undefined,
      formatVersion: undefined,
      protocol: undefined,
      committedAt: 5,
      operation: 'WRITE',
      rebuilt: [],
      needs: { tags: 7 },
      isOurs: true,
      isSigned: true,
    });
  });

  test('that replaces segments reads back, and says whether rows have changed', () => {
    const [old, merged] = [segment('a-0-1.parquet'), segment(mergedName())];
    const text = replaceEntry('tags', { operation: 'OPTIMIZE', removed: [old], added: [merged], dataChange: false }, {}, 5);
    expect(parseActions('tags', text, 'f')).toMatchObject({
      added: [merged],
      removed: [{ name: old.name, removedAt: 5 }],
      batches: [],
    });
    expect(text.match(/"dataChange":false/g)).toHaveLength(2);
  });

  test('of another engine may name files in percent code and hold actions unknown here', () => {
    const text = '{"remove":{"path":"a%20b.parquet"}}\n\n{"cdc":{}}\n{"add":{"path":"c.parquet","size":3}}';
    expect(parseActions('tags', text, 'f')).toMatchObject({
      added: [{ name: 'c.parquet', bytes: 3, rows: null, checksum: null, stats: {} }],
      removed: [{ name: 'a b.parquet' }],
      isSigned: false,
    });
  });

  test('with any part changed, cut off or zeroed is damaged, or not what we say it must be', () => {
    const text = appendEntry('tags', { writer: 'a/0', number: 3 }, segment('a-0-3.parquet'), { tags: 7 }, 5);
    const whole = parseActions('tags', text, 'f');
    const place = fc.nat(text.length - 1);
    const changed = fc.oneof(
      fc.tuple(place, fc.integer({ min: 1, max: 127 })).map(([at, flip]) => {
        const code = text.charCodeAt(at) ^ flip;
        return `${text.slice(0, at)}${String.fromCharCode(code)}${text.slice(at + 1)}`;
      }),
      place.map((at) => text.slice(0, at)),
      fc.tuple(place, place).map(([one, other]) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other) + 1];
        return text.slice(0, from) + '\0'.repeat(to - from) + text.slice(to);
      }),
    );
    fc.assert(
      fc.property(changed, (damaged) => {
        let read;
        try {
          read = parseActions('tags', damaged, 'f');
        } catch (error) {
          expect(error).toMatchObject({ code: 'STORE_DAMAGED' });
          return;
        }
        // Read without a checksum it must either be refused by the log, or say the same.
        expect(read.isSigned || !read.isOurs ? { ...read, isSigned: true, isOurs: true } : whole).toEqual(whole);
      }),
      { numRuns: 3_000, seed: 7 },
    );
  });

  test.each([
    ['', 'empty'],
    ['\n\n', 'empty'],
    ['{"add":', 'line 1 '],
    ['{"commitInfo":{}}\nnull', 'line 2 '],
    ['3', 'line 1 '],
    ['{"add":7}', 'line 1 '],
    ['{"add":{"path":"a"}}', 'line 1 '],
    ['{"add":{}}', 'line 1 '],
    ['{"add":{"path":""}}', 'line 1 '],
    ['{"add":{"path":"%"}}', 'line 1 '],
    ['{"remove":{"path":7}}', 'line 1 '],
    ['{"txn":{"appId":"a"}}', 'line 1 '],
    ['{"txn":{"version":1}}', 'line 1 '],
    ['{"metaData":3}', 'line 1 '],
    ['{"protocol":{}}', 'line 1 '],
    ['\0\0\0\0', 'line 1 '],
  ])('%j is damaged', (text, where) => {
    const damaged = {
      code: 'STORE_DAMAGED',
      message: expect.stringMatching(new RegExp(`"/store/0.json" is damaged: .*${where}`)),
    };
    expect(() => parseActions('tags', text, '/store/0.json')).toThrow(expect.objectContaining(damaged));
  });
});

describe('a log', () => {
  test('holds what was appended, in order, whoever reads it', async () => {
    const log = await newLog();
    expect(await log.append({ writer: 'a/0', number: 1 }, segmentIn(log, 'a-0-1.parquet'))).toBe(1);
    expect(await log.append({ writer: 'b/0', number: 1 }, null)).toBe(2);
    expect(await log.append({ writer: 'a/0', number: 2 }, segmentIn(log, 'a-0-2.parquet'))).toBe(3);
    for (const reader of [log, logOf(log.folder)]) {
      const state = await reader.refresh();
      expect(state.version).toBe(3);
      expect(state.segments).toEqual([
        { ...empty, batch: null },
        { ...segment('a-0-1.parquet'), batch: { writer: 'a/0', number: 1 } },
        { ...segment('a-0-2.parquet'), batch: { writer: 'a/0', number: 2 } },
      ]);
      const has = (writer: string, number: number) => state.has({ writer, number });
      expect([has('a/0', 1), has('a/0', 2), has('a/0', 3), has('b/0', 1), has('b/0', 2), has('c/0', 1)]).toEqual([
        true,
        true,
        false,
        true,
        false,
        false,
      ]);
    }
  });

  test('takes a batch once, however often and by whichever object it is appended', async () => {
    const log = await newLog();
    const id = { writer: 'a/0', number: 1 };
    for (const each of [log, log, logOf(log.folder)]) expect(await each.append(id, segmentIn(log, 'a-0-1.parquet'))).toBe(1);
    expect((await log.refresh()).version).toBe(1);
  });

  test('loses no append of several that race', async () => {
    const first = await newLog();
    const logs = [first, logOf(first.folder), logOf(first.folder)];
    const versions = await Promise.all(
      logs.flatMap((log, writer) =>
        Array.from({ length: 20 }, (_, index) => {
          const id = { writer: `w${writer}/0`, number: index + 1 };
          return log.append(id, segmentIn(log, `w${writer}-0-${index + 1}.parquet`));
        }),
      ),
    );
    expect(versions.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    const { segments } = await logOf(first.folder).refresh();
    expect(new Set(segments.map(({ name }) => name)).size).toBe(61);
    expect(readdirSync(join(first.folder, '_delta_log'))).toHaveLength(61);
  });

  test('gives states that later versions do not change', async () => {
    const log = await newLog();
    const before = await log.refresh();
    await log.append({ writer: 'a/0', number: 1 }, segmentIn(log, 'a-0-1.parquet'));
    expect(before.segments).toHaveLength(1);
    expect(before.has({ writer: 'a/0', number: 1 })).toBe(false);
    expect((await log.refresh()).has({ writer: 'a/0', number: 1 })).toBe(true);
  });

  test('reads only versions that it has not read yet', async () => {
    const log = await newLog();
    for (let number = 1; number <= 70; number++) await log.append({ writer: 'a/0', number }, null);
    const reader = logOf(log.folder);
    expect((await reader.refresh()).version).toBe(70);
    rmSync(fileOf(log.folder, 0));
    writeFileSync(fileOf(log.folder, 70), 'damaged');
    write(log.folder, 71, { add: { path: 'x.parquet', size: 1 } }, byAnother);
    expect((await reader.refresh()).version).toBe(71);
  });

  test('follows another engine that merges segments', async () => {
    const log = await newLog();
    await log.append({ writer: 'a/0', number: 1 }, segmentIn(log, 'a-0-1.parquet'));
    write(
      log.folder,
      2,
      { remove: { path: 'a-0-1.parquet' } },
      { add: { path: 'merged.parquet', size: 20 } },
      { txn: { appId: 'spark', version: 9 } },
      byAnother,
    );
    const { segments, has } = await log.refresh();
    expect(segments).toEqual([
      { ...empty, batch: null },
      { name: 'merged.parquet', bytes: 20, rows: null, checksum: null, stats: {}, batch: null },
    ]);
    expect(has({ writer: 'a/0', number: 1 })).toBe(true);
  });

  test('names the entry that is missing from its middle, and does not take it for the end', async () => {
    const log = await newLog();
    for (let number = 1; number <= 3; number++) await log.append({ writer: 'a/0', number }, null);
    rmSync(fileOf(log.folder, 2));
    const missing = { code: 'STORE_DAMAGED', message: expect.stringContaining(fileOf(log.folder, 2)) };
    await expect(logOf(log.folder).refresh()).rejects.toMatchObject(missing);
    await expect(logOf(log.folder).append({ writer: 'b/0', number: 1 }, null)).rejects.toMatchObject(missing);
  });

  test('cannot be appended to while it is gone, and can once it is back', async () => {
    const log = await newLog();
    const moved = join(log.folder, 'moved');
    await log.refresh();
    renameSync(join(log.folder, '_delta_log'), moved);
    const id = { writer: 'a/0', number: 1 };
    await expect(log.append(id, null)).rejects.toMatchObject({ code: 'STORE_PATH' });
    renameSync(moved, join(log.folder, '_delta_log'));
    expect(await log.append(id, null)).toBe(1);
  });

  const metaData = (configuration?: object) => ({ metaData: { schemaString: '{}', ...(configuration && { configuration }) } });
  const protocol = (minReaderVersion: number, minWriterVersion: number) => ({ protocol: { minReaderVersion, minWriterVersion } });
  const format = (version: string) => metaData({ 'marque.formatVersion': version });

  test.each<[string, readonly object[], string]>([
    ['of another program', [protocol(1, 2), metaData({})], 'STORE_PATH'],
    ['of another program, without configuration', [protocol(1, 2), metaData()], 'STORE_PATH'],
    ['that says nothing of itself', [protocol(1, 2)], 'STORE_PATH'],
    ['of a newer format', [protocol(1, 2), format('3')], 'STORE_FORMAT'],
    ['of a newer reader protocol', [protocol(3, 2), format('1')], 'STORE_FORMAT'],
    ['of a newer writer protocol', [protocol(1, 7), format('1')], 'STORE_FORMAT'],
    ['of a format that never was', [protocol(1, 2), format('x')], 'STORE_DAMAGED'],
  ])('%s is refused', async (_name, actions, code) => {
    const folder = join(temporaryFolder(), 'tags');
    write(folder, 0, ...actions);
    const refused = { code, message: expect.stringContaining(folder) };
    await expect(logOf(folder).exists()).rejects.toMatchObject(refused);
    await expect(logOf(folder).refresh()).rejects.toMatchObject(refused);
  });

  test('that was upgraded by a newer version while it was open is refused from then on', async () => {
    const log = await newLog();
    write(log.folder, 1, format('3'));
    await expect(log.append({ writer: 'a/0', number: 1 }, null)).rejects.toMatchObject({ code: 'STORE_FORMAT' });
    expect(readFileSync(fileOf(log.folder, 1), 'utf8')).toContain('"3"');
  });

  test('takes no entry of ours without a checksum, unless it is of the format that had none', async () => {
    const log = await newLog();
    write(log.folder, 1, { add: { path: 'x.parquet', size: 1 } });
    await expect(log.refresh()).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
      message: expect.stringContaining('checksum is missing'),
    });

    const folder = join(temporaryFolder(), 'tags');
    write(folder, 0, protocol(1, 2), format('1'), { add: { path: 'a-0-1.parquet', size: 1, stats: '{"numRecords":2}' } });
    write(folder, 1, { txn: { appId: 'a/0', version: 2 } }, { add: { path: 'a-0-2.parquet', size: 1 } });
    const old = logOf(folder);
    expect((await old.refresh()).segments.map(({ name, rows }) => [name, rows])).toEqual([
      ['a-0-1.parquet', 2],
      ['a-0-2.parquet', null],
    ]);
    await Promise.all([old.upgrade(), logOf(folder).upgrade()]);
    expect((await logOf(folder).refresh()).version).toBe(2);
    expect(JSON.parse(readFileSync(fileOf(folder, 2), 'utf8').split('\n')[0] as string)).toEqual({
      metaData: { schemaString: '{}', configuration: { 'marque.formatVersion': '2' } },
    });
    write(folder, 3, { add: { path: 'x.parquet', size: 1 } });
    await expect(logOf(folder).refresh()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  });

  test('of a newer format whose checksum does not fit may be damaged as well, and says so', async () => {
    const log = await newLog();
    const text = readFileSync(fileOf(log.folder, 0), 'utf8');
    writeFileSync(fileOf(log.folder, 0), text.replace('"marque.formatVersion":"2"', '"marque.formatVersion":"6"'));
    await expect(logOf(log.folder).refresh()).rejects.toMatchObject({
      code: 'STORE_FORMAT',
      message: expect.stringMatching(/0\.json" is of format 6, or damaged.*knows format 2: install a newer version, or else/),
    });
  });

  test('replaces segments that are there, and nothing where one of them has gone', async () => {
    const log = await newLog();
    const [one, two, merged] = [segmentIn(log, 'a-0-1.parquet'), segmentIn(log, 'a-0-2.parquet'), segmentIn(log, mergedName())];
    await log.append({ writer: 'a/0', number: 1 }, one);
    await log.append({ writer: 'a/0', number: 2 }, two);
    const merge = { operation: 'OPTIMIZE', removed: [one, two], added: [merged], dataChange: false } as const;
    expect(await logOf(log.folder).replace(merge)).toBe(3);
    expect(await log.replace(merge)).toBeNull();
    const { segments, has } = await log.refresh();
    expect(segments.map(({ name }) => name)).toEqual(['empty.parquet', merged.name]);
    expect(has({ writer: 'a/0', number: 2 })).toBe(true);
    expect((await log.replay()).tombstones.has(one.name)).toBe(true);
  });

  test('tells every state that it has had, by version and by time', async () => {
    const log = await newLog();
    for (let number = 1; number <= 40; number++)
      await log.append({ writer: 'a/0', number }, segmentIn(log, `a-0-${number}.parquet`));
    for (const version of [0, 1, 33, 40]) {
      const state = await log.at(version);
      expect([state.version, state.segments.length, state.has({ writer: 'a/0', number: version + 1 })]).toEqual([
        version,
        version + 1,
        false,
      ]);
      expect(await log.versionAt(await log.committedAt(version))).toBeGreaterThanOrEqual(version);
      expect(await log.versionAt((await log.committedAt(version)) - 1)).not.toBe(version);
    }
    expect(await log.versionAt(0)).toBeNull();
    expect(await log.versionAt(Number.MAX_SAFE_INTEGER)).toBe(40);
    await expect(log.at(41)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining('the last one is 40'),
    });
  });
});

describe('the name of a segment', () => {
  test('tells its batch, is never given twice, and says nothing where it holds several', () => {
    const id = { writer: '01a20387-8c9b-7056-8223-e53a14d0cf98/12', number: 345 };
    const names = Array.from({ length: 100 }, () => segmentName(id));
    expect(new Set(names).size).toBe(100);
    for (const name of names) expect(batchOf(name)).toEqual(id);
    expect(batchOf('01a20387-8c9b-7056-8223-e53a14d0cf98-12-345.parquet')).toEqual(id); // of format 1
    for (const name of ['empty.parquet', mergedName(), 'part-00000-c000.zstd.parquet']) expect(batchOf(name)).toBeNull();
  });
});
