import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { Flow, ParquetStorage, param, repeat, type SearchOptions, step, tag } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

test('the SQL of a search finds the same sids in plain DuckDB after open.sql, its values bound in order', async () => {
  const folder = temporaryFolder();
  await using storage = new ParquetStorage(folder);
  let count = 0;
  const work = step('work', (flow) => flow.tag('loss', ++count / 10));
  for (const lr of [0.1, 0.2]) await new Flow('test', storage, { logLevel: 'silent' }).push(repeat(work, 3), { lr }).execute();
  await storage.flush();
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  await connection.run(readFileSync(join(folder, 'open.sql'), 'utf8'));
  const searches: [string, SearchOptions][] = [
    ['*', {}],
    ['test.*', { runs: 'previous' }],
    ['*.*.*.0-[12]', { runs: 'all', order: 'oldest', limit: 3 }],
    ['*', { runs: 'all', where: tag('loss').in([0.1, 0.4, 0.6]) }],
    ['*', { runs: 'all', where: [tag('loss').lt(0.5), param('lr').eq(0.2)] }],
    ['none.*', { runs: 'all' }],
  ];
  for (const [pattern, options] of searches) {
    const query = storage.search(pattern, options);
    const { text, values } = query.toSQL();
    const rows = (await connection.runAndReadAll(text, values as DuckDBValue[])).getRowsJson();
    const expected = (await query).map(({ id }) => id);
    const ids = await Promise.all(
      rows.map(async ([sid]) => {
        const found = await connection.runAndReadAll(`SELECT id FROM scopes WHERE sid = ${sid as string}`);
        return found.getRowsJson()[0]?.[0];
      }),
    );
    expect(ids).toEqual(expected);
  }
  connection.closeSync();
  instance.closeSync();
});
