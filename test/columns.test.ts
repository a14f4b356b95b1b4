import type { Table } from 'apache-arrow';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tableOf } from '../src/arrow-table.ts';
import { type ColumnarResult, rowsOf, valuesOf } from '../src/column.ts';
import { type Connection, Database } from '../src/duckdb.ts';
import { scopeTableOf } from '../src/scope-table.ts';
import type { ScopeRecord, SqlValue } from '../src/store.ts';

let database: Database;
let connection: Connection;
beforeAll(async () => {
  database = await Database.open({ threads: 2 });
  connection = await database.connect();
});
afterAll(() => database.close());

function query(text: string, values: readonly SqlValue[] = []): Promise<ColumnarResult> {
  return connection.query({ text, values });
}

/** What people see in a table: numbers as numbers, dates as milliseconds. */
function inTable(table: Table, column: number): unknown[] {
  const vector = table.getChildAt(column);
  return Array.from({ length: table.numRows }, (_, row) => {
    const value: unknown = vector?.get(row);
    return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
  });
}

/** The first row in which two columns differ, since no runner compares some hundred thousand values in a moment. */
function firstDifference(actual: readonly unknown[], expected: readonly unknown[]): unknown {
  if (actual.length !== expected.length) return `${actual.length} rows instead of ${expected.length}`;
  const plain = (value: unknown): unknown => (value instanceof Date ? value.getTime() : value);
  const row = expected.findIndex((value, index) => !Object.is(plain(actual[index]), plain(value)));
  return row === -1 ? null : { row, actual: actual[row], expected: expected[row] };
}

function sorted(values: readonly unknown[]): readonly unknown[] {
  return values.toSorted((a, b) => (String(a) < String(b) ? -1 : 1));
}

const text = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'a text',
    '\ufeff',
    '\ufeffbyte order',
    'nul\0nul',
    '𝒳',
    'twelve bytes',
    'thirteen byte',
    'ü'.repeat(6),
  ),
  fc.string({ unit: 'grapheme', maxLength: 40 }).filter((one) => one.isWellFormed()),
  fc.constantFrom(100, 4_095, 4_096, 4_097, 20_000).map((length) => 'x'.repeat(length)),
);

describe('a column of texts', () => {
  test('gives back every text, whatever its length and its neighbours, as a value and in a table', async () => {
    const property = fc.asyncProperty(
      fc.array(fc.option(text, { freq: 4 }), { maxLength: 60 }),
      fc.nat(2),
      async (texts, order) => {
        const all = [...texts, ...(order === 0 ? texts : [])];
        const rows =
          order === 1 ? 'SELECT * FROM (SELECT unnest($1::VARCHAR[]) AS t) ORDER BY md5(t)' : 'SELECT unnest($1::VARCHAR[]) AS t';
        const result = await query(rows, [all]);
        const values = valuesOf(result.columns[0] as ColumnarResult['columns'][number]);
        expect(order === 1 ? sorted(values) : values).toEqual(order === 1 ? sorted(all) : all);
        // apache-arrow drops a leading U+FEFF where it reads a text; its bytes are there.
        expect(inTable(tableOf(result), 0)).toEqual(
          values.map((value) => (value as string | null)?.replace(/^\ufeff/, '') ?? null),
        );
      },
    );
    await fc.assert(property, { seed: 4, numRuns: 150 });
  });

  test('is a dictionary where at least half of them repeat, of one type for the whole table', async () => {
    const typeOf = async (expression: string, rows: number) =>
      String(tableOf(await query(`SELECT ${expression} AS t FROM range(${rows}) r(i)`)).schema.fields[0]?.type);
    expect(await typeOf(`'step-' || i % 2`, 4)).toBe('Dictionary<Int32, Utf8>');
    expect(await typeOf(`'step-' || i % 3`, 4)).toBe('Utf8');
    expect(await typeOf(`if(i % 2 = 0, 'even', NULL)`, 4)).toBe('Dictionary<Int32, Utf8>');
    expect(await typeOf('NULL::VARCHAR', 4)).toBe('Utf8');
    expect(await typeOf(`'a text without any rows'`, 0)).toBe('Utf8');
    expect(await typeOf(`'a text of which each is another: ' || i`, 200_000)).toBe('Utf8');
    expect(await typeOf(`'repeated, and then no more: ' || greatest(i, 130000)`, 300_000)).toBe('Utf8');
  });

  test('that all hash alike to a sample of their bytes is told apart', async () => {
    const { columns } = await query(
      `SELECT repeat('a', 1000) || lpad((i % 1000)::VARCHAR, 4, '0') || repeat('a', 1000) AS t FROM range(3000) r(i)`,
    );
    const expected = Array.from(
      { length: 3_000 },
      (_, i) => `${'a'.repeat(1_000)}${String(i % 1_000).padStart(4, '0')}${'a'.repeat(1_000)}`,
    );
    expect(firstDifference(valuesOf(columns[0] as (typeof columns)[number]), expected)).toBeNull();
  });
});

