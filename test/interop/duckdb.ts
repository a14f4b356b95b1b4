import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type { Columns } from './cell.ts';
import { type Reading, readingOf } from './reading.ts';

/**
 * Reads a relation of a store as its `open.sql` defines it, or a file where no relation is named, with the DuckDB of this project in
 * an instance of its own.
 */
export async function readWithDuckDB(path: string, columns: Columns, relation?: string): Promise<Reading> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    if (relation !== undefined) await connection.run(readFileSync(join(path, 'open.sql'), 'utf8'));
    const names = Object.keys(columns);
    const from = relation ?? `'${path.replaceAll("'", "''")}'`;
    const answer = await connection.runAndReadAll(`SELECT ${names.map((name) => `"${name}"`).join(', ')} FROM ${from}`);
    const values = answer.getColumnsJS();
    const types = answer.columnTypes();
    return readingOf(
      columns,
      (name) => values[names.indexOf(name)] ?? [],
      (name) => String(types[names.indexOf(name)]),
    );
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
