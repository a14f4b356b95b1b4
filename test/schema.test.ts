import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, test } from 'vitest';
import { columnsOf, type ColumnType, tableNames } from '../src/schema.ts';
import { schemaSql } from '../src/sql.ts';

const duckdbTypes: Readonly<Record<ColumnType, string>> = {
  bigint: 'BIGINT',
  integer: 'INTEGER',
  double: 'DOUBLE',
  text: 'VARCHAR',
  bytes: 'BLOB',
  timestamp: 'TIMESTAMP_MS',
};

const connection = await (await DuckDBInstance.create(':memory:')).connect();
await connection.run(schemaSql());

async function rows(sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRowsJson();
}

describe('sql/schema.sql', () => {
  test('declares the tables of schema.ts and no others', async () => {
    const declared = await rows(`SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw' ORDER BY table_name`);
    expect(declared.flat()).toEqual([...tableNames].sort());
  });

  test.each(tableNames)('gives %s the columns of schema.ts, in their order and types', async (table) => {
    const declared = await rows(
      `SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'raw' AND table_name = '${table}' ORDER BY column_index`,
    );
    expect(declared).toEqual(columnsOf(table).map(([name, type]) => [name, duckdbTypes[type]]));
  });

  test('declares no key, no constraint and no index', async () => {
    expect(await rows('SELECT constraint_text FROM duckdb_constraints()')).toEqual([]);
    expect(await rows('SELECT index_name FROM duckdb_indexes()')).toEqual([]);
  });

  test('says of every column what it means and when it is null', () => {
    const columns = schemaSql().match(/^ {2}["a-z].*$/gm) ?? [];
    expect(columns).toHaveLength(tableNames.flatMap((table) => columnsOf(table)).length);
    expect(columns.filter((line) => !/ -- .{10,}\bnull\b/.test(line))).toEqual([]);
  });
});