test('every type gives back its values over many parts, with chunks that are not full and nulls anywhere', async () => {
  const unless = (remainder: number, value: unknown, i: number): unknown => (i % 11 === remainder ? null : value);
  const start = Date.UTC(1969, 11, 31);
  const columns: readonly (readonly [sql: string, value: (i: number) => unknown, type: string])[] = [
    ['i', (i) => i, 'Int64'],
    ['if(i % 11 = 1, NULL, (i % 200 - 100)::TINYINT)', (i) => unless(1, (i % 200) - 100, i), 'Int32'],
    ['if(i % 11 = 2, NULL, (i % 60000)::USMALLINT)', (i) => unless(2, i % 60_000, i), 'Int32'],
    ['if(i % 11 = 3, NULL, i::INTEGER)', (i) => unless(3, i, i), 'Int32'],
    ['if(i % 11 = 4, NULL, (i + 4000000000)::UINTEGER)', (i) => unless(4, i + 4_000_000_000, i), 'Int64'],
    ['if(i % 11 = 5, NULL, i::UBIGINT)', (i) => unless(5, i, i), 'Uint64'],
    ['if(i % 11 = 6, NULL, i / 8)', (i) => unless(6, i / 8, i), 'Float64'],
    ['if(i % 11 = 7, NULL, (i / 8)::FLOAT)', (i) => unless(7, i / 8, i), 'Float64'],
    ['if(i % 11 = 8, NULL, i % 3 = 0)', (i) => unless(8, i % 3 === 0, i), 'Bool'],
    [
      `if(i % 11 = 9, NULL, make_timestamp((${start}::BIGINT + i) * 1000 + 999))`,
      (i) => unless(9, new Date(start + i), i),
      'Timestamp<MILLISECOND>',
    ],
    [
      `if(i % 11 = 1, NULL, make_timestamp_ms(${start}::BIGINT + i))`,
      (i) => unless(1, new Date(start + i), i),
      'Timestamp<MILLISECOND>',
    ],
    [`DATE '1960-01-01' + (i % 9000)::INTEGER`, (i) => new Date(Date.UTC(1960, 0, 1 + (i % 9_000))), 'Timestamp<MILLISECOND>'],
    [`if(i % 11 = 2, NULL, 'short ' || i % 7)`, (i) => unless(2, `short ${i % 7}`, i), 'Dictionary<Int32, Utf8>'],
    [
      `if(i % 11 = 3, NULL, 'a text that is longer than twelve ' || i)`,
      (i) => unless(3, `a text that is longer than twelve ${i}`, i),
      'Utf8',
    ],
    [
      `if(i % 11 = 4, NULL, 'first alike: ' || greatest(i - 140000, 0))`,
      (i) => unless(4, `first alike: ${Math.max(i - 140_000, 0)}`, i),
      'Utf8',
    ],
    ['if(i % 11 = 5, NULL, (i / 4)::DECIMAL(12, 2))', (i) => unless(5, i / 4, i), 'Float64'],
    ['if(i % 11 = 6, NULL, i::HUGEINT)', (i) => unless(6, i, i), 'Int64'],
  ];
  const n = 450_000;
  const kept = Array.from({ length: n }, (_, i) => i).filter((i) => i % 7 !== 3);
  const select = columns.map(([sql], index) => `${sql} AS c${index}`).join(', ');
  const result = await query(`SELECT ${select} FROM range(${n}) t(i) WHERE i % 7 <> 3`);
  const table = tableOf(result);
  expect(table.batches.length).toBeGreaterThan(2);
  expect(result.rowCount).toBe(kept.length);
  const differences = columns.map(([sql, value, type], index) => {
    const expected = kept.map(value);
    const column = result.columns[index] as (typeof result.columns)[number];
    return {
      sql,
      type: String(table.schema.fields[index]?.type) === type ? null : String(table.schema.fields[index]?.type),
      value: firstDifference(valuesOf(column), expected),
      table: firstDifference(inTable(table, index), expected),
    };
  });
  expect(differences).toEqual(columns.map(([sql]) => ({ sql, type: null, value: null, table: null })));
}, 60_000);

test('no integer is rounded: of 128 bits, those that need more than 64 are refused in a table', async () => {
  const result = await query(`SELECT 18446744073709551615::UBIGINT AS u, (-9223372036854775808)::HUGEINT AS h,
      18446744073709551615::UHUGEINT AS uh, (-9223372036854775808)::BIGINT AS b, sum(1::INTEGER) AS s, count(*) AS n`);
  const table = tableOf(result);
  expect(table.schema.fields.map(({ type }) => String(type))).toEqual(['Uint64', 'Int64', 'Uint64', 'Int64', 'Int64', 'Int64']);
  expect(table.get(0)?.toJSON()).toEqual({
    u: 18446744073709551615n,
    h: -9223372036854775808n,
    uh: 18446744073709551615n,
    b: -9223372036854775808n,
    s: 1n,
    n: 1n,
  });
  for (const [sql, value] of [
    ['170141183460469231731687303715884105727::HUGEINT', 170141183460469231731687303715884105727n],
    ['(-170141183460469231731687303715884105728)::HUGEINT', -170141183460469231731687303715884105728n],
    ['9223372036854775808::HUGEINT', 9223372036854775808n],
    ['(-9223372036854775809)::HUGEINT', -9223372036854775809n],
    ['18446744073709551616::UHUGEINT', 18446744073709551616n],
    ['340282366920938463463374607431768211455::UHUGEINT', 340282366920938463463374607431768211455n],
  ] as const) {
    const huge = await query(`SELECT ${sql} AS v UNION ALL SELECT NULL`);
    expect([...rowsOf(huge)].map(({ v }) => v)).toEqual([value, null]);
    expect(() => tableOf(huge)).toThrow(
      expect.objectContaining({ code: 'SQL_INVALID', message: expect.stringContaining(`"v" has ${value}`) as string }),
    );
  }
});

