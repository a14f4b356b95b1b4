import { rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Connection, Database } from '../duckdb.ts';
import { MarqueError, messageOf, show } from '../error.ts';
import { quoteName } from '../quote.ts';
import { type TableName, tableNames } from '../schema.ts';
import { ledgerSql, rawViewsSql, schemaSql, viewsSql } from '../sql.ts';
import type { Result } from '../store.ts';
import { type Acknowledged, AcknowledgedFile } from './acknowledged.ts';
import type { Anchor } from './anchor.ts';
import { damagedFile } from './damage.ts';
import { hasCode, makeFolder, publish, temporaryBeside } from './files.ts';
import type { DuckDBLimits } from './limits.ts';
import { canonicalPath, type Lock, lockFile } from './lock.ts';
import { unfit } from './store-path.ts';
import { unwritable } from './unwritable.ts';

const formatVersion = 1;

/** A file's database is called by the file's name up to the first dot, so none is called like this. */
const liveCatalog = quoteName('live.rows');

/** A store's `.duckdb` file, open and locked. */
export interface OpenedDuckDB {
  readonly path: string;
  readonly lock: Lock;
  readonly database: Database;
  /** What the file's own tables are called by: `catalog.raw.scopes`. */
  readonly catalog: string;
  readonly writer: Connection;
  /**
   * On these the tables of `raw` are the first `written_rows` of the file, and the rows of the batches pinned as `unflushed`. The
   * second one is for the SELECTs of users.
   */
  readonly readers: readonly [Connection, Connection];
}

/**
 * Opens a store's file, and if `create` says so makes it where there is none or an empty one. Everything that is no store is left
 * as it was. The anchor holds the file once it is open.
 *
 * @throws MarqueError STORE_PATH, STORE_FORMAT, STORE_LOCKED, STORE_DAMAGED, STORE_UNWRITABLE.
 */
export async function openDuckDB(given: string, create: boolean, limits: DuckDBLimits, anchor: Anchor): Promise<OpenedDuckDB> {
  await anchor.check();
  const path = await pathTo(given);
  const isThere = await isFile(path);
  if (!isThere && !create)
    throw new MarqueError('STORE_PATH', `there is no store at ${show(path, 300)}: run a flow that writes to it first`);
  if (!isThere) await makeFolder(dirname(path));
  const lock = await lockFile(path);
  let database: Database | undefined;
  try {
    if (!(await isFile(path))) await createFile(path);
    database = await openDatabase(path, limits);
    const writer = await database.connect();
    const catalog = (await writer.run('SELECT current_catalog()')).values[0]?.[0] as string;
    await checkContent(path, writer, catalog);
    await new AcknowledgedFile(path).check(path, await countBatches((text) => writer.run(text)));
    const readers = await connectReaders(database, catalog);
    await anchor.hold();
    return { path, lock, database, catalog, writer, readers };
  } catch (error) {
    await database?.close();
    await lock.release();
    throw damagedFile(path, error);
  }
}

/** How many batches and claims a file holds, as seen by a connection to it or by a transaction. */
export async function countBatches(run: (text: string) => Promise<Result>): Promise<Acknowledged> {
  const { values } = await run('SELECT (SELECT count(*) FROM raw.batches), (SELECT count(*) FROM raw.claims)');
  return { batches: values[0]?.[0] as number, claims: values[1]?.[0] as number };
}

async function pathTo(given: string): Promise<string> {
  let path: string;
  try {
    path = await canonicalPath(given);
  } catch (error) {
    throw new MarqueError('STORE_PATH', `${show(given, 300)} cannot be a DuckDB file: ${messageOf(error)}`, { cause: error });
  }
  if (path.includes('?')) throw unfit(path, 'DuckDB takes what follows the question mark for settings. Choose another name');
  // A database is called by its file's name up to the first dot, and `raw.scopes` would be ambiguous, in the file's own views too.
  if (/^raw(\.|$)/i.test(basename(path))) throw unfit(path, 'DuckDB would take the name for the schema raw. Choose another name');
  return path;
}

/** Whether there is a file with content. A file without any is no loss. */
async function isFile(path: string): Promise<boolean> {
  try {
    const found = await stat(path);
    if (found.isFile()) return found.size > 0;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw new MarqueError('STORE_PATH', `${show(path, 300)} cannot be a DuckDB file: ${messageOf(error)}`, { cause: error });
  }
  throw new MarqueError('STORE_PATH', `${show(path, 300)} is no file but a folder or a device: give the name of a file`);
}

