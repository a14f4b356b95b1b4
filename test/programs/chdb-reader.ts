/**
 * Reads Delta tables and Parquet files with ClickHouse, in the npm package chdb, which stands in the folder named by MARQUE_CHDB. Takes a
 * request a line and answers with a line, as readers.py does; one whose reader is `ClickHouse parquet` is for a file.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Cell, CellType } from '../interop/cell.ts';
import type { Request } from '../interop/program.ts';

const load = createRequire(join(process.env['MARQUE_CHDB'] ?? '', 'from-here.js'));
const { query } = load('chdb') as { readonly query: (sql: string, format: string) => string };

function expressionOf(type: CellType, column: string): string {
  if (typeof type === 'object') {
    const fields = Object.entries(type).map(([name, field]) => expressionOf(field, `e.${quoted(name)}`));
    return `toJSONString(arrayMap(e -> [${fields.join(', ')}], ${column}))`;
  }
  switch (type) {
    case 'text':
    case 'bytes':
      return `lower(hex(MD5(${column})))`;
    case 'integer':
    case 'bigint':
      return `toString(${column})`;
    case 'timestamp':
      return `toString(toUnixTimestamp64Micro(toDateTime64(${column}, 6)) / 1000)`;
    case 'double':
      return `if(isNaN(${column}), 'nan', leftPad(lower(hex(reinterpretAsUInt64(${column}))), 16, '0'))`;
  }
}

function quoted(name: string): string {
  return `\`${name}\``;
}

function answer({ reader, path, columns }: Request): object {
  const table = `${reader === 'ClickHouse parquet' ? 'file' : 'deltaLakeLocal'}('${path.replaceAll(/['\\]/g, String.raw`\$&`)}')`;
  const described = JSON.parse(query(`DESCRIBE ${table}`, 'JSON')) as { data: readonly { name: string; type: string }[] };
  const types = new Map(described.data.map(({ name, type }) => [name, type]));
  const expressions = Object.entries(columns).map(([name, type]) => `${expressionOf(type, quoted(name))} AS ${quoted(name)}`);
  // An alias of a column's own name would otherwise stand for the column in the expressions that follow.
  const sql = `SELECT ${expressions.join(', ')} FROM ${table} SETTINGS prefer_column_name_to_alias = 1`;
  // No columns at all where there are no rows.
  const values = JSON.parse(query(sql, 'JSONCompactColumns')) as readonly (readonly Cell[])[];
  return Object.fromEntries(
    Object.keys(columns).map((name, index) => [name, { type: types.get(name), cells: values[index] ?? [] }]),
  );
}

for await (const line of createInterface({ input: process.stdin })) {
  let response: object;
  try {
    response = { columns: answer(JSON.parse(line) as Request) };
  } catch (error) {
    response = { error: error instanceof Error ? error.message : String(error) };
    query('SELECT 1', 'Null'); // chdb 3.4 puts what a failed query had written before the answer of the next
  }
  process.stdout.write(`${JSON.stringify(response)}\n`);
}
