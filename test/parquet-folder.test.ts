import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { tableNames } from '../src/schema.ts';
import { createTables, isStore, logsIn } from '../src/storage/parquet-folder.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { SegmentWriter } from '../src/storage/segment-writer.ts';
import { temporaryFolder } from './folders.ts';
import { codeOf, everywhere, opened, plainly, root, written } from './parquet-stores.ts';
import { claimRows, findIn, RowMaker, selectIn } from './store-rows.ts';

describe('the folder', () => {
  test('is not touched before something is claimed or written', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = opened(folder);
    await expect(store.snapshot([])).rejects.toMatchObject({ code: 'STORE_PATH', message: expect.stringContaining(folder) });
    expect(existsSync(folder)).toBe(false);
  });

  test('is asked for a run before DuckDB is loaded', async () => {
    const folder = join(temporaryFolder(), 'history');
    const script = `import { ParquetStore } from './src/storage/parquet-store.ts';
      const store = new ParquetStore(${JSON.stringify(folder)});
      await store.claim({ uuid: 'u', flow: 'f', drawSlug: () => 'brave-otter' });
      await store.close();
      console.log(process.report.getReport().sharedObjects.filter((path) => path.includes('duckdb')).length);`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { cwd: root });
    expect((await text(child.stdout)).trim()).toBe('0');
    expect(readdirSync(join(folder, '_runs')).sort()).toEqual(['1.json', 'brave-otter.json']);
  });

  test('shows a run that has written nothing as an empty store to itself, and as none to others', async () => {
    const folder = join(temporaryFolder(), 'history');
    const store = opened(folder);
    await claimRows(store, 'brave-otter');
    await expect(opened(folder).snapshot([])).rejects.toMatchObject({ code: 'STORE_PATH' });
    expect(await selectIn(store, everywhere)).toEqual([[0, 0, 0, 0, 0, 0]]);
  });

  test('holds a table each, the claims, and how to open it', async () => {
    const folder = join(temporaryFolder(), 'deep', 'down', 'history');
    await written(folder);
    expect(readdirSync(folder).sort()).toEqual(['_runs', 'artifacts', 'edges', 'logs', 'open.sql', 'runs', 'scopes', 'tags']);
    expect(readdirSync(join(folder, 'tags')).sort()).toEqual([
      expect.stringMatching(/^00000000-0000-7000-8000-000000000001-0-1\.[0-9a-f]{8}\.parquet$/),
      '_delta_log',
      'empty.parquet',
    ]);
    expect(readdirSync(join(folder, 'edges')).sort()).toEqual(['_delta_log', 'empty.parquet']);
  });

  test('is taken where it is empty but for hidden files', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, '.gitkeep'), '');
    await written(folder);
    expect(await findIn(opened(folder))).toHaveLength(2);
  });

  test('is taken where an heir who died has left the lock of another heir, and its own', async () => {
    const folder = temporaryFolder();
    for (const name of ['spill', 'repair'].flatMap((what) => [
      `${what}.lock`,
      `${what}.lock.00000000-0000-4000-8000-000000000001`,
    ]))
      writeFileSync(join(folder, name), '');
    await expect(opened(folder).snapshot([])).rejects.toMatchObject({
      message: expect.stringContaining('nothing has been written'),
    });
    await written(folder);
    expect(await findIn(opened(folder))).toHaveLength(2);
  });

  test('may hold other things once it is a store', async () => {
    const folder = temporaryFolder();
    await written(folder);
    writeFileSync(join(folder, 'notes.md'), '');
    expect(await findIn(opened(folder))).toHaveLength(2);
  });
});

