import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { DuckDBInstance } from '../src/binding.ts';
import { Database } from '../src/duckdb.ts';
import {
  DuckDBStorage,
  Flow,
  JsonStorage,
  MemoryStorage,
  ParquetStorage,
  type Storage,
  type StorageOptions,
} from '../src/index.ts';
import { readColumns } from '../src/result.ts';
import { suiteFolder, temporaryFolder } from './folders.ts';
import { isLarge } from './size.ts';

type Make = (folder: string, options?: StorageOptions) => Storage;

const kinds: [string, Make][] = [
  ['MemoryStorage', (_folder, options) => new MemoryStorage(options)],
  ['JsonStorage', (folder, options) => new JsonStorage(join(folder, 'history'), options)],
  ['ParquetStorage', (folder, options) => new ParquetStorage(join(folder, 'history'), options)],
  ['DuckDBStorage', (folder, options) => new DuckDBStorage(join(folder, 'history.duckdb'), options)],
];

/** A SELECT whose text is data. */
function ask(storage: Storage, text: string) {
  return storage.sql(Object.assign([text], { raw: [text] }));
}

async function filled(make: Make, options: StorageOptions = {}, folder = temporaryFolder()): Promise<Storage> {
  const storage = make(folder, options);
  const flow = new Flow('digits', storage, { logLevel: 'silent' });
  for (let index = 0; index < 3; index++) {
    flow.push(
      function train(step) {
        step.tag('loss', index / 4);
        step.tag('model=a');
      },
      { index },
    );
  }
  await flow.execute();
  return storage;
}

