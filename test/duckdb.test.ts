import { existsSync, linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Connection, Database, quoteName, quoteText } from '../src/duckdb.ts';
import { temporaryFolder } from './folders.ts';

const slow = 'SELECT sum(hash(i)) FROM range(20000000) t(i)';

async function memory(): Promise<{ database: Database; connection: Connection }> {
  const database = await Database.open({ threads: 2 });
  onTestFinished(() => database.close());
  return { database, connection: await database.connect() };
}

describe('a connection', () => {
  it('offers nothing of the bindings that could be misused: no stream, appender, prepared statement or interrupt', () => {
    expect(Object.getOwnPropertyNames(Connection.prototype).toSorted()).toEqual(
      [
        'close',
        'columns',
        'constructor',
        'copy',
        'exclusive',
        'plan',
        'query',
        'run',
        'script',
        'select',
        'temporary',
        'transaction',
      ].toSorted(),
    );
    expect(Object.getOwnPropertyNames(Database.prototype).toSorted()).toEqual([
      'close',
      'connect',
      'constructor',
      'isUsable',
      'pin',
      'temporaryFolder',
      'unpin',
    ]);
  });

  it('runs what is called first first, each to its end', async () => {
    const { connection } = await memory();
    await connection.run('CREATE TABLE log (i INTEGER, n BIGINT)');
    const inserts = Array.from({ length: 50 }, (_, i) => connection.run('INSERT INTO log SELECT $1, count(*) FROM log', [i]));
    await Promise.all(inserts);
    expect((await connection.run('SELECT i, n FROM log ORDER BY rowid')).values[1]).toEqual(inserts.map((_, index) => index));
  });

  it('does not let anything between the statements of exclusive, awaited or not', async () => {
    const { connection } = await memory();
    await connection.run('CREATE TABLE log (who VARCHAR)');
    const job = connection.exclusive(async (run) => {
      await run(`INSERT INTO log VALUES ('job')`);
      void run(slow);
      void run(`INSERT INTO log VALUES ('job')`);
    });
    const other = connection.run(`INSERT INTO log VALUES ('other')`);
    await Promise.all([job, other]);
    expect((await connection.run('FROM log')).values[0]).toEqual(['job', 'job', 'other']);
  });

  it('refuses the run of a job that has ended', async () => {
    const { connection } = await memory();
    const kept = await connection.exclusive((run) => Promise.resolve({ run }));
    await expect(kept.run('SELECT 1')).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringContaining('had ended'),
    });
  });

  it.each([
    ['a statement that fails', (run: (text: string) => Promise<unknown>) => run('FROM nothing'), 'nothing'],
    ['an error of the job', () => Promise.reject(new RangeError('of the job')), 'of the job'],
    [
      'a constraint that fails',
      (run: (text: string) => Promise<unknown>) => run('INSERT INTO numbers VALUES (NULL)'),
      'NOT NULL',
    ],
  ])('leaves nothing of a transaction with %s, and works on', async (_label, fail, message) => {
    const { connection } = await memory();
    await connection.run('CREATE TABLE numbers (i INTEGER NOT NULL)');
    const failed = connection.transaction(async (run) => {
      await run('INSERT INTO numbers FROM range(100000)');
      await fail(run);
    });
    await expect(failed).rejects.toThrow(message);
    await expect(connection.transaction((run) => run('INSERT INTO numbers VALUES (1), (2)'))).resolves.toMatchObject({
      rowCount: 1,
    });
    expect((await connection.run('SELECT count(*) FROM numbers')).values).toEqual([[2]]);
  });

  it('lets one of two transactions in conflict fail, whole', async () => {
    const { database, connection } = await memory();
    await connection.run('CREATE TABLE numbers AS SELECT 0 AS i');
    const other = await database.connect();
    const add = (each: Connection) =>
      each.transaction(async (run) => {
        await run('CREATE TABLE IF NOT EXISTS mark (i INTEGER)');
        await run('UPDATE numbers SET i = i + 1');
        await run(slow);
      });
    const outcomes = await Promise.allSettled([add(connection), add(other)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect((await connection.run('FROM numbers')).values).toEqual([[1]]);
  });

  it.each(['BEGIN', 'COMMIT', 'ROLLBACK', 'BEGIN; SELECT 1; COMMIT', 'SELECT 1; SELECT 2', '', '-- nothing', 'SELECT FROM'])(
    'refuses %j in run',
    async (text) => {
      const { connection } = await memory();
      await expect(connection.run(text)).rejects.toMatchObject({
        name: 'MarqueError',
        code: 'DATABASE_FAILED',
        cause: expect.any(Error),
      });
      await expect(connection.run('SELECT 1')).resolves.toMatchObject({ values: [[1]] });
    },
  );

  it('refuses a NUL in text, where DuckDB would stop reading', async () => {
    const { connection } = await memory();
    await expect(connection.run('SELECT 1 \0 FROM nothing')).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(connection.script('SELECT 1; \0 FROM nothing')).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect(() => quoteName('a\0b')).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    expect(() => quoteText('a\0b')).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });

  it('runs a script to its first error', async () => {
    const { connection } = await memory();
    const script = `
      CREATE TABLE a AS SELECT 1 AS i; /* ; */ INSERT INTO a SELECT i + 1 FROM a; SET VARIABLE s = ';';
      FROM nothing;
      DROP TABLE a;`;
    await expect(connection.script(script)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
    expect((await connection.run(`SELECT count(*), getvariable('s') FROM a`)).values).toEqual([[2], [';']]);
  });

  it.each(['simple', 'with space', 'select', 'a"b', `a'b`, 'Ünï', '\u{1F600}', ''.padEnd(300, 'x')])(
    'takes %j as a quoted name and text',
    async (name) => {
      const { connection } = await memory();
      const { columns, values } = await connection.run(`SELECT ${quoteText(name)} AS ${quoteName(name)}`);
      expect([columns[0]?.name, values]).toEqual([name, [[name]]]);
    },
  );
});

describe('close', () => {
  it('waits for everything that was called before, on every connection, and is idempotent', async () => {
    const { database, connection } = await memory();
    const other = await database.connect();
    const ended: string[] = [];
    const queries = [connection.run(slow), connection.run(slow), other.run(slow)];
    const noted = queries.map((query) => query.then(() => ended.push('query')));
    const closing = [database.close(), connection.close(), database.close()].map((close) =>
      close.then(() => ended.push('close')),
    );
    await Promise.all([...noted, ...closing]);
    expect(ended.slice(0, 2)).toEqual(['query', 'query']);
    expect(ended.at(-1)).toBe('close');
    expect(ended.indexOf('close')).toBeGreaterThan(1);
    await database.close();
  });

  it('refuses what is called after it', async () => {
    const { database, connection } = await memory();
    const closing = database.close();
    const refused = { name: 'MarqueError', code: 'STORE_CLOSED' };
    const calls = [
      () => connection.run('SELECT 1'),
      () => connection.script('SELECT 1'),
      () => connection.select({ text: 'SELECT 1', values: [] }),
      () => connection.exclusive(() => Promise.resolve()),
      () => connection.transaction(() => Promise.resolve()),
      () => database.connect(),
      async () => database.pin([]),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject(refused);
    await closing;
    for (const call of calls) await expect(call()).rejects.toMatchObject(refused);
  });

  it('survives being called in the midst of work, a hundred times', async () => {
    for (let round = 0; round < 100; round++) {
      const database = await Database.open({ threads: 2 });
      const connections = await Promise.all([database.connect(), database.connect()]);
      const work = connections.flatMap((connection) => [
        connection.run('CREATE TABLE IF NOT EXISTS a AS SELECT i, hash(i) FROM range(5000) t(i)').catch(() => undefined),
        connection.select({ text: `SELECT count(*) FROM range(10000) t(i) WHERE hash(i) % 3 = ${round}`, values: [] }),
        connection.run('FROM nothing').catch(() => undefined),
      ]);
      if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, round / 20));
      const [, ...results] = await Promise.all([database.close(), ...work]);
      expect([results[1]?.rowCount, results[4]?.rowCount]).toEqual([1, 1]);
    }
  });

  it('happens at the end of an await using', async () => {
    let kept: Connection | undefined;
    {
      await using database = await Database.open();
      await using connection = await database.connect();
      kept = connection;
      await connection.run('SELECT 1');
    }
    await expect(kept.run('SELECT 1')).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});

describe('a database in a file', () => {
  it('is opened once in a process, whatever it is called, and again after close', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'a.duckdb');
    symlinkSync(path, join(folder, 'symbolic.duckdb'));
    const database = await Database.open({ path });
    const connection = await database.connect();
    await connection.run('CREATE TABLE numbers AS FROM range(10)');
    linkSync(path, join(folder, 'hard.duckdb'));
    for (const other of [path, relative('.', path), join(folder, '.', 'symbolic.duckdb'), join(folder, 'hard.duckdb')]) {
      await expect(Database.open({ path: other })).rejects.toMatchObject({ name: 'MarqueError', code: 'STORE_LOCKED' });
    }
    await database.close();
    await using again = await Database.open({ path });
    expect((await (await again.connect()).run('SELECT count(*) FROM numbers')).values).toEqual([[10]]);
  });

  it('that does not exist yet is opened once, too, of many opens at once', async () => {
    const path = join(temporaryFolder(), 'a.duckdb');
    const opens = await Promise.allSettled(Array.from({ length: 5 }, () => Database.open({ path })));
    const opened = opens.filter((open) => open.status === 'fulfilled');
    expect(opened).toHaveLength(1);
    await opened[0]?.value.close();
  });

  it.each([
    ['a folder', (path: string) => mkdirSync(path)],
    [
      'a file of something else',
      (path: string) => writeFileSync(path, 'something else, but long enough to be read as a header'.repeat(100)),
    ],
  ])('that is %s is an error, and can be opened once it is not', async (_label, make) => {
    const folder = temporaryFolder();
    const path = join(folder, 'a.duckdb');
    make(path);
    await expect(Database.open({ path })).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringContaining(path),
    });
    const other = await Database.open({ path: join(folder, 'b.duckdb') });
    await other.close();
  });

  it('keeps commits that were acknowledged when a checkpoint fails, says that it must be opened again, and can be', async () => {
    const path = join(temporaryFolder(), 'a.duckdb');
    const database = await Database.open({ path, allowed: 'any' });
    const connection = await database.connect();
    await connection.script(`CREATE TABLE numbers (i BIGINT); SET debug_checkpoint_abort = 'before_header'`);
    await connection.run('INSERT INTO numbers FROM range(1000)'); // no checkpoint by itself, so no failure
    expect(database.isUsable).toBe(true);
    await expect(connection.run('CHECKPOINT')).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringContaining('opened again'),
    });
    expect(database.isUsable).toBe(false);
    await expect(connection.run('SELECT 1')).rejects.toThrow('opened again');
    await expect(connection.select({ text: 'SELECT 1', values: [] })).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
    await database.close();
    await using again = await Database.open({ path });
    expect((await (await again.connect()).run('SELECT count(*) FROM numbers')).values).toEqual([[1_000]]);
  });
});

