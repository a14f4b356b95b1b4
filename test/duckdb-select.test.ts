import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBPreparedStatement } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Connection, Database } from '../src/duckdb.ts';
import { refusal } from '../src/readonly.ts';
import { temporaryFolder } from './folders.ts';

let database: Database;
let connection: Connection;
beforeAll(async () => {
  database = await Database.open();
  connection = await database.connect();
  await connection.script(`
    CREATE TABLE numbers AS SELECT i FROM range(3) t(i);
    CREATE VIEW doubled AS SELECT i * 2 AS i FROM numbers;
    CREATE MACRO above(least) AS TABLE SELECT * FROM numbers WHERE i > least;
    PREPARE planned AS SELECT 1;
  `);
});
afterAll(() => database.close());

function select(text: string) {
  return connection.select({ text, values: [] });
}

describe('select runs everything that only reads', () => {
  it.each([
    'SELECT 1',
    'select 1;',
    ' \n SELECT 1 ; ; -- and a comment; DROP TABLE numbers',
    '/* first */ SELECT /* then */ 1',
    'FROM numbers',
    'FROM numbers SELECT i WHERE i > 0',
    'TABLE numbers',
    'VALUES (1), (2)',
    '(SELECT 1) UNION ALL (FROM doubled)',
    'WITH a AS (SELECT 1), b AS MATERIALIZED (FROM a) FROM b',
    'WITH RECURSIVE t AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM t WHERE i < 3) FROM t',
    'PIVOT numbers ON i IN (0, 1) USING count(*)',
    'UNPIVOT numbers ON i',
    'DESCRIBE numbers',
    'SUMMARIZE numbers',
    'SHOW TABLES',
    'DESCRIBE SELECT * FROM doubled',
    'FROM above(1)',
    'FROM range(3), unnest([1, 2])',
    `FROM json_each('{"a": 1}')`,
    `FROM query_table('numbers')`,
    'FROM duckdb_tables()',
    'SELECT list_transform([1, 2], lambda x: x + 1), [x FOR x IN [1, 2] IF x > 1]',
    `SELECT 'FROM enable_logging()', 'read_text(1)' AS "checkpoint"`,
    'SELECT i AS query FROM numbers AS checkpoint',
    `SELECT 'x'::JSON AS "variant", 'VARIANT' AS id WHERE false`,
    `SELECT json_transform('{"a": 1}', '{"a": "INTEGER"}')`,
    `SELECT from_json_strict('[{"a": [1]}]', '[{"a": ["DOUBLE"]}]')`,
    `SELECT '{"a": 1}'::JSON::STRUCT(a INTEGER)`,
  ])('%s', async (text) => {
    await expect(select(text)).resolves.toMatchObject({ columns: expect.anything() });
  });
});

