import {
  type DataType,
  DataType as Types,
  type Field,
  type MapRow,
  type Table,
  tableFromIPC,
  tableToIPC,
  type Vector,
} from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tableOf } from '../src/arrow-table.ts';
import { rowsOf } from '../src/column.ts';
import { type Connection, Database } from '../src/duckdb.ts';
import { isLarge } from './size.ts';

let database: Database;
let connection: Connection;
beforeAll(async () => {
  database = await Database.open({ threads: 2 });
  connection = await database.connect();
});
afterAll(() => database.close());

/** More than DuckDB hands over at a time. */
const rowCount = isLarge ? 5_000 : 2_100;

const letters = Array.from({ length: 300 }, (_, index) => `'e${index}'`).join(', ');

/** Every type that a result can have, as an expression of the row's number `i`, and what it is in Arrow. */
const types: readonly (readonly [name: string, sql: string, arrow: string])[] = [
  ['BOOLEAN', 'i % 3 = 0', 'Bool'],
  ['TINYINT', '(i % 200 - 100)::TINYINT', 'Int32'],
  ['UTINYINT', '(i % 256)::UTINYINT', 'Int32'],
  ['SMALLINT', '(i * 13 % 60000 - 30000)::SMALLINT', 'Int32'],
  ['USMALLINT', '(i * 13 % 65536)::USMALLINT', 'Int32'],
  ['INTEGER', '(i * 1000 - 2000000)::INTEGER', 'Int32'],
  ['UINTEGER', '(4294967295 - i)::UINTEGER', 'Int64'],
  ['BIGINT', 'i * 1800000000000000 - 4500000000000000000', 'Int64'],
  ['UBIGINT', '(18446744073709551615 - i)::UBIGINT', 'Uint64'],
  ['HUGEINT', '(i::HUGEINT * 2000000000000000 - 5000000000000000000)', 'Int64'],
  ['UHUGEINT', '(18446744073709551615::UHUGEINT - i::UHUGEINT)', 'Uint64'],
  ['BIGNUM', `('12345678901234567890123456789012345678901234567890' || i)::BIGNUM`, 'Utf8'],
  ['FLOAT', '(i / 8)::FLOAT', 'Float64'],
  ['DOUBLE', `if(i % 5 = 0, 'nan'::DOUBLE, i / 7)`, 'Float64'],
  ['DECIMAL(4,2)', '((i - 2000) / 100)::DECIMAL(4,2)', 'Float64'],
  ['DECIMAL(9,3)', '((i - 2000) / 1000)::DECIMAL(9,3)', 'Float64'],
  ['DECIMAL(18,5)', '(i - 2000)::DECIMAL(18,5) * 1.00001', 'Float64'],
  ['DECIMAL(18,17)', '(i / 7000)::DECIMAL(18,17)', 'Float64'],
  ['DECIMAL(38,20)', `('-12345678901234567' || i % 10 || '.12345678901234567890')::DECIMAL(38,20)`, 'Float64'],
  ['DECIMAL(38,38)', `('0.' || repeat((i % 10)::VARCHAR, 38))::DECIMAL(38,38)`, 'Float64'],
  ['DATE', `DATE '1960-02-29' + (i * 7)::INTEGER`, 'Timestamp<MILLISECOND>'],
  ['TIMESTAMP', 'make_timestamp(i * 1000999999 - 2000000000001)', 'Timestamp<MILLISECOND>'],
  ['TIMESTAMP_S', 'make_timestamp(i * 60000000 - 2000000000000)::TIMESTAMP_S', 'Timestamp<MILLISECOND>'],
  ['TIMESTAMP_MS', 'make_timestamp(i * 1001000 - 2000000000000)::TIMESTAMP_MS', 'Timestamp<MILLISECOND>'],
  ['TIMESTAMP_NS', 'make_timestamp_ns(i * 1000999999 - 2000000000001)', 'Timestamp<MILLISECOND>'],
  ['TIMESTAMP WITH TIME ZONE', 'make_timestamp(i * 1000999999 - 2000000000001)::TIMESTAMPTZ', 'Timestamp<MILLISECOND>'],
  ['TIME', `TIME '10:00:00.000001' + INTERVAL (i) SECOND`, 'Utf8'],
  ['TIME_NS', `'10:00:00.123456789'::TIME_NS`, 'Utf8'],
  ['TIME WITH TIME ZONE', `'10:00:00+01'::TIMETZ`, 'Utf8'],
  ['INTERVAL', 'INTERVAL (i) DAY', 'Utf8'],
  ['UUID', `md5(i::VARCHAR)::UUID`, 'Utf8'],
  ['BIT', `(i % 1000)::INTEGER::BIT`, 'Utf8'],
  ['VARCHAR', `if(i % 4 = 0, 'a text of more than twelve bytes ' || i, 'é' || i)`, 'Utf8'],
  ['JSON', `json_object('i', i)`, 'Utf8'],
  ['BLOB', `('a' || if(i % 4 = 0, repeat('\\xFF', 20), '\\x00') || i)::BLOB`, 'Binary'],
  ['GEOMETRY', `('POINT(' || i || ' 2)')::GEOMETRY`, 'Binary'],
  [`ENUM('a', 'b', ''', c')`, `['a', 'b', ''', c'][1 + i % 3]::ENUM('a', 'b', ''', c')`, 'Dictionary<Int32, Utf8>'],
  ['ENUM of 300', `('e' || i % 300)::ENUM(${letters})`, 'Dictionary<Int32, Utf8>'],
  ['NULL', 'NULL', 'Int32'],
];