describe('what SQL can reach outside', () => {
  const reach = (folder: string) => [
    `COPY (SELECT 1 AS a) TO ${quoteText(join(folder, 'a.parquet'))}`,
    `FROM read_parquet(${quoteText(join(folder, 'a.parquet'))})`,
  ];

  it('is nothing by default', async () => {
    const { connection } = await memory();
    for (const text of reach(temporaryFolder())) await expect(connection.run(text)).rejects.toThrow('Permission Error');
  });

  it('is the allowed folders, also through a link, and no folder whose name begins alike', async () => {
    const folder = temporaryFolder();
    const [allowed, alike, link] = ['store', 'store-2', 'link'].map((name) => join(folder, name)) as [string, string, string];
    mkdirSync(allowed);
    mkdirSync(alike);
    symlinkSync(allowed, link);
    await using database = await Database.open({ allowed: [link] });
    const connection = await database.connect();
    for (const text of [...reach(allowed), ...reach(link)]) await connection.run(text);
    for (const text of [...reach(alike), ...reach(join(allowed, '..', 'store-2'))])
      await expect(connection.run(text)).rejects.toThrow('Permission Error');
  });

  it('is everything, and settings are open, with any', async () => {
    await using database = await Database.open({ allowed: 'any' });
    const connection = await database.connect();
    const texts = [...reach(temporaryFolder()), 'SET threads = 1'];
    for (const text of texts) await expect(connection.run(text)).resolves.toBeDefined();
  });

  it.each([
    'SET threads = 1',
    'SET enable_external_access = true',
    `SET allowed_directories = ['/']`,
    'RESET lock_configuration',
  ])('cannot be widened by %s', async (text) => {
    const { connection } = await memory();
    await expect(connection.run(text)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
  });

  it('includes a folder of its own to spill into, removed at close', async () => {
    const database = await Database.open({ memoryLimit: '50MB', threads: 2 });
    const connection = await database.connect();
    const folder = (await connection.run(`SELECT current_setting('temp_directory')`)).values[0]?.[0] as string;
    const spilled: number[] = [];
    const watch = setInterval(() => spilled.push(readdirSync(folder).length), 5);
    const { values } = await connection.run(
      'SELECT count(*) FROM (SELECT hash(i) AS h FROM range(8000000) t(i) ORDER BY h OFFSET 1)',
    );
    clearInterval(watch);
    expect(values).toEqual([[7_999_999]]);
    expect(Math.max(...spilled)).toBeGreaterThan(0);
    await database.close();
    expect(existsSync(folder)).toBe(false);
  });

  it('is in UTC, whatever the time zone of the machine', async () => {
    const { connection } = await memory();
    expect((await connection.run(`SELECT current_setting('TimeZone'), TIMESTAMPTZ '2020-06-01 12:00:00'`)).values).toEqual([
      ['UTC'],
      [new Date('2020-06-01T12:00:00Z')],
    ]);
  });

  it.each([0, -1, 1.5, NaN])('needs a whole number of threads, not %d', async (threads) => {
    await expect(Database.open({ threads })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});
