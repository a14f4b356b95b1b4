import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { Database } from '../src/duckdb.ts';
import { DuckDBStorage, Flow, JsonStorage, MemoryStorage, ParquetStorage, step, type Storage } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';
import { everything, hardText, sampleRuns } from './sample-runs.ts';

const kinds: Readonly<Record<string, () => Storage>> = {
  MemoryStorage: () => new MemoryStorage(),
  JsonStorage: () => new JsonStorage(temporaryFolder()),
  ParquetStorage: () => new ParquetStorage(temporaryFolder(), { threads: 1 }),
  DuckDBStorage: () => new DuckDBStorage(join(temporaryFolder(), 'history.duckdb'), { threads: 1 }),
};

/** What plain DuckDB finds with one SELECT, `$1` being the file. */
async function plainly(text: string, path: string): Promise<readonly Record<string, unknown>[]> {
  const database = await Database.open({ allowed: 'any' });
  try {
    const connection = await database.connect();
    const { columns, values, rowCount } = await connection.run(text, [path]);
    return Array.from({ length: rowCount }, (_, row) =>
      Object.fromEntries(columns.map(({ name }, column) => [name, values[column]?.[row]])),
    );
  } finally {
    await database.close();
  }
}

/** A disk of 1 MiB, which takes the right to mount one; null without. */
const smallDisk = mountSmallDisk();

