import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Connection, Database } from '../src/duckdb.ts';
import type { SqlValue } from '../src/store.ts';

let database: Database;
let connection: Connection;
beforeAll(async () => {
  database = await Database.open();
  connection = await database.connect();
});
afterAll(() => database.close());

async function one(text: string, values: readonly SqlValue[] = []): Promise<{ value: unknown; type: string }> {
  const result = await connection.run(text, values);
  expect(result.rowCount).toBe(1);
  return { value: result.values[0]?.[0], type: result.columns[0]?.type as string };
}

describe('a bound value comes back as it was, with the type of its JavaScript value', () => {
  const rows: [label: string, value: SqlValue, type: string][] = [
    ['zero', 0, 'DOUBLE'],
    ['minus zero', -0, 'DOUBLE'],
    ['an integer', 1, 'DOUBLE'],
    ['a fraction', 0.1, 'DOUBLE'],
    ['the smallest number', 5e-324, 'DOUBLE'],
    ['NaN', NaN, 'DOUBLE'],
    ['infinity', Infinity, 'DOUBLE'],
    ['minus infinity', -Infinity, 'DOUBLE'],
    ['the greatest bigint', 2n ** 63n - 1n, 'BIGINT'],
    ['the least bigint', -(2n ** 63n), 'BIGINT'],
    ['true', true, 'BOOLEAN'],
    ['an empty text', '', 'VARCHAR'],
    ['twelve bytes', 'twelve bytes', 'VARCHAR'],
    ['thirteen bytes', 'thirteen byte', 'VARCHAR'],
    ['NUL inside', 'a\0b', 'VARCHAR'],
    ['a leading byte order mark', '\uFEFFa', 'VARCHAR'],
    ['a long text that begins with a byte order mark', '\uFEFFlonger than twelve', 'VARCHAR'],
    ['astral characters', '\u{1F600}\u{10FFFF}', 'VARCHAR'],
    ['quotes', `'"\\$1;--`, 'VARCHAR'],
    ['a megabyte of text', 'ä'.repeat(500_000), 'VARCHAR'],
    ['a date', new Date('2020-02-29T12:34:56.789Z'), 'TIMESTAMP_MS'],
    ['a date before 1970', new Date(-1), 'TIMESTAMP_MS'],
    ['the last date', new Date(8.64e15), 'TIMESTAMP_MS'],
    ['no bytes', new Uint8Array(0), 'BLOB'],
    ['bytes', Uint8Array.of(0, 255, 1, 254), 'BLOB'],
    ['part of a larger buffer', Uint8Array.from({ length: 50 }, (_, index) => index).subarray(10, 40), 'BLOB'],
    ['texts', ['a', null, '', 'a text that is longer than twelve bytes', '\uFEFF', 'a\0b'], 'VARCHAR[]'],
    ['numbers', [1, null, -0, NaN, -Infinity], 'DOUBLE[]'],
    ['bigints', [2n ** 62n, null], 'BIGINT[]'],
    ['null', null, 'INTEGER'],
    ['an empty list', [], 'INTEGER[]'],
    ['a list of nulls', [null, null], 'INTEGER[]'],
  ];
  it.each(rows)('%s', async (_label, value, type) => {
    expect(await one('SELECT $1', [value])).toEqual({ value, type });
  });

  it('for any text and any number', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.double(), fc.uint8Array(), async (text, number, bytes) => {
        const { values } = await connection.run('SELECT $1, $2, $3, [$1]', [text, number, bytes]);
        expect(values).toEqual([[text], [number], [bytes], [[text]]]);
      }),
      { numRuns: 100 },
    );
  });

  it('and an empty list fits lists of any type', async () => {
    expect(await one(`SELECT 1::BIGINT IN (SELECT unnest($1)) OR 'a' IN (SELECT unnest($1))`, [[]])).toMatchObject({
      value: false,
    });
  });
});