/** A process that dies in between leaves a hidden file and nothing under the name: DuckDB would refuse half a file for ever. */
async function createFile(path: string): Promise<void> {
  if ((await stat(`${path}.wal`).catch(() => null)) !== null) {
    throw new MarqueError(
      'STORE_DAMAGED',
      `${show(path, 300)} is not there, but its write-ahead log is: restore the file, or delete ${show(`${path}.wal`, 300)}`,
    );
  }
  const temporary = temporaryBeside(path);
  const { Database } = await import('../duckdb.ts');
  try {
    const database = await Database.open({ path: temporary });
    try {
      const connection = await database.connect();
      await connection.script(`${schemaSql()}\n${ledgerSql()}\n${viewsSql()}`);
      await connection.run('INSERT INTO raw.format VALUES ($1)', [BigInt(formatVersion)]);
      await connection.run('CHECKPOINT');
    } finally {
      await database.close();
    }
    await new AcknowledgedFile(path).write({ batches: 0, claims: 0 });
    await publish(temporary, path);
  } catch (error) {
    for (const left of [temporary, `${temporary}.wal`]) await rm(left, { force: true }).catch(() => undefined);
    throw unwritable(path, error);
  }
}

async function openDatabase(path: string, { memoryLimit, threads }: DuckDBLimits): Promise<Database> {
  const { Database } = await import('../duckdb.ts');
  try {
    return await Database.open({ path, memoryLimit, threads });
  } catch (error) {
    const message = messageOf(error);
    const name = show(path, 300);
    if (/not a valid DuckDB database/.test(message)) {
      throw new MarqueError('STORE_PATH', `${name} is not a DuckDB file: choose a name that is free`, { cause: error });
    }
    if (/version number|newer version/.test(message)) {
      throw new MarqueError('STORE_FORMAT', `${name} was written by a newer DuckDB: install a newer version of the library`, {
        cause: error,
      });
    }
    if (/[Cc]orrupt|checksum|replaying|[Ss]erialization/.test(message)) {
      throw new MarqueError('STORE_DAMAGED', `${name} cannot be what DuckDB wrote: ${message}`, { cause: error });
    }
    throw error;
  }
}

/** Whether the file is a store, of a format that is known, and complete. */
async function checkContent(path: string, writer: Connection, catalog: string): Promise<void> {
  const tables = await writer.run(`SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND schema_name = 'raw'`, [
    catalog,
  ]);
  const missing = ['format', 'batches', 'claims', ...tableNames].filter((table) => !tables.values[0]?.includes(table));
  const name = show(path, 300);
  if (missing[0] === 'format')
    throw new MarqueError('STORE_PATH', `${name} is a DuckDB file, but no store of this library: choose a name that is free`);
  const version = (await writer.run('SELECT max(version) FROM raw.format')).values[0]?.[0];
  if (typeof version === 'number' && version > formatVersion) {
    throw new MarqueError(
      'STORE_FORMAT',
      `${name} has format ${version}, and this version of the library knows ${formatVersion}: install a newer one`,
    );
  }
  if (typeof version !== 'number') throw new MarqueError('STORE_DAMAGED', `${name} does not say its format in raw.format`);
  if (missing.length > 0) throw new MarqueError('STORE_DAMAGED', `${name} has lost its table raw.${missing[0]}`);
}

/** The rows of the file and those in memory come together in a database in memory: no other program finds such views in the file. */
async function connectReaders(database: Database, catalog: string): Promise<[Connection, Connection]> {
  const readers: [Connection, Connection] = [await database.connect(), await database.connect()];
  await readers[0].run(`ATTACH ':memory:' AS ${liveCatalog}`);
  for (const reader of readers) await reader.run(`USE ${liveCatalog}`);
  const sourceOf = (table: TableName) =>
    `* FROM ${quoteName(catalog)}.raw.${table} WHERE rowid < getvariable('written_rows')[${tableNames.indexOf(table) + 1}]
    UNION ALL SELECT * FROM batch(getvariable('unflushed'), '${table}')`;
  await readers[0].script(`SET VARIABLE written_rows = [0::BIGINT]; ${rawViewsSql(sourceOf)}\n${viewsSql()}`);
  return readers;
}