function mountSmallDisk(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'marque-test-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]);
  afterAll(() => {
    if (status === 0) spawnSync('umount', [folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  if (status !== 0) console.log('no disk of a MiB can be mounted here: exports onto a full disk are not tried');
  return status === 0 ? folder : null;
}

async function sampled(make: () => Storage = () => new MemoryStorage()): Promise<Storage> {
  const storage = make();
  onTestFinished(async () => await storage.close());
  await sampleRuns(storage);
  return storage;
}

/** What an export of scopes has to say, from the storage itself. */
async function scopesOf(storage: Storage): Promise<readonly unknown[]> {
  const scopes = await storage.search('*', { runs: 'all', order: 'oldest', status: ['ok', 'error', 'retried', 'skipped'] });
  return scopes.map((scope) => ({
    id: scope.id,
    startedAt: scope.startedAt.getTime(),
    tags: scope.tags.map(({ content, value }) => ({ content, value: value ?? null })),
    artifacts: scope.artifacts,
    logs: scope.logs.map(({ message, level, at }) => ({ level, message, logged_at: at.toISOString() })),
    error: scope.error?.message ?? null,
  }));
}

function asSaid(row: Readonly<Record<string, unknown>>): unknown {
  return {
    id: row['id'],
    startedAt: Number(row['started_at']),
    tags: row['tags'],
    artifacts: (row['artifacts'] as { name: string }[]).map(({ name }) => name),
    logs: row['logs'],
    error: row['error_message'],
  };
}

describe.each(Object.entries(kinds))('the scopes of %s', (_name, make) => {
  test('as Parquet, one row each, with tags, artifacts and logs', async () => {
    const storage = await sampled(make);
    const path = join(temporaryFolder(), 'new', 'scopes.parquet');
    const result = await storage.export(path);
    const rows = await plainly('SELECT * FROM read_parquet($1)', path);
    expect(rows.map(asSaid)).toEqual(await scopesOf(storage));
    expect(result).toEqual({ path, rows: rows.length, bytes: readFileSync(path).length });
    const [first] = rows;
    expect(first?.['artifacts']).toContainEqual({ name: 'bytes', codec: 'bytes', text: null, base64: 'AP8KDQA=' });
    expect(first?.['artifacts']).toContainEqual({ name: 'again', codec: 'json', text: '2', base64: null });
    expect(readdirSync(join(path, '..'))).toEqual(['scopes.parquet']);
  });

  test('as an Arrow file and an Arrow stream', async () => {
    const storage = await sampled(make);
    for (const extension of ['arrow', 'arrows']) {
      const path = join(temporaryFolder(), `scopes.${extension}`);
      await storage.export(path);
      const bytes = readFileSync(path);
      expect(bytes.subarray(0, 6).toString() === 'ARROW1').toBe(extension === 'arrow');
      const table = tableFromIPC(bytes);
      const plain = (value: unknown): unknown =>
        JSON.parse(
          JSON.stringify(value, (_key, one: unknown) =>
            typeof one === 'number' && !Number.isFinite(one) ? String(one) : typeof one === 'bigint' ? Number(one) : one,
          ),
        );
      const rows = table
        .toArray()
        .map((row: { toJSON(): Record<string, unknown> }) => plain(row.toJSON()) as Record<string, unknown>);
      expect(rows.map((row) => (asSaid(row) as { id: string }).id)).toEqual(
        (await scopesOf(storage)).map((scope) => (scope as { id: string }).id),
      );
      expect(rows.map(({ tags }) => (tags as { value: unknown }[]).map(({ value }) => value))[0]).toEqual([
        0.5,
        'NaN',
        'Infinity',
        '-Infinity',
        null,
      ]);
      expect(Object.fromEntries(table.schema.fields.map(({ name, type }) => [name, String(type)]))).toMatchObject({
        id: 'Utf8',
        sid: 'Int64',
        attempt: 'Int32',
        started_at: 'Timestamp<MILLISECOND>',
        tags: 'List<Struct<{content:Utf8, value:Float64}>>',
      });
    }
  });

  test('as CSV and JSON lines, which any reader of JSON takes', async () => {
    const storage = await sampled(make);
    const folder = temporaryFolder();
    await storage.export(join(folder, 'scopes.csv'));
    await storage.export(join(folder, 'scopes.jsonl'));
    const lines = readFileSync(join(folder, 'scopes.jsonl'), 'utf8').trimEnd().split('\n');
    const rows = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const wanted = JSON.parse(
      JSON.stringify(await scopesOf(storage), (_key, one: unknown) =>
        typeof one === 'number' && !Number.isFinite(one) ? String(one) : one,
      ),
    ) as unknown;
    expect(rows.map((row) => asSaid({ ...row, started_at: Date.parse(row['started_at'] as string) }))).toEqual(wanted);
    const cells = await plainly(
      "SELECT id, tags, logs, error_message, started_at FROM read_csv($1, all_varchar = true, header = true, nullstr = '')",
      join(folder, 'scopes.csv'),
    );
    expect(cells.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
    expect(cells.map(({ tags }) => JSON.parse(tags as string) as unknown)).toEqual(rows.map(({ tags }) => tags));
    expect(cells.map(({ started_at }) => started_at)).toEqual(rows.map(({ started_at }) => started_at));
    expect(cells.filter(({ error_message }) => error_message !== null).map(({ error_message }) => error_message)).toEqual([
      hardText,
    ]);
  });

  test('as a store of its own, in which every run keeps its number', async () => {
    const storage = await sampled(make);
    const path = join(temporaryFolder(), 'copy.duckdb');
    const { rows } = await storage.export(path);
    expect(readdirSync(join(path, '..')).sort()).toEqual(['copy.duckdb', 'copy.duckdb.acknowledged']);
    await using copy = new DuckDBStorage(path);
    expect(await everything(copy)).toEqual(await everything(storage));
    const all = async (from: Storage) => await from.sql`SELECT sid, parent_sid, ref_sid, run FROM scopes ORDER BY sid`;
    expect(await all(copy)).toEqual(await all(storage));
    expect(rows).toBe((await all(storage)).length);
    const details = async (from: Storage) => await from.sql`SELECT start_details FROM runs ORDER BY run_number`;
    expect(await details(copy)).toEqual(await details(storage));
    await new Flow('next', copy, { logLevel: 'silent' }).push(step('nothing', () => {})).execute();
    expect(await copy.sql`SELECT max(run_number) AS n FROM runs`).toEqual([{ n: 4 }]);
  });
});

describe('export', () => {
  test('of one view is that view', async () => {
    const storage = await sampled();
    const folder = temporaryFolder();
    for (const table of ['scopes', 'tags', 'artifacts', 'logs', 'edges', 'runs'] as const) {
      const path = join(folder, `${table}.parquet`);
      const { rows } = await storage.export(path, { table });
      const wanted = await storage.sql(template(`FROM ${table} ORDER BY ALL`));
      expect(await plainly('FROM read_parquet($1) ORDER BY ALL', path)).toEqual(wanted);
      expect(rows).toBe(wanted.length);
      await storage.export(join(folder, `${table}.jsonl`), { table });
      await storage.export(join(folder, `${table}.csv`), { table });
      await storage.export(join(folder, `${table}.arrow`), { table });
      expect(tableFromIPC(readFileSync(join(folder, `${table}.arrow`))).numRows).toBe(wanted.length);
    }
  });

  test('of a query keeps its order and its bound values, and makes every type one that all readers take', async () => {
    const storage = await sampled();
    const path = join(temporaryFolder(), 'query.parquet');
    const text = "it's $1";
    const whole = storage.sql`SELECT i AS "n n", ${text} AS text, sum(i) OVER (ORDER BY i) AS huge, 1.5::DECIMAL(4,2) AS decimal, DATE '2020-02-03' AS day,
      TIMESTAMPTZ '2020-02-03 04:05:06.789+02' AS zoned, INTERVAL 1 DAY AS span, {'sid': i, 'at': TIMESTAMP '2020-01-01', "q""": [1::UTINYINT]} AS nested,
      MAP {'a': i} AS map, 'a'::ENUM('a', 'b') AS word, NULL AS nothing, i AS "n n", [1, 2]::INTEGER[2] AS fixed, '\xFF'::BLOB AS bytes
      FROM range(${3n}) AS t(i) ORDER BY i DESC -- done ;`;
    expect((await storage.export(path, { query: whole })).rows).toBe(3);
    const rows = await plainly('FROM read_parquet($1)', path);
    expect(rows.map((row) => row['n n'])).toEqual([2, 1, 0]);
    expect(rows[0]).toMatchObject({
      text,
      huge: 3,
      decimal: 1.5,
      day: new Date('2020-02-03'),
      zoned: new Date('2020-02-03T02:05:06.789Z'),
      span: '1 day',
      nested: { sid: 2, at: '2020-01-01T00:00:00.000Z', 'q"': [1] },
      map: [{ key: 'a', value: 2 }],
      word: 'a',
      nothing: null,
      fixed: [1, 2],
      bytes: new Uint8Array([255]),
    });
    const types = await plainly('SELECT name, type, converted_type::VARCHAR AS converted FROM parquet_schema($1)', path);
    expect(types.find(({ name }) => name === 'zoned')).toMatchObject({ type: 'INT64', converted: 'TIMESTAMP_MILLIS' });
    for (const extension of ['csv', 'jsonl', 'arrow', 'arrows']) {
      expect((await storage.export(join(temporaryFolder(), `query.${extension}`), { query: whole })).rows).toBe(3);
    }
  });

  test('of a query takes the text that awaiting it takes: a semicolon at its end, also before a comment, and no bracket too many', async () => {
    const storage = await sampled();
    const folder = temporaryFolder();
    const sql = (text: string) => storage.sql(template(text));
    const texts = [
      'SELECT 1 AS x; -- hi',
      `SELECT 1 AS x /* ; */ ;;\n-- a;b`,
      `SELECT ';' AS x;`,
      'SELECT 1 AS x -- a;b',
      'FROM (VALUES (1)) AS t(x)',
    ];
    for (const [index, text] of texts.entries()) {
      const path = join(folder, `${index}.parquet`);
      expect((await storage.export(path, { query: sql(text) })).rows, text).toBe(1);
      expect(await plainly('FROM read_parquet($1)', path), text).toEqual(await sql(text));
    }
    for (const text of ['SELECT 1) AS x, (SELECT 2', 'SELECT 1; SELECT 2', 'SELECT 1 /*', 'SELECT 1) AS x; --']) {
      await expect(sql(text), text).rejects.toMatchObject({ code: 'SQL_INVALID' });
      await expect(storage.export(join(folder, 'x.csv'), { query: sql(text) }), text).rejects.toMatchObject({
        code: 'SQL_INVALID',
      });
    }
  });

  test('of a query keeps every name of a column', async () => {
    const storage = await sampled();
    const names = ['file_row_number', 'filename', 'c1', 'c0', 'row', 'bytes', '__proto__', 'a"b', 'ü 🦦'];
    const list = names.map((name, index) => `${index} AS "${name.replaceAll('"', '""')}"`).join(', ');
    const query = storage.sql(template(`SELECT ${list}`));
    for (const extension of ['parquet', 'arrow', 'arrows', 'csv', 'jsonl']) {
      const path = join(temporaryFolder(), `x.${extension}`);
      expect((await storage.export(path, { query })).rows).toBe(1);
      const text = readFileSync(path, 'utf8');
      if (extension === 'csv')
        expect(text).toBe(`${names.map((name) => (name.includes('"') ? '"a""b"' : name)).join(',')}\n0,1,2,3,4,5,6,7,8\n`);
      else if (extension === 'jsonl')
        expect(text).toBe(`{${names.map((name, index) => `${JSON.stringify(name)}:${index}`).join(',')}}\n`);
      else if (extension === 'parquet') expect(await plainly('FROM read_parquet($1)', path)).toHaveLength(1);
      else {
        const table = tableFromIPC(readFileSync(path));
        expect(table.schema.fields.map(({ name }) => name)).toEqual(names);
        expect(names.map((_, index) => table.getChildAt(index)?.get(0) as unknown)).toEqual(names.map((_, index) => index));
      }
    }
  });

  test('refuses times that some readers cannot have, in every format', async () => {
    const storage = await sampled();
    const folder = temporaryFolder();
    const times = [
      "'infinity'::TIMESTAMP",
      "'-infinity'::DATE",
      "'0044-03-15 (BC)'::DATE",
      "'10000-01-01'::TIMESTAMP_MS",
      "['infinity'::TIMESTAMP]",
    ];
    for (const extension of ['parquet', 'arrow', 'csv', 'jsonl']) {
      const path = join(folder, `x.${extension}`);
      for (const time of times) {
        const query = storage.sql(template(`SELECT ${time} AS at`));
        await expect(storage.export(path, { query }), `${extension} ${time}`).rejects.toMatchObject({
          code: 'SQL_INVALID',
          message: expect.stringContaining('cast the column to VARCHAR') as string,
        });
      }
      const query = storage.sql`SELECT TIMESTAMP '0001-01-01' AS least, TIMESTAMP '9999-12-31 23:59:59.999' AS most, NULL::DATE AS nothing,
        'infinity'::TIMESTAMP::VARCHAR AS infinite, [NULL::DATE] AS list`;
      expect((await storage.export(path, { query })).rows).toBe(1);
    }
  });

  test('takes the runs that are asked for', async () => {
    const storage = await sampled();
    const folder = temporaryFolder();
    const runs = await storage.sql<{ slug: string }>`SELECT slug FROM runs ORDER BY run_number`;
    let count = 0;
    const found = async (options: object): Promise<unknown> => {
      const path = join(folder, `${count++}.parquet`);
      await storage.export(path, options);
      return (await plainly('SELECT DISTINCT run FROM read_parquet($1) ORDER BY run', path)).map(({ run }) => run);
    };
    expect(await found({ runs: 'latest' })).toEqual([runs[2]?.slug]);
    expect(await found({ runs: 'latest', flow: 'sample' })).toEqual([runs[1]?.slug]);
    expect(await found({ runs: runs[0]?.slug, table: 'tags' })).toEqual([runs[0]?.slug]);
    expect(await found({ flow: 'other' })).toEqual([runs[2]?.slug]);
    expect(await found({ runs: 'no-*' })).toEqual([]);
    const path = join(folder, 'one.duckdb');
    await storage.export(path, { runs: runs[1]?.slug });
    await using copy = new DuckDBStorage(path);
    expect(await copy.sql`SELECT run_number, slug FROM runs`).toEqual([{ run_number: 2, slug: runs[1]?.slug }]);
  });

  test('of a store without rows is a file with every column', async () => {
    await using storage = new MemoryStorage();
    const folder = temporaryFolder();
    await storage.export(join(folder, 'x.parquet'));
    const [row] = await plainly('SELECT count(*) AS rows, count(COLUMNS(*)) FROM read_parquet($1)', join(folder, 'x.parquet'));
    expect(row?.['rows']).toBe(0);
    for (const extension of ['arrow', 'arrows', 'csv', 'jsonl', 'duckdb']) await storage.export(join(folder, `x.${extension}`));
    for (const extension of ['arrow', 'arrows']) {
      const { numRows, schema } = tableFromIPC(readFileSync(join(folder, `x.${extension}`)));
      expect([numRows, schema.fields[0]?.name, schema.fields.at(-1)?.name]).toEqual([0, 'id', 'logs']);
    }
    expect(readFileSync(join(folder, 'x.csv'), 'utf8')).toMatch(/^id,sid,.*,tags,artifacts,logs\n$/);
    expect(readFileSync(join(folder, 'x.jsonl'), 'utf8')).toBe('');
    await using copy = new DuckDBStorage(join(folder, 'x.duckdb'));
    expect(await copy.sql`SELECT count(*) AS n FROM runs`).toEqual([{ n: 0 }]);
  });

  test('of more than fits a window is in the order of the keys', async () => {
    await using storage = new MemoryStorage();
    const large = step('large', (flow) => flow.keep('text', 'x'.repeat(9 * 2 ** 20)));
    await new Flow('large', storage, { logLevel: 'silent' }).push(Array(10).fill(large) as (typeof large)[]).execute();
    for (const extension of ['parquet', 'arrow']) {
      const path = join(temporaryFolder(), `large.${extension}`);
      expect((await storage.export(path)).rows).toBe(10);
      if (extension === 'arrow') {
        const table = tableFromIPC(readFileSync(path));
        expect(table.batches.length).toBeGreaterThan(3);
        expect(Array.from(table.getChild('path') ?? [], String)).toEqual(Array.from({ length: 10 }, (_, index) => `0-${index}`));
      } else {
        const rows = await plainly('SELECT path, length(artifacts[1].text) AS n FROM read_parquet($1)', path);
        expect(rows).toEqual(Array.from({ length: 10 }, (_, index) => ({ path: `0-${index}`, n: 9 * 2 ** 20 + 2 })));
      }
    }
  });

  test('refuses what it cannot do, and leaves what is there as it is', async () => {
    const folder = temporaryFolder();
    const storage = await sampled(() => new ParquetStorage(join(folder, 'store[1]')));
    const other = await sampled();
    const there = join(folder, 'there.csv');
    writeFileSync(there, 'mine');
    mkdirSync(join(folder, 'folder.csv'));
    symlinkSync(join(folder, 'store[1]'), join(folder, 'link'));
    symlinkSync(join(folder, 'nothing.csv'), join(folder, 'dangling.csv'));
    const refused: readonly (readonly [path: unknown, options: object, code: string, says: string])[] = [
      [join(folder, 'a.xlsx'), {}, 'OPTION_INVALID', 'does not say its format'],
      [join(folder, 'a.csv'), { format: 'xlsx' }, 'OPTION_INVALID', 'xlsx'],
      [there, {}, 'STORE_PATH', 'there is a file already'],
      [join(folder, 'folder.csv'), { overwrite: true }, 'STORE_PATH', 'something else than a file'],
      [join(there, 'a.csv'), {}, 'STORE_PATH', 'there.csv'],
      [join(folder, 'store[1]', 'a.csv'), {}, 'STORE_PATH', 'in the store'],
      [join(folder, 'store[1]', 'new', 'a.csv'), {}, 'STORE_PATH', 'in the store'],
      [join(folder, 'link', 'a.csv'), {}, 'STORE_PATH', 'in the store'],
      [join(folder, 'a\0.csv'), {}, 'STORE_PATH', 'no path'],
      ['', { format: 'csv' }, 'STORE_PATH', 'no path'],
      [7, { format: 'csv' }, 'STORE_PATH', 'no path'],
      [join(folder, 'a.csv'), { table: 'none' }, 'OPTION_INVALID', 'none'],
      [join(folder, 'a.csv'), null as never, 'OPTION_INVALID', 'options'],
      [join(folder, 'dangling.csv'), {}, 'STORE_PATH', 'a link already, to nothing'],
      [join(folder, 'a.csv'), { runs: '[' }, 'GLOB_INVALID', '['],
      [join(folder, 'a.duckdb'), { table: 'tags' }, 'OPTION_INVALID', 'whole store'],
      [join(folder, 'a.csv'), { query: other.sql`SELECT 1` }, 'OPTION_INVALID', "this storage's"],
      [join(folder, 'a.csv'), { query: storage.sql`SELECT 1`, runs: 'all' }, 'OPTION_INVALID', 'leave out'],
      [join(folder, 'a.csv'), { query: storage.sql`SELECT nothing` }, 'SQL_INVALID', 'nothing'],
      [join(folder, 'a.csv'), { query: storage.sql`DROP TABLE x` }, 'SQL_INVALID', 'SELECT'],
      [join(folder, 'a.csv'), { query: storage.sql`SELECT 1; SELECT 2` }, 'SQL_INVALID', ''],
      ['/proc/self/a.csv', {}, 'STORE_UNWRITABLE', 'a.csv'],
    ];
    for (const [path, options, code, says] of refused) {
      await expect(storage.export(path as string, options), String(path)).rejects.toMatchObject({
        code,
        message: expect.stringContaining(says) as string,
      });
    }
    expect(readFileSync(there, 'utf8')).toBe('mine');
    expect(readdirSync(folder).sort()).toEqual(['dangling.csv', 'folder.csv', 'link', 'store[1]', 'there.csv']);
    await storage.export(there, { overwrite: true });
    expect(readFileSync(there, 'utf8')).toMatch(/^id,/);
  });

  test(
    'onto a full disk says so and leaves nothing, also where the temporary folder is full',
    { skip: smallDisk === null },
    async () => {
      const storage = await sampled();
      const noise = step('noise', (flow) => flow.keep('noise', randomBytes(4 * 2 ** 20)));
      await new Flow('noise', storage, { logLevel: 'silent' }).push(noise).execute();
      const full = smallDisk as string;
      for (const format of ['parquet', 'csv', 'jsonl', 'arrow', 'arrows', 'duckdb']) {
        await expect(storage.export(join(full, `x.${format}`)), format).rejects.toMatchObject({
          code: 'STORE_UNWRITABLE',
          message: expect.stringContaining(full) as string,
        });
        expect(readdirSync(full), format).toEqual([]);
      }
      const { TMPDIR: before } = process.env;
      onTestFinished(() => void (before === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = before)));
      process.env['TMPDIR'] = full;
      await using other = new MemoryStorage(); // its DuckDB is opened by its first query, and keeps its temporary folder
      await other.merge(storage);
      const folder = mkdtempSync(join(before ?? '/tmp', 'marque-test-'));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      await expect(other.export(join(folder, 'x.csv'))).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  test('replaces a .duckdb file only where nobody has it open and nothing is left beside it', async () => {
    const storage = await sampled();
    const path = join(temporaryFolder(), 'copy.duckdb');
    await storage.export(path);
    const open = new DuckDBStorage(path);
    await open.sql`SELECT 1`;
    await expect(storage.export(path, { overwrite: true })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await open.close();
    await storage.export(path, { overwrite: true, runs: 'latest' });
    await using again = new DuckDBStorage(path);
    expect(await again.sql`SELECT count(*) AS n FROM runs`).toEqual([{ n: 1 }]);
    await again.close();
    writeFileSync(`${path}.wal`, '');
    await expect(storage.export(path, { overwrite: true })).rejects.toMatchObject({
      code: 'STORE_PATH',
      message: expect.stringContaining('.wal') as string,
    });
  });
});

/** What a template tag is called with for a text that is only known when it runs. */
function template(text: string): TemplateStringsArray {
  return Object.assign([text], { raw: [text] });
}