/** The same within something else: its type in SQL is as this has it, and it has nulls on every level. */
const wrappings: readonly (readonly [name: string, wrap: (sql: string) => string, arrow: (inner: string) => string])[] = [
  ['itself', (sql) => sql, (inner) => inner],
  ['LIST', (sql) => `list_value(${sql}, NULL, ${sql})[1 : i % 4]`, (inner) => `List<${inner}>`],
  ['LIST of LIST', (sql) => `[[${sql}], NULL, [], [NULL, ${sql}]][1 : i % 5]`, (inner) => `List<List<${inner}>>`],
  [
    'STRUCT',
    (sql) => `{'a': if(i % 3 = 0, NULL, ${sql}), 'the "b"': {'c': [${sql}]}}`,
    (inner) => `Struct<{a:${inner}, the "b":Struct<{c:List<${inner}>}>}>`,
  ],
  ['STRUCT without names', (sql) => `row(${sql}, i)`, (inner) => `Struct<{1:${inner}, 2:Int64}>`],
  [
    'MAP',
    (sql) => `MAP([i::VARCHAR, 'none'][1 : i % 3], [${sql}, NULL][1 : i % 3])`,
    (inner) => `Map<{key:Utf8, value:${inner}}>`,
  ],
  ['ARRAY', (sql) => `array_value(${sql}, NULL, ${sql})`, (inner) => `List<${inner}>`],
  ['UNION', (sql) => `union_value(held_one := ${sql})`, (inner) => `Struct<{held_one:${inner}}>`],
];

describe.each(types)('%s', (name, sql, arrow) => {
  const reading = (text: string, rows: number) =>
    connection.query({
      text: `WITH r AS (SELECT range AS i FROM range(${rows}))
        SELECT ${text} AS v FROM r WHERE i % 7 <> 5 UNION ALL SELECT NULL FROM r WHERE i % 7 = 5`,
      values: [],
    });

  test.each(wrappings)('in a table has the type and the values of %s, also through IPC', async (_wrapping, wrap, wrapped) => {
    const result = await reading(wrap(sql), rowCount);
    const table = tableOf(result);
    const type = typeText(table);
    expect(type).toBe(wrapped(arrow));
    for (const filter of [0, 1]) expect(typeText(tableOf(await reading(wrap(sql), filter)))).toBe(type);
    const expected = [...rowsOf(result)].map(({ v }) => plainOf(v));
    const again = tableFromIPC(tableToIPC(table, 'file'));
    expect(typeText(again)).toBe(type);
    for (const one of [table, again]) expect(firstDifference(valuesIn(one), expected)).toBeNull();
    const empty = tableFromIPC(tableToIPC(tableOf(await reading(wrap(sql), 0)), 'file'));
    expect([empty.numRows, typeText(empty)]).toEqual([0, type]);
    if (name !== 'NULL') expect(expected.some((value) => value !== null)).toBe(true);
  });
});

