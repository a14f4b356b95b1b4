import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { appendEntry, firstEntry, parseEntry } from '../src/storage/delta-entry.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { temporaryFolder } from './folders.ts';

const empty = { name: 'empty.parquet', bytes: 100, rows: 0 };

function fileOf(folder: string, version: number): string {
  return join(folder, '_delta_log', `${String(version).padStart(20, '0')}.json`);
}

function write(folder: string, version: number, ...actions: readonly (object | string)[]): void {
  mkdirSync(join(folder, '_delta_log'), { recursive: true });
  const lines = actions.map((action) => (typeof action === 'string' ? action : JSON.stringify(action)));
  writeFileSync(fileOf(folder, version), lines.join('\n'));
}

async function newLog(): Promise<DeltaLog> {
  const log = new DeltaLog(join(temporaryFolder(), 'tags'));
  await log.create('tags', async () => empty);
  return log;
}

function segment(name: string) {
  return { name, bytes: 10, rows: 1 };
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
      configuration: { 'marque.formatVersion': '1' },
      createdTime: 5,
    });
    expect(actions[2].add).toEqual({
      path: 'empty.parquet',
      partitionValues: {},
      size: 100,
      modificationTime: 5,
      dataChange: true,
      stats: '{"numRecords":0}',
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
    ['with rows', segment('a-0-3.parquet'), ['a-0-3.parquet']],
    ['without rows', null, []],
  ] as const)('of a batch %s reads back', (_name, added, names) => {
    const text = appendEntry({ writer: 'a/0', number: 3 }, added, { tags: 7 }, 5);
    expect(parseEntry(text, 'f')).toEqual({
      added: names,
      removed: [],
      batches: [{ writer: 'a/0', number: 3 }],
      formatVersion: undefined,
      protocol: undefined,
    });
    expect(text).toContain('"needs":{"tags":7}');
  });

  test('of another engine may name files in percent code and hold actions unknown here', () => {
    const text = '{"remove":{"path":"a%20b.parquet"}}\n\n{"cdc":{}}\n{"add":{"path":"c.parquet"}}';
    expect(parseEntry(text, 'f')).toMatchObject({ added: ['c.parquet'], removed: ['a b.parquet'] });
  });

  test.each([
    ['', 'empty'],
    ['\n\n', 'empty'],
    ['{"add":', 'line 1 '],
    ['{"commitInfo":{}}\nnull', 'line 2 '],
    ['3', 'line 1 '],
    ['{"add":null}', 'line 1 '],
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
    expect(() => parseEntry(text, '/store/0.json')).toThrow(expect.objectContaining(damaged));
  });
});