describe('select refuses everything else, and nothing has happened', () => {
  const folder = '/tmp/marque-evil';
  it.each([
    '',
    ' ',
    ';',
    '-- nothing but a comment',
    'SELECT',
    'SELECT 1; SELECT 2',
    'SELECT 1; DROP TABLE numbers',
    'SELECT 1\0',
    'DROP TABLE numbers',
    'DELETE FROM numbers RETURNING *',
    'TRUNCATE numbers',
    'UPDATE numbers SET i = 5',
    'INSERT INTO numbers VALUES (9)',
    'INSERT INTO numbers SELECT 9 RETURNING i',
    'WITH a AS (SELECT 9 AS i) INSERT INTO numbers FROM a',
    'WITH a AS (INSERT INTO numbers VALUES (9) RETURNING i) FROM a',
    'MERGE INTO numbers USING doubled ON numbers.i = doubled.i WHEN MATCHED THEN DELETE',
    'CREATE TABLE other AS SELECT 1',
    'CREATE OR REPLACE VIEW doubled AS SELECT 1',
    'CREATE TEMP MACRO f() AS 1',
    'CREATE SECRET s (TYPE s3)',
    'ALTER TABLE numbers ADD COLUMN j INTEGER',
    `COMMENT ON TABLE numbers IS 'a'`,
    'SELECT 1 INTO other',
    `COPY numbers TO '${folder}'`,
    `COPY (SELECT 1) TO '${folder}'`,
    `COPY numbers FROM '/etc/passwd'`,
    'COPY FROM DATABASE memory TO memory',
    'EXPLAIN SELECT 1',
    'EXPLAIN ANALYZE SELECT 1',
    `EXPLAIN ANALYZE COPY numbers TO '${folder}'`,
    `EXPORT DATABASE '${folder}'`,
    `IMPORT DATABASE '${folder}'`,
    `ATTACH '${folder}' AS other`,
    'DETACH memory',
    'USE memory',
    'PRAGMA database_list',
    `PRAGMA table_info('numbers')`,
    'PRAGMA enable_profiling',
    'PRAGMA threads = 1',
    'SET threads = 1',
    'RESET threads',
    'SET VARIABLE a = 1',
    'CALL pragma_version()',
    'CALL enable_logging()',
    'CHECKPOINT',
    'VACUUM',
    'ANALYZE',
    'BEGIN',
    'COMMIT',
    'ROLLBACK',
    'PREPARE p AS SELECT 1',
    'EXECUTE planned',
    'DEALLOCATE planned',
    'LOAD json',
    'INSTALL httpfs',
    'UPDATE EXTENSIONS',
    'PIVOT numbers ON i USING count(*)',
    `FROM read_text('/etc/passwd')`,
    `FROM read_csv('/etc/passwd')`,
    `FROM read_blob('/etc/*')`,
    `FROM read_parquet(['/etc/passwd'])`,
    `FROM '/etc/passwd.csv'`,
    `FROM glob('/etc/*')`,
    `FROM sniff_csv('/etc/passwd')`,
    `FROM query_table('/etc/passwd.csv')`,
    `FROM read_csv('https://example.com/a.csv')`,
    'FROM enable_logging()',
    `FROM enable_logging(storage := 'file', storage_path := '${folder}')`,
    'FROM disable_logging()',
    'FROM truncate_duckdb_logs()',
    'FROM enable_profiling()',
    `FROM Enable_Profiling(format := 'json', save_location := '${folder}')`,
    'FROM /* hidden */ "enable_profiling" /**/ ()',
    'FROM system.main.enable_profiling()',
    'SELECT (SELECT count(*) FROM checkpoint())',
    'WITH a AS (FROM force_checkpoint()) FROM a',
    'DESCRIBE FROM enable_profiling()',
    'SUMMARIZE FROM enable_profiling()',
    'SELECT * FROM numbers, LATERAL (SELECT i FROM enable_profiling())',
    `FROM query('FROM enable_' || 'profiling()')`,
    `FROM json_execute_serialized_sql(json_serialize_sql('FROM enable_profiling()'))`,
    `SELECT json_serialize_plan('FROM enable_profiling()')`,
    'FROM enable_peg_parser()',
    `SELECT write_log('a')`,
    `SELECT ${'('.repeat(20_000)}1${')'.repeat(20_000)}`,
    `SELECT ${'['.repeat(5_000)}${']'.repeat(5_000)}`,
  ])('%s', async (text) => {
    const settings = `SELECT name, value FROM duckdb_settings() WHERE name NOT LIKE '%time%' ORDER BY ALL`;
    const tables = 'SELECT sql FROM duckdb_tables() UNION ALL SELECT sql FROM duckdb_views() WHERE NOT internal ORDER BY ALL';
    const state = async () => [
      await connection.run(settings),
      await connection.run(tables),
      await connection.run('FROM numbers ORDER BY i'),
    ];
    const before = await state();
    await expect(select(text)).rejects.toMatchObject({ name: 'MarqueError', code: 'SQL_INVALID' });
    expect(await state()).toEqual(before);
    expect(existsSync(folder)).toBe(false);
  });

  it('every table function there is has been judged: a new one in an upgrade must be, too', async () => {
    const text = `SELECT DISTINCT function_name AS name FROM duckdb_functions() WHERE function_type = 'table' ORDER BY name`;
    const names = (await connection.run(text)).values[0] as string[];
    const tree = (name: string) => JSON.stringify({ function_name: name });
    const refused = names.filter((name) => refusal(tree(name), null) !== null);
    const refusedInFile = names.filter((name) => refusal(tree(name), 'no') !== null && !refused.includes(name));
    const rest = names.filter((name) => !refused.includes(name) && !refusedInFile.includes(name));
    expect({ refused, refusedInFile, rest }).toMatchInlineSnapshot(`
      {
        "refused": [
          "arrow_scan",
          "arrow_scan_dumb",
          "check_peg_parser",
          "checkpoint",
          "disable_logging",
          "disable_peg_parser",
          "disable_profiling",
          "enable_logging",
          "enable_peg_parser",
          "enable_profiling",
          "force_checkpoint",
          "json_execute_serialized_sql",
          "query",
          "seq_scan",
          "truncate_duckdb_logs",
        ],
        "refusedInFile": [
          "glob",
          "parquet_bloom_probe",
          "parquet_file_metadata",
          "parquet_full_metadata",
          "parquet_kv_metadata",
          "parquet_metadata",
          "parquet_scan",
          "parquet_schema",
          "query_table",
          "read_blob",
          "read_csv",
          "read_csv_auto",
          "read_duckdb",
          "read_json",
          "read_json_auto",
          "read_json_objects",
          "read_json_objects_auto",
          "read_ndjson",
          "read_ndjson_auto",
          "read_ndjson_objects",
          "read_parquet",
          "read_text",
          "sniff_csv",
        ],
        "rest": [
          "batch",
          "duckdb_approx_database_count",
          "duckdb_columns",
          "duckdb_connection_count",
          "duckdb_constraints",
          "duckdb_coordinate_systems",
          "duckdb_databases",
          "duckdb_dependencies",
          "duckdb_extensions",
          "duckdb_external_file_cache",
          "duckdb_functions",
          "duckdb_indexes",
          "duckdb_keywords",
          "duckdb_log_contexts",
          "duckdb_logs",
          "duckdb_memory",
          "duckdb_optimizers",
          "duckdb_prepared_statements",
          "duckdb_schemas",
          "duckdb_secret_types",
          "duckdb_secrets",
          "duckdb_sequences",
          "duckdb_settings",
          "duckdb_table_sample",
          "duckdb_tables",
          "duckdb_temporary_files",
          "duckdb_types",
          "duckdb_variables",
          "duckdb_views",
          "generate_series",
          "icu_calendar_names",
          "json_each",
          "json_tree",
          "pg_timezone_names",
          "pragma_collations",
          "pragma_database_size",
          "pragma_metadata_info",
          "pragma_platform",
          "pragma_show",
          "pragma_storage_info",
          "pragma_table_info",
          "pragma_user_agent",
          "pragma_version",
          "range",
          "repeat",
          "repeat_row",
          "sql_auto_complete",
          "summary",
          "test_all_types",
          "test_vector_types",
          "unnest",
          "which_secret",
        ],
      }
    `);
  });
});