describe.each(kinds)('%s: sql', (_name, make) => {
  let storage: Storage;
  const folder = suiteFolder();
  beforeAll(async () => {
    storage = await filled(make, {}, folder);
  });
  afterAll(() => storage.close());

  test('gives rows, one after another, a table of Arrow and the columns of the same answer', async () => {
    const query = storage.sql<{ step: string; value: number }>`
      SELECT step, value FROM tags WHERE content = ${'loss'} AND value >= ${0.25} ORDER BY value`;
    const rows = [
      { step: 'train', value: 0.25 },
      { step: 'train', value: 0.5 },
    ];
    expect(await query).toEqual(rows);
    const seen: unknown[] = [];
    for await (const row of query) seen.push(row);
    expect(seen).toEqual(rows);
    expect((await query.toArrow()).toArray().map((row: { toJSON(): unknown }) => row.toJSON())).toEqual(rows);
    expect(await query.result()).toMatchObject({
      rowCount: 2,
      values: [
        ['train', 'train'],
        [0.25, 0.5],
      ],
    });
    expect(await query.explain()).toMatchObject({ engine: 'DuckDB', plan: expect.stringContaining('ORDER_BY') as string });
  });

  test('stops when its signal aborts, before and in the midst, and leaves the query it was made from as it is', async () => {
    const endless = storage.sql`SELECT count(*) FROM range(100000000000) t(i) WHERE hash(i) = 1`;
    const reason = new Error('enough');
    await expect(endless.with({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 150);
    const waiting = endless.with({ signal: controller.signal });
    const answers = await Promise.allSettled([waiting.result(), waiting.toArrow()]); // one runs, one waits for it
    expect(answers.map((answer) => answer.status === 'rejected' && answer.reason === reason)).toEqual([true, true]);
    const short = storage.sql`SELECT 1 AS one`;
    expect(await short.with({ signal: AbortSignal.timeout(60_000) })).toEqual([{ one: 1 }]);
    expect(await short).toEqual([{ one: 1 }]);
  });

  test('is the text as it stands in the source, backslashes included, and gives lists of any kind of value', async () => {
    const at = new Date(1_234);
    const found = storage.sql`SELECT regexp_matches('12', '^\d+$') AS digits, '\unit' AS unit, '\`\${1}' AS marks, '$1' AS text, ${5} AS five,
      ${[true, null]} AS flags, ${[at, null]} AS times, "x$1" FROM (SELECT $tag$ $1 ' $tag$ AS "x$1") -- $1`;
    expect(await found).toEqual([
      {
        digits: true,
        unit: '\\unit',
        marks: '`${1}',
        text: '$1',
        five: 5,
        flags: [true, null],
        times: [at, null],
        x$1: " $1 ' ",
      },
    ]);
    expect(() => storage.sql`SELECT $1 AS a, ${5} AS b`).toThrow(/^\$1 stands in the text beside values/);
    expect(() => storage.sql`SELECT ${'x'} AS a, ? AS b, ${'y'} AS c`).toThrow(/^\? stands in the text beside values/);
    expect(await storage.sql`SELECT ${'x'} || '?' AS "a?" -- why?`).toEqual([{ 'a?': 'x?' }]);
  });

  test('takes what stands in data for no failure of the database, whatever it says', async () => {
    const flow = new Flow('digits', storage, { logLevel: 'silent' });
    flow.push(async function failing(step) {
      for (const text of ['database has been invalidated', 'FATAL Error: x', 'INTERNAL Error: x', '\nFATAL Error: x']) {
        step.tag(text);
        await expect(storage.sql`SELECT ${text}::INTEGER`.result()).rejects.toMatchObject({ code: 'SQL_INVALID' });
        await expect(storage.sql`SELECT error(${text})`.result()).rejects.toMatchObject({ code: expect.any(String) as string });
      }
    });
    expect((await flow.execute())?.status).toBe('ok');
    expect(await storage.sql`SELECT count(*) AS n FROM tags WHERE step = 'failing'`).toEqual([{ n: 4 }]);
  });

  test('lets timers fire while rows are made, so that a signal can abort then', async () => {
    const many = storage.sql<{ i: number }>`SELECT range AS i, range::VARCHAR AS t FROM range(1000000)`;
    const reason = new Error('enough');
    const reading = async (read: (query: typeof many) => Promise<unknown>) => {
      const controller = new AbortController();
      let waiting: NodeJS.Timeout | undefined;
      const start = () => (waiting ??= setTimeout(() => controller.abort(reason), 20));
      const query = many.with({ signal: controller.signal });
      const rowsOf = query[Symbol.asyncIterator].bind(query);
      query[Symbol.asyncIterator] = async function* () {
        for await (const row of rowsOf()) {
          start();
          yield row;
        }
      };
      await expect(read(query)).rejects.toBe(reason);
    };
    await reading(async (query) => await query);
    await reading(async (query) => {
      for await (const { i } of query) if (i < 0) throw new Error('never');
    });
  });

  test('of a search finds the scopes in a table with the search’s order', async () => {
    const found = storage.search('digits.train.*');
    const table = await found.toArrow();
    expect(table.getChild('id')?.toJSON()).toEqual(await found.ids());
    expect(table.getChild('params')?.toJSON()).toEqual(['{"index":2}', '{"index":1}', '{"index":0}']);
    expect((await storage.search('nothing.*').toArrow()).numRows).toBe(0);
  });

  test.each([
    ['SELECT 1; SELECT 2', /Only SELECT|expected one SELECT/],
    [`INSERT INTO raw.tags VALUES (1)`, 'SELECT'],
    [`COPY (SELECT 1) TO '/tmp/marque-copied.csv'`, 'SELECT'],
    [`EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/marque-copied.csv'`, 'SELECT'],
    [`CREATE TABLE mine (i INTEGER)`, 'SELECT'],
    [`ATTACH '/tmp/marque-copied.duckdb' AS other`, 'SELECT'],
    [`PRAGMA enable_profiling`, 'SELECT'],
    [`PIVOT tags ON content USING max(value)`, /a PIVOT has to name its values.*IN \('loss'/],
    [`FROM read_text('/etc/passwd')`, /Permission Error|reads files/],
    [`FROM '/etc/passwd.csv'`, /Permission Error|is a file/],
    ['SELECT *\nFROM scopes WHERE = 1', /syntax error[^]*LINE 2, column 19:\nFROM scopes WHERE = 1\n {18}\^/],
    ['SELECT durations_ms FROM scopes', /"duration_ms"[^]*LINE 1, column 8:\nSELECT durations_ms FROM scopes\n {7}\^/],
    ['FROM scoops', /scoops does not exist! Did you mean "scopes"\?[^]*LINE 1, column 6:/],
    ['SELECT 1 + nothing_like_it(2)', /nothing_like_it[^]*LINE 1, column 12:/],
  ])('refuses %s, and nothing has changed', async (text, message) => {
    const before = await storage.sql`SELECT * FROM tags ORDER BY ALL`;
    await expect(ask(storage, text).result()).rejects.toMatchObject({
      code: 'SQL_INVALID',
      message: expect.toSatisfy(
        message instanceof RegExp ? (said: string) => message.test(said) : (said: string) => said.includes(message),
      ),
    });
    expect(await storage.sql`SELECT * FROM tags ORDER BY ALL`).toEqual(before);
    expect(existsSync('/tmp/marque-copied.csv') || existsSync('/tmp/marque-copied.duckdb')).toBe(false);
  });

  test('points at the place also behind values, tabs and wide characters', async () => {
    const failing = storage.sql`SELECT ${'a'}, ${2},
	'日本', ${null}, missing
FROM scopes`;
    await expect(failing.result()).rejects.toThrow(/LINE 2, column 12:\n '日本', \$3, missing\n {13}\^/);
    await expect(storage.sql`SELECT ${'a'} FROM scopes WHERE ( ${1} = `.result()).rejects.toThrow(/LINE 1, column 3\d:/);
  });

  test.each([
    ['an object', { a: 1 }],
    ['a function', () => 1],
    ['a symbol', Symbol('a')],
    ['undefined', undefined],
    ['half of a surrogate pair', '\ud800'],
    ['an invalid date', new Date(Number.NaN)],
    ['an integer beyond 64 bits', 2n ** 64n],
    ['a list of several types', [1, 'a']],
  ])('refuses %s as a value', async (_what, value) => {
    const run = async () => await storage.sql`SELECT ${value} AS v`;
    await expect(run()).rejects.toMatchObject({ code: expect.stringMatching(/^(SQL|VALUE)_INVALID$/) as string });
  });

  test('refuses values that no parameter takes, and parameters without a value', async () => {
    await expect(ask(storage, 'SELECT $1').result()).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(storage.sql`SELECT 1 -- ${1}`.result()).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect(await storage.sql`SELECT ${Number.NaN} AS v`).toEqual([{ v: Number.NaN }]);
  });

  test('lives on after any QUALIFY', async () => {
    const column = fc.constantFrom('sid', 'flow', 'step', 'content', 'value', '(SELECT max(value) FROM tags)');
    const by = fc.option(column, { nil: null });
    const shape = fc.record({
      select: fc.constantFrom(
        '*',
        'flow',
        'DISTINCT step',
        'DISTINCT ON (step) sid',
        'sid, value',
        'count(*)',
        'COLUMNS(*)',
        'flow, count(*)',
        '1',
      ),
      where: fc.constantFrom(
        '',
        'WHERE false',
        `WHERE flow = 'digits'`,
        `WHERE value > 0`,
        'WHERE sid IN (SELECT sid FROM scopes QUALIFY row_number() OVER () = 1)',
      ),
      group: fc.constantFrom('', '', 'GROUP BY flow', 'GROUP BY ALL'),
      called: fc.constantFrom('row_number()', 'rank()', 'lag(sid)', 'count(*)', 'max(value)'),
      partition: by,
      order: by,
      condition: fc.constantFrom('= 1', '% 2 = 1', '<= 2', 'IS NOT NULL', 'IN (SELECT 1)', '= (SELECT max(sid) FROM scopes)'),
      end: fc.constantFrom('', 'ORDER BY ALL', 'LIMIT 1', 'ORDER BY 1 LIMIT 1 OFFSET 1'),
    });
    let answered = 0;
    const property = fc.asyncProperty(shape, async ({ select, where, group, called, partition, order, condition, end }) => {
      const over = `${partition === null ? '' : `PARTITION BY ${partition}`} ${order === null ? '' : `ORDER BY ${order}`}`;
      const text = `SELECT ${select} FROM tags ${where} ${group} QUALIFY ${called} OVER (${over}) ${condition} ${end}`;
      const answer = await ask(storage, text)
        .result()
        .then(
          () => null,
          (error: unknown) => error as { code: string },
        );
      if (answer === null) answered++;
      else expect(answer).toMatchObject({ code: 'SQL_INVALID' }); // and not that DuckDB has stopped
    });
    await fc.assert(property, { seed: 5, numRuns: isLarge ? 2_000 : 60 });
    expect(answered).toBeGreaterThan(20);
  });
});

test.each(kinds)('a query of a %s tells how long it has taken, also where nobody knows how far it is', async (_name, make) => {
  await using storage = await filled(make);
  const seen: (readonly [part: number | null, ms: number])[] = [];
  const onProgress = (part: number | null, ms: number) => void seen.push([part, ms]);
  const slow = storage.sql`SELECT max(md5(md5(md5((range + t.sid)::VARCHAR)))) FROM range(400000), tags t`;
  await slow.with({ onProgress });
  expect(seen.length).toBeGreaterThan(1);
  expect(seen.every(([part]) => part === null || (part > 0 && part <= 1))).toBe(true);
  expect(seen.map(([, ms]) => ms)).toEqual(seen.map(([, ms]) => ms).toSorted((a, b) => a - b));
  expect(seen[0]?.[1]).toBeGreaterThan(50);
});

test('progress is told while DuckDB works, rising to at most 1, and what it throws stops the query', async () => {
  await using database = await Database.open({ threads: 1 });
  const connection = await database.connect();
  await connection.run('CREATE TABLE numbers AS SELECT i FROM range(2000000) t(i)');
  const slow = { text: 'SELECT max(md5(md5(md5(i::VARCHAR)))) FROM numbers', values: [] };
  const seen: number[] = [];
  const onPart = (part: number | null) => void (part !== null && seen.push(part));
  await connection.query(slow, [], { onProgress: onPart });
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.every((part, index) => part >= (seen[index - 1] ?? 0) && part <= 1)).toBe(true);
  const broken = new Error('the bar is broken');
  const onProgress = () => {
    throw broken;
  };
  await expect(connection.query(slow, [], { onProgress, signal: AbortSignal.timeout(60_000) })).rejects.toBe(broken);
  await expect(connection.query(slow, [], { onProgress: () => Promise.reject(broken) })).rejects.toBe(broken);
  const endless = { text: 'SELECT count(*) FROM range(100000000000) t(i) WHERE hash(i) = 1', values: [] };
  const asking = { onProgress: () => undefined, signal: AbortSignal.timeout(200) };
  await expect(connection.query(endless, [], asking)).rejects.toMatchObject({ name: 'TimeoutError' });
  expect((await connection.run(`SELECT current_setting('enable_progress_bar')`)).values).toEqual([[false]]);
});

test('options of a query are checked where they are given', async () => {
  await using storage = new MemoryStorage();
  const query = storage.sql`SELECT 1`;
  const invalid = expect.objectContaining({ code: 'OPTION_INVALID' });
  expect(() => query.with({ onProgress: 1 as never })).toThrow(invalid);
  expect(() => query.with({ signal: {} as never })).toThrow(invalid);
  for (const options of [null, undefined, 1, [], { sginal: AbortSignal.abort() }])
    expect(() => query.with(options as never)).toThrow(invalid);
  const table = await query.toArrow();
  for (const options of [null, { row: 1 }, { rows: -1 }]) expect(() => table.toHTML(options as never)).toThrow(invalid);
});

test('a query with other options can be exported as the one it was made from', async () => {
  const folder = temporaryFolder();
  await using storage = await filled((_folder, options) => new MemoryStorage(options));
  const query = storage.sql`SELECT DISTINCT flow FROM scopes`.with({ signal: AbortSignal.timeout(60_000) });
  expect(await storage.export(join(folder, 'flows.csv'), { query })).toMatchObject({ rows: 1 });
});

test('a result is given up while it is copied, once its signal aborts', async () => {
  const instance = await DuckDBInstance.create(':memory:');
  const raw = await instance.connect();
  onTestFinished(() => {
    raw.closeSync();
    instance.closeSync();
  });
  const result = await raw.run(`SELECT range AS i, 'a text of ' || range AS t FROM range(1000000)`);
  const controller = new AbortController();
  const reason = new Error('enough');
  setTimeout(() => controller.abort(reason), 1);
  await expect(readColumns(result, controller.signal)).rejects.toMatchObject({ reason });
});

/** Statements that would open, write or change something, with every way to hide one in a SELECT. */
function harmful(target: string): fc.Arbitrary<string> {
  const file = fc.constantFrom(
    `${target}/a.csv`,
    `${target}/a.parquet`,
    `${target}/b.duckdb`,
    `${target}/*.json`,
    `./a.csv`,
    `/etc/passwd`,
  );
  const quoted = (path: string): string => `'${path}'`;
  const changing = file.chain((path) =>
    fc.constantFrom(
      `COPY (SELECT 42 AS i) TO ${quoted(path)}`,
      `COPY tags TO ${quoted(path)} (FORMAT parquet)`,
      `EXPORT DATABASE ${quoted(path)}`,
      `ATTACH ${quoted(path)} AS other`,
      `CREATE TABLE mine AS SELECT 1`,
      `DELETE FROM raw.tags`,
      `UPDATE raw.scopes SET flow = 'x'`,
      `INSERT INTO raw.tags SELECT * FROM raw.tags`,
      `DROP VIEW tags`,
      `SET memory_limit = '1KB'`,
      `PRAGMA enable_profiling`,
      'CHECKPOINT',
      'INSTALL httpfs',
      'LOAD httpfs',
      `IMPORT DATABASE ${quoted(path)}`,
      'CALL force_checkpoint()',
    ),
  );
  const source = file.chain((path) =>
    fc.constantFrom(
      quoted(path),
      `"${path}"`,
      `read_csv(${quoted(path)})`,
      `read_text([${quoted(path)}])`,
      `read_blob(${quoted(path)})`,
      `read_json(${quoted(path)})`,
      `read_parquet(${quoted(path)})`,
      `parquet_metadata(${quoted(path)})`,
      `sniff_csv(${quoted(path)})`,
      `glob(${quoted(path)})`,
      `READ_CSV_AUTO(${quoted(path)})`,
      `query_table(${quoted(path)})`,
      `query('COPY (SELECT 1) TO ''${path}''')`,
      `enable_logging(storage := 'file', storage_path := ${quoted(path)})`,
      `enable_profiling(save_location := ${quoted(path)})`,
      'force_checkpoint()',
      'checkpoint()',
      `json_execute_serialized_sql(json_serialize_sql('SELECT 1'))`,
      `(COPY tags TO ${quoted(path)})`,
      `main.read_text(${quoted(path)})`,
      `system.main.read_text(${quoted(path)})`,
    ),
  );
  const { statement } = fc.letrec<{ statement: string; select: string }>((tie) => ({
    select: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      source.map((from) => `SELECT * FROM ${from}`),
      source.map((from) => `FROM ${from}`),
      tie('select').map((inner) => `WITH hidden AS MATERIALIZED (${inner}) SELECT * FROM hidden`),
      tie('select').map((inner) => `SELECT (SELECT count(*) FROM (${inner})) AS n FROM tags`),
      tie('select').map((inner) => `SELECT 1 FROM scopes WHERE EXISTS (${inner})`),
      tie('select').map((inner) => `SELECT [1, (SELECT count(*) FROM (${inner}))]`),
      tie('select').map((inner) => `SELECT list_transform([1], lambda x: x + (SELECT count(*) FROM (${inner})))`),
      tie('select').map((inner) => `SELECT {'a': (SELECT count(*) FROM (${inner}))}`),
      tie('select').map((inner) => `SELECT 1 UNION ALL SELECT count(*) FROM (${inner})`),
      tie('select').map((inner) => `SELECT * FROM tags, LATERAL (${inner}) AS beside`),
      tie('select').map(
        (inner) =>
          `WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 2) SELECT *, (SELECT count(*) FROM (${inner})) FROM r`,
      ),
      tie('select').map((inner) => `SELECT 1 ORDER BY (SELECT count(*) FROM (${inner}))`),
      tie('select').map((inner) => `SELECT count(*) FILTER ((SELECT count(*) FROM (${inner})) > 0) FROM tags`),
      tie('select').map((inner) => `FROM (DESCRIBE ${inner})`),
      tie('select').map((inner) => `SUMMARIZE ${inner}`),
    ),
    statement: fc.oneof(
      { weight: 4, arbitrary: tie('select') },
      changing,
      changing.map((change) => `SELECT 1; ${change}`),
      changing.map((change) => `/* SELECT */ ${change}; SELECT 1`),
      changing.map((change) => `EXPLAIN ANALYZE ${change}`),
      changing.map((change) => `WITH a AS (${change}) SELECT 1`),
      changing.map((change) => `SELECT * FROM (${change})`),
      changing.map((change) => `PREPARE p AS ${change}`),
      tie('select').map((inner) => `CREATE OR REPLACE VIEW tags AS ${inner}`),
    ),
  }));
  return statement;
}

test('nothing that a SELECT can be hidden in opens or writes a file beside an open DuckDB file, or changes it', async () => {
  const folder = temporaryFolder();
  const target = join(folder, 'target');
  mkdirSync(target);
  writeFileSync(join(target, 'a.csv'), 'a\n1\n');
  const storage = await filled((_folder, options) => new DuckDBStorage(join(folder, 'history.duckdb'), options));
  onTestFinished(() => storage.close());
  const state = () => readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted();
  const [files, tags] = [state(), await storage.sql`SELECT * FROM tags ORDER BY ALL`];
  const property = fc.asyncProperty(harmful(target), async (text) => {
    const error = await ask(storage, text)
      .result()
      .then(
        () => null,
        (reason: Error) => reason,
      );
    expect(error, text).toMatchObject({ code: 'SQL_INVALID' });
    if (!/syntax error/i.test(String(error?.message))) understood++;
  });
  let understood = 0;
  await fc.assert(property, { seed: 4, numRuns: isLarge ? 20_000 : 2_000 });
  expect(understood).toBeGreaterThan(isLarge ? 10_000 : 1_000);
  expect(state()).toEqual(files);
  expect(readFileSync(join(target, 'a.csv'), 'utf8')).toBe('a\n1\n');
  expect(await storage.sql`SELECT * FROM tags ORDER BY ALL`).toEqual(tags);
}, 120_000);

describe('sqlFiles', () => {
  const makes = kinds.filter(([name]) => name !== 'DuckDBStorage');

  test.each(makes)('lets SELECTs of a %s read a folder, nothing beside it, and write nothing', async (_name, make) => {
    const folder = temporaryFolder();
    const [inside, outside] = [join(folder, 'exp[1]'), join(folder, 'exp[1]-2')];
    for (const path of [inside, outside]) {
      mkdirSync(path);
      writeFileSync(join(path, 'a.csv'), 'flow,owner\ndigits,ann\n');
    }
    const storage = await filled(make, { sqlFiles: [inside] });
    onTestFinished(() => storage.close());
    const path = join(inside, 'a.csv').replaceAll('[', '[[]');
    expect(await storage.sql`SELECT DISTINCT owner FROM scopes JOIN read_csv(${path}) USING (flow)`).toEqual([{ owner: 'ann' }]);
    const state = () => readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted();
    const before = state();
    const target = join(inside, 'out.csv');
    for (const text of [
      `FROM read_csv('${join(outside, 'a.csv').replaceAll('[', '[[]')}')`,
      `FROM read_text('${inside}/../exp[[]1]-2/a.csv')`,
      `FROM read_text('/etc/passwd')`,
      `COPY (SELECT 1) TO '${target}'`,
      `EXPLAIN ANALYZE COPY (SELECT 1) TO '${target}'`,
      `FROM enable_logging(storage := 'file', storage_path := '${inside}')`,
      `FROM enable_profiling(save_location := '${target}')`,
      `FROM query('COPY (SELECT 1) TO ''${target}''')`,
      `FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))`,
      `ATTACH '${target}' AS mine`,
      `EXPORT DATABASE '${inside}'`,
      `SET allowed_directories = ['/']`,
      'LOAD httpfs',
      `FROM read_csv('https://example.com/a.csv')`,
      `SELECT write_log('a')`,
    ])
      await expect(ask(storage, text).result(), text).rejects.toMatchObject({ code: 'SQL_INVALID' });
    expect(state()).toEqual(before);
  });

  test.each(makes)('any lets SELECTs of a %s read what the process can, and still write nothing', async (_name, make) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a.csv'), 'flow,owner\ndigits,ann\n');
    const storage = await filled(make, { sqlFiles: 'any' });
    onTestFinished(() => storage.close());
    expect(await storage.sql`FROM read_csv(${join(folder, 'a.csv')})`).toEqual([{ flow: 'digits', owner: 'ann' }]);
    for (const text of [
      `COPY (SELECT 1) TO '${folder}/out.csv'`,
      `FROM enable_logging(storage := 'file', storage_path := '${folder}')`,
      'SET threads = 1',
      `FROM read_csv('https://example.com/a.csv')`,
      `FROM duckdb_settings() WHERE error('never') IS NULL; SELECT 1`,
    ])
      await expect(ask(storage, text).result(), text).rejects.toMatchObject({ code: 'SQL_INVALID' });
    expect(readdirSync(folder)).toEqual(['a.csv']);
    expect(readFileSync(join(folder, 'a.csv'), 'utf8')).toContain('ann');
  });

  test('reads nothing while this process has a DuckDB file open, whose lock would go', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a.csv'), 'a\n1\n');
    await using storage = await filled((_folder, options) => new MemoryStorage(options), { sqlFiles: [folder] });
    const read = () => ask(storage, `FROM read_csv('${join(folder, 'a.csv')}')`).result();
    const file = await filled(() => new DuckDBStorage(join(folder, 'history.duckdb')));
    await expect(read()).rejects.toMatchObject({ code: 'SQL_INVALID', message: expect.stringContaining('close that storage') });
    await file.close();
    expect((await read()).rowCount).toBe(1);
  });

  test('is refused by a DuckDBStorage, and where it holds no folders', () => {
    const invalid = expect.objectContaining({ code: 'OPTION_INVALID' });
    expect(() => new DuckDBStorage('history.duckdb', { sqlFiles: ['/data'] })).toThrow(invalid);
    for (const sqlFiles of ['/data', [1], [''], ['a\0'], {}])
      for (const make of [ParquetStorage, JsonStorage])
        expect(() => new make('history', { sqlFiles: sqlFiles as never })).toThrow(invalid);
    expect(() => new MemoryStorage({ sqlFiles: 'all' as never })).toThrow(invalid);
  });
});
