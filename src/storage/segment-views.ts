import { join } from 'node:path';
import type { Connection } from '../connection.ts';
import type { Extent, SidRange } from '../extent.ts';
import { Queue } from '../queue.ts';
import { quoteName, quoteText } from '../quote.ts';
import { columnsOf, type TableName, tableNames } from '../schema.ts';
import { rawViewSql, type View, views } from '../sql.ts';
import type { Statement } from '../store.ts';

/**
 * The views over segments of one database, each made when it is first needed: to make all of them takes longer than most queries. A view is
 * bound when it is made, on a connection of its own, to the files of the query that needs it, and again by each query, to its own.
 */
export class SegmentViews {
  readonly #connection: Connection;
  readonly #folder: string;
  readonly #known: ReadonlyMap<string, View> = views();
  readonly #made = new Set<string>();
  #example: Promise<string> | null = null;
  readonly #turns = new Queue(1);

  /** @param folder where the database may write */
  constructor(connection: Connection, folder: string) {
    this.#connection = connection;
    this.#folder = folder;
  }

  /** A Parquet file with the columns of all tables and no rows, for tables without files: DuckDB reads at least one. */
  async example(): Promise<string> {
    this.#example ??= this.#makeExample();
    try {
      return await this.#example;
    } catch (error) {
      this.#example = null;
      throw error;
    }
  }

  /** Makes what an extent is read by, where it is not there yet. `pinned` puts a connection into the state of the query. */
  async make({ tables, views: named }: Extent, pinned: Statement): Promise<void> {
    const missing = [...tables]
      .map((table) => `raw.${table}`)
      .concat([...named].flatMap((name) => [...this.#viewsBelow(name), name]));
    if (missing.every((name) => this.#made.has(name))) return;
    await this.#turns.add(async () => {
      await this.#connection.run('CREATE SCHEMA IF NOT EXISTS raw');
      await this.#connection.run(pinned.text, pinned.values);
      for (const name of new Set(missing)) if (!this.#made.has(name)) await this.#makeView(name);
    });
  }

  #viewsBelow(name: string): Iterable<string> {
    return this.#known.get(name)?.views ?? [];
  }

  async #makeView(name: string): Promise<void> {
    const table = tableNames.find((one) => name === `raw.${one}`);
    const text = table === undefined ? this.#known.get(name)?.text : rawViewSql(table, sourceOf(table));
    await this.#connection.run(text as string);
    this.#made.add(name);
  }

  async #makeExample(): Promise<string> {
    const path = join(this.#folder, 'example.parquet');
    const columns = new Map(
      tableNames.flatMap((table) => columnsOf(table).map(([name]) => [name, `${table}.${quoteName(name)}`])),
    );
    const tables = tableNames.map((table) => `batch(NULL, '${table}') AS ${table}`);
    const text = `COPY (SELECT ${[...columns.values()].join(', ')} FROM ${tables.join(', ')}) TO $1 (FORMAT parquet)`;
    await this.#connection.run(text, [path]);
    return path;
  }
}

/**
 * Puts a connection into the state of a snapshot: one variable, which the views read, since each statement costs half a millisecond.
 * `runs` has unflushed batches of its own, for it is written after `scopes`.
 *
 * @param deleted the numbers of runs whose scopes are not shown although they are still there
 * @param sids between which keys the rows are that count: a segment of many runs is not read to its end. Null for all
 */
export function pinning(
  pathsOf: (table: TableName) => readonly string[],
  unflushed: bigint | null,
  unflushedRuns: bigint | null,
  deleted: readonly number[],
  sids: SidRange | null,
): Statement {
  const fields = tableNames.map((table, index) => `'${table}': $${index + 1}::VARCHAR[]`);
  fields.push(`'unflushed': $${fields.length + 1}::BIGINT`, `'unflushed_runs': $${fields.length + 2}::BIGINT`);
  fields.push(`'deleted': $${fields.length + 1}::BIGINT[]`);
  fields.push(`'first': $${fields.length + 1}::BIGINT`, `'last': $${fields.length + 2}::BIGINT`);
  const hidden = deleted.length === 0 ? null : deleted.map(BigInt);
  const ends = sids === null ? [null, null] : [BigInt(sids.first), BigInt(sids.last)];
  const values = [...tableNames.map(pathsOf), unflushed, unflushedRuns, hidden, ...ends];
  return { text: `SET VARIABLE snapshot = {${fields.join(', ')}}`, values };
}

/** A folder called `run=5` on the way to the store is just a folder: DuckDB would take it for the value of a column. */
function sourceOf(table: TableName): string {
  const columns = columnsOf(table)
    .map(([name]) => quoteName(name))
    .join(', ');
  const of = (field: string): string => `getvariable('snapshot').${field}`;
  // Where all keys count, or no run is to be hidden, the variable is null, and DuckDB drops the condition when it plans.
  const conditions = [
    ...(table === 'runs' ? [] : [`(${of('first')} IS NULL OR sid BETWEEN ${of('first')} AND ${of('last')})`]),
    ...(table === 'scopes' ? [`NOT coalesce(list_contains(${of('deleted')}, sid // 4294967296), false)`] : []),
  ];
  const shown = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  const unflushed = table === 'runs' ? 'unflushed_runs' : 'unflushed';
  const files = `SELECT ${columns} FROM read_parquet(${of(table)}, hive_partitioning = false) ${shown}`;
  const both = `${files} UNION ALL SELECT ${columns} FROM batch(${of(unflushed)}, '${table}') ${shown}`;
  // Chosen when a query is planned: a half without rows would make scans a third dearer.
  return `${columns} FROM query(if(${of(unflushed)} IS NULL, ${quoteText(files)}, ${quoteText(both)}))`;
}
