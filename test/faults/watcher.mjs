import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

/**
 * Counts in a store over and over until SIGTERM: `watcher.mjs <package> <folder> marque|plain`, with this library or with a plain DuckDB that runs
 * `open.sql` each time. A line for each time: the rows of scopes, tags, logs, artifacts, as JSON.
 */
const [entry, folder, kind] = process.argv.slice(2);
const end = new AbortController();
process.on('SIGTERM', () => end.abort());

const question = `SELECT (SELECT count(*) FROM scopes) AS scopes, (SELECT count(*) FROM tags) AS tags,
  (SELECT count(*) FROM logs WHERE step IS NOT NULL) AS logs, (SELECT count(*) FROM artifacts) AS artifacts`;

const count = kind === 'marque' ? await withMarque() : await withPlainDuckDB();
while (!end.signal.aborted) {
  writeSync(1, `${JSON.stringify(Object.values(await count()).map(Number))}\n`);
  await new Promise(setImmediate); // or the signal would never be heard
}
process.exit(0);

async function withMarque() {
  const { ParquetStorage } = await import(entry);
  const storage = new ParquetStorage(folder, { threads: 1 });
  const parts = Object.assign([question], { raw: [question] });
  return async () => (await storage.sql(parts))[0];
}

async function withPlainDuckDB() {
  const connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
  return async () => {
    await connection.run(readFileSync(join(folder, 'open.sql'), 'utf8'));
    return (await connection.runAndReadAll(question)).getRowObjectsJson()[0];
  };
}