describe('a database in a file', () => {
  it('reads no files through select, since reading its own would drop its lock', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'history.duckdb');
    writeFileSync(join(folder, 'a.csv'), 'a\n1\n');
    await using own = await Database.open({ path, allowed: [folder] });
    const reader = await own.connect();
    for (const text of [
      `FROM '${path}'`,
      `FROM "${path}"`,
      `DESCRIBE '${path}'`,
      `FROM read_blob('${path}')`,
      `FROM read_blob('${folder}/' || 'history.duckdb')`,
      `FROM read_text('${folder}/*')`,
      `FROM read_csv('${folder}/a.csv')`,
      `FROM '${folder}/a.csv'`,
      `FROM query_table('${path}')`,
      `FROM parquet_schema('${path}')`,
      `FROM read_duckdb('${path}')`,
    ]) {
      await expect(reader.select({ text, values: [] })).rejects.toMatchObject({
        code: 'SQL_INVALID',
        message: expect.stringContaining('file'),
      });
    }
    await expect(reader.select({ text: 'FROM history.main.duckdb_tables()', values: [] })).rejects.toThrow('Catalog Error');
  });
});

describe('a statement for select', () => {
  it('sees what the statements before it have set, and binds its values', async () => {
    const before = [
      { text: 'SET VARIABLE least = $1', values: [1] },
      { text: 'SET VARIABLE names = $1', values: [['a', 'b']] },
    ];
    const text = `SELECT i, $1 AS bound, getvariable('names') AS names FROM numbers WHERE i > getvariable('least')`;
    expect((await connection.select({ text, values: ['x'] }, before)).values).toEqual([[2], ['x'], [['a', 'b']]]);
  });

  it('is refused before the statements before it have run', async () => {
    await expect(
      connection.select({ text: 'DROP TABLE numbers', values: [] }, [{ text: 'SET VARIABLE ran = 1', values: [] }]),
    ).rejects.toThrow('is something else');
    expect((await connection.run(`SELECT getvariable('ran')`)).values).toEqual([[null]]);
  });

  it('fails with the message of DuckDB, which points at the place', async () => {
    await expect(select('SELECT j FROM numbers')).rejects.toThrow(/Binder Error: .*"j" not found[^]*LINE 1/);
  });

  it.each([
    ['SELECT 1 FROM', 'SQL_INVALID', 'syntax error'],
    ['SELECT j FROM numbers', 'SQL_INVALID', 'Binder Error'],
    ['FROM nothing', 'SQL_INVALID', 'Catalog Error'],
    [`SELECT 'a'::INTEGER`, 'SQL_INVALID', 'Conversion Error'],
    ['SELECT 9223372036854775807 + 1::BIGINT', 'SQL_INVALID', 'Out of Range Error'],
    [`SELECT error('mine')`, 'SQL_INVALID', 'Invalid Input Error: mine'],
    [`SELECT error('IO Error: mine')`, 'SQL_INVALID', 'Invalid Input Error: IO Error: mine'],
    [`FROM read_csv('/etc/passwd')`, 'SQL_INVALID', 'Permission Error'],
    [
      `SELECT repeat('a', i) FROM range(400000, 400900) t(i) ORDER BY 1`,
      'DATABASE_FAILED',
      'DuckDB is out of memory: give the storage a higher memoryLimit',
    ],
  ])('%s fails as %s', async (text, code, message) => {
    await using small = await Database.open({ memoryLimit: '30MB', threads: 1 });
    const reader = await small.connect();
    await reader.script('CREATE TABLE numbers AS SELECT 1 AS i');
    await expect(reader.select({ text, values: [] })).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('that fails at an internal error has stopped DuckDB, which then has to be opened again', async () => {
    await using own = await Database.open();
    const reader = await own.connect();
    const internal = new Error('INTERNAL Error: Attempted to access index 1 within vector of size 1');
    const prepare = vi.spyOn(DuckDBPreparedStatement.prototype, 'run').mockRejectedValueOnce(internal);
    onTestFinished(() => prepare.mockRestore());
    await expect(reader.run('SELECT 1')).rejects.toThrow('opened again');
    expect(own.isUsable).toBe(false);
  });

  it('that fails half way is an error and never a part of the rows', async () => {
    await expect(select(`SELECT if(i = 2900000, error('half way'), i) FROM range(3000000) t(i)`)).rejects.toThrow('half way');
  });
});