test('what is nested keeps its nulls, and BLOBs their bytes', async () => {
  const result = await query(`SELECT * FROM (VALUES
    ([1, NULL, 3], {'x': 1, 'label': 'a text that is longer than twelve'}, true, '\\xAA\\x00'::BLOB, MAP {'k': 1}),
    ([], NULL, NULL, NULL, NULL),
    (NULL, {'x': NULL, 'label': 'b'}, false, ''::BLOB, MAP {})) t(list, point, flag, bytes, map)`);
  const [first, second, third] = [...rowsOf(result)];
  expect(first).toEqual({
    list: [1, null, 3],
    point: { x: 1, label: 'a text that is longer than twelve' },
    flag: true,
    bytes: Uint8Array.of(0xaa, 0),
    map: new Map([['k', 1]]),
  });
  expect(second).toEqual({ list: [], point: null, flag: null, bytes: null, map: null });
  expect(third).toMatchObject({ list: null, point: { x: null, label: 'b' }, flag: false, bytes: new Uint8Array() });
  const table = tableOf(result);
  expect(String(table.getChild('list')?.get(0))).toBe('[1,,3]');
  expect(table.getChild('list')?.get(2)).toBeNull();
  expect(String(table.getChild('point')?.get(2))).toBe('{"x": null, "label": "b"}');
  expect(table.getChild('point')?.get(1)).toBeNull();
  expect(table.getChild('bytes')?.get(0)).toEqual(Uint8Array.of(0xaa, 0));
});

test('a name may be any, also one that objects have', async () => {
  const result = await query(`SELECT 1 AS "__proto__", 2 AS constructor, 3 AS " "`);
  expect(Object.entries([...rowsOf(result)][0] as object)).toEqual([
    ['__proto__', 1],
    ['constructor', 2],
    [' ', 3],
  ]);
  expect(tableOf(result).schema.names).toEqual(['__proto__', 'constructor', ' ']);
});

test('a result without rows is a table without rows, with its columns', async () => {
  const table = tableOf(await query(`SELECT 1 AS n, 'a' AS t, NULL::DOUBLE AS d, [1] AS l WHERE false`));
  expect([table.numRows, table.schema.names]).toEqual([0, ['n', 't', 'd', 'l']]);
});

test('what a row held on to does not change with the bytes of another', async () => {
  const [column] = (await query(`SELECT unnest(['\\x01'::BLOB, '\\x02'::BLOB]) AS b`)).columns;
  const [one] = valuesOf(column as NonNullable<typeof column>) as [Uint8Array];
  one.fill(9);
  expect(valuesOf(column as NonNullable<typeof column>)).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
});

test('records in memory make the same table as SQL does of them', () => {
  const record = (index: number): ScopeRecord => ({
    sid: 2 ** 32 + index,
    flow: 'f',
    run: 'brave-otter',
    step: `s${index % 2}`,
    path: `0-${index}`,
    attempt: 1,
    parentSid: null,
    refSid: null,
    status: 'ok',
    startedAt: 1_000 + index,
    durationMs: index / 2,
    errorMessage: null,
    errorStack: null,
    params: index === 0 ? null : `{"i":${index}}`,
    tags: [],
    logs: [],
    artifacts: [],
  });
  const table = tableOf(scopeTableOf([0, 1, 2, 3].map(record)));
  expect(table.schema.fields.map(({ name, type }) => `${name} ${String(type)}`)).toEqual([
    'id Utf8',
    'sid Int64',
    'flow Dictionary<Int32, Utf8>',
    'step Dictionary<Int32, Utf8>',
    'run Dictionary<Int32, Utf8>',
    'path Utf8',
    'attempt Int32',
    'status Dictionary<Int32, Utf8>',
    'started_at Timestamp<MILLISECOND>',
    'duration_ms Float64',
    'params Utf8',
  ]);
  expect(table.get(3)?.toJSON()).toEqual({
    id: 'f.s1.brave-otter.0-3',
    sid: BigInt(2 ** 32 + 3),
    flow: 'f',
    step: 's1',
    run: 'brave-otter',
    path: '0-3',
    attempt: 1,
    status: 'ok',
    started_at: 1_003,
    duration_ms: 1.5,
    params: '{"i":3}',
  });
  expect(table.getChild('params')?.get(0)).toBeNull();
  expect(tableOf(scopeTableOf([])).numRows).toBe(0);
});