test('of two members of different types, a union is a struct with both', async () => {
  const text = `SELECT if(i % 2 = 0, union_value(held_number := i)::UNION(held_number BIGINT, held_texts VARCHAR[]),
    union_value(held_texts := [i::VARCHAR])) AS v FROM range(4000) r(i)`;
  const result = await connection.query({ text, values: [] });
  const rows = [...rowsOf(result)].map(({ v }) => v);
  expect(rows.slice(0, 2)).toEqual([0, ['1']]);
  const table = tableOf(result);
  expect(typeText(table)).toBe('Struct<{held_number:Int64, held_texts:List<Utf8>}>');
  expect(firstDifference(valuesIn(table), rows)).toBeNull();
});

test('what is nested deeply, null under null, spread over many parts, is where it was', async () => {
  const text = `SELECT if(i % 5 = 1, NULL, {'c': [{'k': ['one for all', NULL, 'rows']}], 'l': if(i % 3 = 0, NULL, list_transform(range(i % 6), lambda x: {'m': MAP {'k' || x: [x::DECIMAL(9,1), NULL]},
    't': if(x % 2 = 0, NULL, 'a text of more than twelve bytes ' || i)}))}) AS v
    FROM range(300000) r(i) WHERE i % 11 <> 4`;
  const result = await connection.query({ text, values: [] });
  const table = tableOf(result);
  expect(table.batches.length).toBeGreaterThan(2);
  const kept = Array.from({ length: 300_000 }, (_, i) => i).filter((i) => i % 11 !== 4);
  const expected = (i: number): unknown =>
    i % 5 === 1
      ? null
      : {
          c: [{ k: ['one for all', null, 'rows'] }],
          l:
            i % 3 === 0
              ? null
              : Array.from({ length: i % 6 }, (_, x) => ({
                  m: [{ key: `k${x}`, value: [x, null] }],
                  t: x % 2 === 0 ? null : `a text of more than twelve bytes ${i}`,
                })),
        };
  const rows = [...rowsOf(result)].map(({ v }) => plainOf(v));
  expect(rows.length).toBe(kept.length);
  const wrong = kept.findIndex((i, row) => JSON.stringify(rows[row]) !== JSON.stringify(expected(i)));
  expect(wrong === -1 ? null : [rows[wrong], expected(kept[wrong] as number)]).toBeNull();
  expect(firstDifference(valuesIn(table), rows)).toBeNull();
});