describe('a path that cannot be a store', () => {
  const delta = (configuration: object) =>
    `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}\n${JSON.stringify({ metaData: { configuration } })}\n`;
  const put = (path: string, content: string) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  };
  const first = join('_delta_log', '00000000000000000000.json');

  /** [what it is, how to make it below a folder, its path, code] */
  const refused: readonly [string, (folder: string) => string, string][] = [
    ['a file', (folder) => (put(join(folder, 'file'), ''), join(folder, 'file')), 'STORE_PATH'],
    ['a folder with other content', (folder) => (put(join(folder, 'thesis.docx'), ''), folder), 'STORE_PATH'],
    ['a store of JSON files', (folder) => (put(join(folder, 'marque.json'), '{}'), folder), 'STORE_PATH'],
    ['a Delta table of another program', (folder) => (put(join(folder, first), delta({})), folder), 'STORE_PATH'],
    ['a folder of such tables', (folder) => (put(join(folder, 'scopes', first), delta({})), folder), 'STORE_PATH'],
    [
      'a folder with tables of that name but without log',
      (folder) => (put(join(folder, 'tags', 'mine.parquet'), ''), folder),
      'STORE_PATH',
    ],
    [
      'a store of a newer format',
      (folder) => (put(join(folder, 'scopes', first), delta({ 'marque.formatVersion': '3' })), folder),
      'STORE_FORMAT',
    ],
    ['a store whose first entry is damaged', (folder) => (put(join(folder, 'scopes', first), '{"pro'), folder), 'STORE_DAMAGED'],
    ['below a file', (folder) => (put(join(folder, 'file'), ''), join(folder, 'file', 'below')), 'STORE_PATH'],
    ['in /proc', () => '/proc/marque', process.platform === 'linux' ? 'STORE_UNWRITABLE' : 'any'],
  ];

  test.each(refused.filter(([, , code]) => code !== 'any'))('%s is refused, and left as it is', async (_name, make, code) => {
    const parent = temporaryFolder();
    const path = make(parent);
    const tree = () => readdirSync(parent, { recursive: true, encoding: 'utf8' }).sort();
    const before = tree();
    const error = { code, message: expect.stringContaining(path) };
    const store = opened(path);
    await expect(store.claim({ uuid: 'u', flow: 'f', drawSlug: () => 'brave-otter' })).rejects.toMatchObject(error);
    const batch = await new RowMaker({ number: 1, slug: 'brave-otter' }).scope(1).batch();
    await expect(store.write(batch)).rejects.toMatchObject(error);
    expect(await codeOf(store.snapshot([]))).toBe(code);
    expect(tree()).toEqual(before);
  });

  test.each([[''], ['a\0b'], ['s3://bucket/history'], ['https://example.org'], [String.raw`a\b`], [undefined], [7]])(
    '%j is refused at once',
    (path) => {
      expect(() => new ParquetStore(path as string)).toThrow(expect.objectContaining({ code: 'STORE_PATH' }));
    },
  );

  test.each(['uuid', 'uuid/x', '../uuid/0', 'a/b/0', ''])('a writer called %j is refused', async (writer) => {
    const batch = { id: { writer, number: 1 }, tables: {} };
    await expect(opened(temporaryFolder()).write(batch)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});

describe('a name that means something elsewhere', () => {
  test.each([
    "it's",
    'exp[1]',
    'a*b',
    'a?b',
    '[',
    'a b $& #',
    'größe 漢 😀',
    '{a,b}',
    '%20',
    '"',
    '-- x',
    'run=5',
    'status=error',
    'sid=9',
    'add=1',
  ])('%j is a folder like any other', async (name) => {
    const parent = temporaryFolder();
    // What the name would find if it were taken for a pattern.
    for (const sibling of ['exp1', 'axb']) await written(join(parent, sibling));
    const folder = join(parent, name);
    const store = opened(folder);
    await claimRows(store, 'not-this');
    const run = await claimRows(store, 'calm-heron');
    const [first, second] = [await run.scope(1).tag(1, 0, 'a').batch(), await run.scope(2).tag(2, 0, 'b').batch()];
    await store.write(first);
    expect(await findIn(store, {}, [first, second])).toEqual([run.sid(1), run.sid(2)]);
    await store.write(second);
    expect(await findIn(store, {}, [first, second])).toEqual([run.sid(1), run.sid(2)]);
    expect(await selectIn(store, 'SELECT DISTINCT run FROM tags')).toEqual([['calm-heron']]);
    expect(await selectIn(store, 'SELECT DISTINCT run, status FROM scopes')).toEqual([['calm-heron', 'ok']]);
    const counted = 'SELECT run, status, count(*) FROM tags JOIN scopes USING (sid, run) GROUP BY ALL';
    expect(await plainly(counted, join(folder, 'open.sql'))).toEqual([['calm-heron', 'ok', '2']]);
  });
});

describe('creation', () => {
  test('goes on where another process was killed, whatever it had done by then', async () => {
    const whole = join(temporaryFolder(), 'whole');
    await written(whole);
    // What the maker of a store does, in its order; of each step a prefix may have happened.
    const steps = [...tableNames.filter((table) => table !== 'scopes'), 'scopes'].flatMap((table) => [
      join(table, '_delta_log'),
      join(table, 'empty.parquet'),
      join(table, '_delta_log', '00000000000000000000.json'),
    ]);
    const found: unknown[] = [];
    for (let done = 0; done <= steps.length; done++) {
      const folder = join(temporaryFolder(), `after ${done}`);
      for (const step of steps.slice(0, done)) {
        mkdirSync(join(folder, dirname(step)), { recursive: true });
        if (step.endsWith('_delta_log')) mkdirSync(join(folder, step));
        else cpSync(join(whole, step), join(folder, step));
      }
      found.push(await codeOf(opened(folder).snapshot([])));
      await written(folder);
      const store = new ParquetStore(folder, { threads: 1 });
      expect(await selectIn(store, everywhere), `after ${done} steps`).toEqual([[0, 2, 0, 0, 2, 1]]);
      await store.close();
    }
    expect(found).toEqual([...steps.map(() => 'STORE_PATH'), null]); // until the last step a reader finds no store
  });

  test('by several stores at once makes one store', async () => {
    const folder = join(temporaryFolder(), 'history');
    const stores = Array.from({ length: 4 }, () => opened(folder));
    const runs = await Promise.all(
      stores.map(async (store, index) => {
        const run = await claimRows(store, `slug-${index}`);
        await store.write(await run.scope(1).batch());
        return run;
      }),
    );
    for (const store of stores) expect(await findIn(store)).toEqual(runs.map((run) => run.sid(1)).sort((a, b) => a - b));
    for (const table of tableNames) {
      const log = readFileSync(join(folder, table, '_delta_log', '00000000000000000000.json'), 'utf8');
      expect(log).toContain(`"size":${statSync(join(folder, table, 'empty.parquet')).size},`);
    }
  });

  test('is looked at by others at any moment, who find no store until there is one', async () => {
    for (let round = 0; round < 10; round++) {
      const folder = join(temporaryFolder(), 'history');
      mkdirSync(folder);
      const noCheckpoints = { readCheckpoint: () => Promise.reject(new Error('there is none')) };
      const writer = await SegmentWriter.open(folder, { threads: 1 });
      const made = { yet: false };
      const making = createTables(logsIn(folder, noCheckpoints), (table) => writer.writeEmpty(table)).finally(
        () => (made.yet = true),
      );
      while (!made.yet) expect(await isStore(folder, logsIn(folder, noCheckpoints))).toBeTypeOf('boolean');
      await making;
      expect(await isStore(folder, logsIn(folder, noCheckpoints))).toBe(true);
      await writer.close();
    }
  });
});