describe('a log', () => {
  test('holds what was appended, in order, whoever reads it', async () => {
    const log = await newLog();
    expect(await log.append({ writer: 'a/0', number: 1 }, segment('a-0-1.parquet'))).toBe(1);
    expect(await log.append({ writer: 'b/0', number: 1 }, null)).toBe(2);
    expect(await log.append({ writer: 'a/0', number: 2 }, segment('a-0-2.parquet'))).toBe(3);
    for (const reader of [log, new DeltaLog(log.folder)]) {
      const state = await reader.refresh();
      expect(state.version).toBe(3);
      expect(state.segments).toEqual([
        { name: 'empty.parquet', batch: null },
        { name: 'a-0-1.parquet', batch: { writer: 'a/0', number: 1 } },
        { name: 'a-0-2.parquet', batch: { writer: 'a/0', number: 2 } },
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
    for (const each of [log, log, new DeltaLog(log.folder)]) expect(await each.append(id, segment('a-0-1.parquet'))).toBe(1);
    expect((await log.refresh()).version).toBe(1);
  });

  test('loses no append of several that race', async () => {
    const first = await newLog();
    const logs = [first, new DeltaLog(first.folder), new DeltaLog(first.folder)];
    const versions = await Promise.all(
      logs.flatMap((log, writer) =>
        Array.from({ length: 20 }, (_, index) => {
          const id = { writer: `w${writer}/0`, number: index + 1 };
          return log.append(id, segment(`w${writer}-0-${index + 1}.parquet`));
        }),
      ),
    );
    expect(versions.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    const { segments } = await new DeltaLog(first.folder).refresh();
    expect(new Set(segments.map(({ name }) => name)).size).toBe(61);
    expect(readdirSync(join(first.folder, '_delta_log'))).toHaveLength(61);
  });

  test('gives states that later versions do not change', async () => {
    const log = await newLog();
    const before = await log.refresh();
    await log.append({ writer: 'a/0', number: 1 }, segment('a-0-1.parquet'));
    expect(before.segments).toHaveLength(1);
    expect(before.has({ writer: 'a/0', number: 1 })).toBe(false);
    expect((await log.refresh()).has({ writer: 'a/0', number: 1 })).toBe(true);
  });

  test('reads only versions that it has not read yet', async () => {
    const log = await newLog();
    for (let number = 1; number <= 70; number++) await log.append({ writer: 'a/0', number }, null);
    const reader = new DeltaLog(log.folder);
    expect((await reader.refresh()).version).toBe(70);
    rmSync(fileOf(log.folder, 0));
    writeFileSync(fileOf(log.folder, 70), 'damaged');
    write(log.folder, 71, { add: { path: 'x.parquet' } });
    expect((await reader.refresh()).version).toBe(71);
  });

  test('follows another engine that merges segments', async () => {
    const log = await newLog();
    await log.append({ writer: 'a/0', number: 1 }, segment('a-0-1.parquet'));
    write(
      log.folder,
      2,
      { remove: { path: 'a-0-1.parquet' } },
      { add: { path: 'merged.parquet' } },
      { txn: { appId: 'spark', version: 9 } },
    );
    const { segments, has } = await log.refresh();
    expect(segments).toEqual([
      { name: 'empty.parquet', batch: null },
      { name: 'merged.parquet', batch: null },
    ]);
    expect(has({ writer: 'a/0', number: 1 })).toBe(true);
  });

  test('names the entry that is missing from its middle, and does not take it for the end', async () => {
    const log = await newLog();
    for (let number = 1; number <= 3; number++) await log.append({ writer: 'a/0', number }, null);
    rmSync(fileOf(log.folder, 2));
    const missing = { code: 'STORE_DAMAGED', message: expect.stringContaining(fileOf(log.folder, 2)) };
    await expect(new DeltaLog(log.folder).refresh()).rejects.toMatchObject(missing);
    await expect(new DeltaLog(log.folder).append({ writer: 'b/0', number: 1 }, null)).rejects.toMatchObject(missing);
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
    ['of a newer format', [protocol(1, 2), format('2')], 'STORE_FORMAT'],
    ['of a newer reader protocol', [protocol(3, 2), format('1')], 'STORE_FORMAT'],
    ['of a newer writer protocol', [protocol(1, 7), format('1')], 'STORE_FORMAT'],
    ['of a format that never was', [protocol(1, 2), format('x')], 'STORE_DAMAGED'],
  ])('%s is refused', async (_name, actions, code) => {
    const folder = join(temporaryFolder(), 'tags');
    write(folder, 0, ...actions);
    const refused = { code, message: expect.stringContaining(folder) };
    await expect(new DeltaLog(folder).exists()).rejects.toMatchObject(refused);
    await expect(new DeltaLog(folder).refresh()).rejects.toMatchObject(refused);
  });

  test('that was upgraded by a newer version while it was open is refused from then on', async () => {
    const log = await newLog();
    write(log.folder, 1, format('2'));
    await expect(log.append({ writer: 'a/0', number: 1 }, null)).rejects.toMatchObject({ code: 'STORE_FORMAT' });
    expect(readFileSync(fileOf(log.folder, 1), 'utf8')).toContain('"2"');
  });
});