test.each([
  `SELECT list_reverse(list) AS v FROM lists`,
  `SELECT list[2:3] AS v FROM lists`,
  `SELECT list FROM lists ORDER BY i DESC`,
  `SELECT a.list AS v FROM lists a JOIN lists b ON a.i = b.i // 2`,
  `SELECT list(list ORDER BY i) AS v FROM lists GROUP BY i % 5 ORDER BY i % 5`,
  `SELECT [list, list] AS v FROM lists WHERE i % 3 = 1`,
  `SELECT (SELECT list FROM lists WHERE i = 7) AS v FROM range(5000)`,
  `SELECT list FROM lists UNION ALL SELECT NULL UNION ALL SELECT list[1:1] FROM lists`,
  `SELECT CASE WHEN i % 2 = 0 THEN {'l': list} END AS v FROM lists`,
  `SELECT array_value(CASE WHEN i % 2 = 0 THEN list END, list) AS v FROM lists`,
  `SELECT b.v FROM lists LEFT JOIN (SELECT i, array_value(list, list) AS v FROM lists WHERE i % 3 = 0) b USING (i)`,
  `SELECT [list[1], 'constant'] AS v FROM lists`,
  `SELECT ['constant', NULL] AS v FROM lists`,
  `SELECT map_entries(MAP {'constant': ['one', 'two'], 'next': NULL}) AS v FROM lists`,
  `SELECT [{'a': [true, NULL], 'b': 1::HUGEINT, 'c': {'e': [1.5::DOUBLE]}, 'd': ['x', 'yyyyyyyyyyyyyyyy']}] AS v FROM lists`,
  `SELECT lag(list, 3) OVER (ORDER BY i) AS v FROM lists`,
  `SELECT list_sort(list_concat(list, [NULL])) AS v FROM lists`,
])('lists come whole, however DuckDB has made them: %s', async (text) => {
  const lists = `WITH lists AS MATERIALIZED (SELECT i, if(i % 7 = 2, NULL, list_transform(range(i % 4), lambda x: 'item ' || i || ' of ' || x)) AS list
    FROM range(4000) r(i))`;
  const asked = (select: string) => connection.query({ text: `${lists} ${select}`, values: [] });
  const result = await asked(text);
  const texts = await asked(`SELECT to_json(v)::VARCHAR AS t FROM (${text}) AS q(v)`);
  const sorted = (all: readonly unknown[]): readonly unknown[] => all.toSorted((a, b) => (String(a) < String(b) ? -1 : 1));
  const values = [...rowsOf(result)].map((row) => JSON.stringify(Object.values(row)[0]));
  expect(sorted(values)).toEqual(sorted([...rowsOf(texts)].map(({ t }) => t ?? 'null')));
});

/** The type of the only column. That a VARCHAR is a dictionary is a way to store it. */
function typeText({ schema }: Table): string {
  return textOf((schema.fields[0] as Field).type);
}

function textOf(type: DataType): string {
  const fields = (each: readonly Field[]) => `{${each.map((field) => `${field.name}:${textOf(field.type)}`).join(', ')}}`;
  if (Types.isMap(type)) return `Map<${fields(((type.children[0] as Field).type as { children: Field[] } & DataType).children)}>`;
  if (Types.isList(type)) return `List<${textOf((type.children[0] as Field).type)}>`;
  if (Types.isStruct(type)) return `Struct<${fields(type.children)}>`;
  return String(type as { toString(): string });
}

/** The values of the only column, read by Arrow's own getters. */
function valuesIn(table: Table): unknown[] {
  const vector = table.getChildAt(0) as Vector;
  return Array.from({ length: table.numRows }, (_, row) => arrowValue(vector.type as DataType, vector.get(row)));
}

function arrowValue(type: DataType, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (Types.isMap(type)) {
    const [key, held] = ((type.children[0] as Field).type as { children: Field[] } & DataType).children as [Field, Field];
    return [...(value as MapRow)].map(([k, v]) => ({ key: arrowValue(key.type, k), value: arrowValue(held.type, v) }));
  }
  if (Types.isList(type)) return [...(value as Vector)].map((item) => arrowValue((type.children[0] as Field).type, item));
  if (Types.isStruct(type)) {
    const { children } = type;
    const members = children.map((field) => arrowValue(field.type, (value as Record<string, unknown>)[field.name]));
    if (children.every(({ name }) => name.startsWith('held_'))) return members.find((member) => member !== null) ?? null;
    if (children.every(({ name }) => /^\d$/.test(name))) return members;
    return Object.fromEntries(children.map(({ name }, index) => [name, members[index]]));
  }
  if (Types.isTimestamp(type)) return new Date(value as number);
  if (value instanceof Uint8Array) return [...value].join();
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** A value of a row as the above has it. */
function plainOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value].join();
  if (value instanceof Map) return [...value].map(([key, held]) => ({ key: plainOf(key), value: plainOf(held) }));
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plainOf(member)]));
}

function firstDifference(actual: readonly unknown[], expected: readonly unknown[]): unknown {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_name, member: unknown) =>
      typeof member === 'bigint' || Number.isNaN(member) ? String(member) : member,
    );
  if (actual.length !== expected.length) return `${actual.length} rows instead of ${expected.length}`;
  const row = expected.findIndex((value, index) => text(actual[index]) !== text(value));
  return row === -1 ? null : { row, actual: actual[row], expected: expected[row] };
}