describe('a value that SQL cannot hold exactly is refused', () => {
  const rows: [label: string, value: unknown][] = [
    ['half of a surrogate pair', 'a\ud800b'],
    ['half of a surrogate pair in a list', ['a', '\udc00']],
    ['a bigint of 65 bits', 2n ** 63n],
    ['a bigint of 65 bits in a list', [2n ** 63n]],
    ['an invalid date', new Date(NaN)],
    ['a list of two types', ['a', 1]],
    ['a list of lists', [['a']]],
    ['undefined', undefined],
    ['an object', {}],
    ['a symbol', Symbol('a')],
  ];
  it.each(rows)('%s', async (_label, value) => {
    await expect(connection.run('SELECT $1', [value as SqlValue])).rejects.toMatchObject({
      name: 'MarqueError',
      code: 'VALUE_INVALID',
    });
  });

  it.each([[[]], [[1, 2]]])('and so are %j for one parameter', async (values) => {
    await expect(connection.run('SELECT $1', values)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});

describe('a result holds plain JavaScript values', () => {
  const results: [sql: string, type: string, value: unknown][] = [
    ['true', 'BOOLEAN', true],
    ['(-128)::TINYINT', 'TINYINT', -128],
    ['255::UTINYINT', 'UTINYINT', 255],
    ['(-32768)::SMALLINT', 'SMALLINT', -32_768],
    ['65535::USMALLINT', 'USMALLINT', 65_535],
    ['-2147483647 - 1', 'INTEGER', -2_147_483_648],
    ['4294967295::UINTEGER', 'UINTEGER', 4_294_967_295],
    ['9007199254740991', 'BIGINT', 9_007_199_254_740_991],
    ['9007199254740992', 'BIGINT', 9_007_199_254_740_992n],
    ['18446744073709551615::UBIGINT', 'UBIGINT', 18_446_744_073_709_551_615n],
    ['1::HUGEINT', 'HUGEINT', 1],
    ['(-170141183460469231731687303715884105728)::HUGEINT', 'HUGEINT', -(2n ** 127n)],
    ['12345678901234567890123::BIGNUM', 'BIGNUM', 12_345_678_901_234_567_890_123n],
    ['1.5::FLOAT', 'FLOAT', 1.5],
    ['1.005', 'DECIMAL(4,3)', 1.005],
    ['0.3::DECIMAL(38, 30)', 'DECIMAL(38,30)', 0.3],
    ['-0.05::DECIMAL(3, 2)', 'DECIMAL(3,2)', -0.05],
    [`'\\xAA\\x00'::BLOB`, 'BLOB', Uint8Array.of(0xaa, 0)],
    [`DATE '1969-12-31'`, 'DATE', new Date('1969-12-31T00:00:00Z')],
    [`TIMESTAMP '2020-01-02 03:04:05.678901'`, 'TIMESTAMP', new Date('2020-01-02T03:04:05.678Z')],
    [`TIMESTAMP '1969-12-31 23:59:59.999999'`, 'TIMESTAMP', new Date(-1)],
    [`TIMESTAMP_S '2020-01-02 03:04:05'`, 'TIMESTAMP_S', new Date('2020-01-02T03:04:05Z')],
    [`TIMESTAMP_MS '2020-01-02 03:04:05.678'`, 'TIMESTAMP_MS', new Date('2020-01-02T03:04:05.678Z')],
    [`TIMESTAMP_NS '2020-01-02 03:04:05.678901234'`, 'TIMESTAMP_NS', new Date('2020-01-02T03:04:05.678Z')],
    [`TIMESTAMPTZ '2020-01-02 03:04:05+02'`, 'TIMESTAMP WITH TIME ZONE', new Date('2020-01-02T01:04:05Z')],
    [`TIMESTAMPTZ '2020-01-02 03:04:05'`, 'TIMESTAMP WITH TIME ZONE', new Date('2020-01-02T03:04:05Z')],
    [`TIME '01:02:03.4'`, 'TIME', '01:02:03.4'],
    [`INTERVAL '1 year 2 days 3.5 seconds'`, 'INTERVAL', '1 year 2 days 00:00:03.5'],
    [`UUID '00000000-0000-7000-8000-000000000001'`, 'UUID', '00000000-0000-7000-8000-000000000001'],
    [`'0101'::BIT`, 'BIT', '0101'],
    [`'b'::ENUM('a', 'b')`, `ENUM('a', 'b')`, 'b'],
    [`'{"a":1}'::JSON`, 'JSON', '{"a":1}'],
    ['[1, NULL, 3]', 'INTEGER[]', [1, null, 3]],
    [`[['a'], NULL, []]`, 'VARCHAR[][]', [['a'], null, []]],
    ['[1, 2]::INTEGER[2]', 'INTEGER[2]', [1, 2]],
    [`{'a': 1, 'b c': ['x'], 'n': NULL}`, 'STRUCT("a" INTEGER, "b c" VARCHAR[], "n" INTEGER)', { a: 1, 'b c': ['x'], n: null }],
    [`{'__proto__': 1}.__proto__`, 'INTEGER', 1],
    [`row(1, 'a')`, 'STRUCT("" INTEGER, "" VARCHAR)', [1, 'a']],
    [
      `MAP {'k': 1, 'l': NULL}`,
      'MAP(VARCHAR, INTEGER)',
      new Map([
        ['k', 1],
        ['l', null],
      ]),
    ],
    [
      `union_value(k := 'a text that is longer than twelve bytes')`,
      'UNION("k" VARCHAR)',
      'a text that is longer than twelve bytes',
    ],
    ['NULL::STRUCT(a VARCHAR)', 'STRUCT("a" VARCHAR)', null],
    ['NULL::VARCHAR[]', 'VARCHAR[]', null],
    ['NULL', 'INTEGER', null],
  ];
  it.each(results)('%s is %s', async (sql, type, value) => {
    expect(await one(`SELECT ${sql}`)).toEqual({ value, type });
  });

  it.each([`DATE 'infinity'`, `TIMESTAMP '-infinity'`, `DATE '290000-01-01'`])(
    '%s, which no Date can hold, is an error',
    async (sql) => {
      await expect(connection.run(`SELECT ${sql}`)).rejects.toMatchObject({
        code: 'DATABASE_FAILED',
        message: expect.stringContaining('cast'),
      });
    },
  );

  it('in every row of every chunk, nulls of parents included', async () => {
    const { values, rowCount } = await connection.run(`
      SELECT i, if(i % 3 = 0, NULL, {'text': 'a text that is longer than ' || i, 'list': [i::VARCHAR, NULL]}),
        if(i % 5 = 0, NULL, [i, NULL])::INTEGER[2],
        if(i % 7 = 0, NULL, if(i % 2 = 0, union_value(number := i), i::VARCHAR::UNION(number BIGINT, text VARCHAR)))
      FROM range(5000) t(i)`);
    const rows = Array.from({ length: 5_000 }, (_, row) => row);
    expect(rowCount).toBe(5_000);
    expect(values).toEqual([
      rows,
      rows.map((row) => (row % 3 === 0 ? null : { text: `a text that is longer than ${row}`, list: [`${row}`, null] })),
      rows.map((row) => (row % 5 === 0 ? null : [row, null])),
      rows.map((row) => (row % 7 === 0 ? null : row % 2 === 0 ? row : `${row}`)),
    ]);
  });

  it('also where columns share a name', async () => {
    expect(await connection.run('SELECT 1 AS a, 2 AS a')).toEqual({
      columns: [
        { name: 'a', type: 'INTEGER' },
        { name: 'a', type: 'INTEGER' },
      ],
      values: [[1], [2]],
      rowCount: 1,
    });
  });
});
