import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection, type DuckDBPreparedStatement } from '@duckdb/node-api';

/** A column by which the log says what a file holds. */
type Pruned = 'flow' | 'run' | 'step';

interface File {
  readonly path: string;
  /** Least and greatest value of each column, as the log of the table has them. */
  readonly bounds: ReadonlyMap<string, readonly [least: string, greatest: string]>;
  readonly lastSid: number;
}

/**
 * What somebody who knows DuckDB and this store writes by hand: a connection of his own, statements prepared once, and exactly the files
 * that can hold the answer, by the statistics that the log keeps of each (read here from the files themselves, where they come from).
 */
export class HandWritten {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #files: ReadonlyMap<'scopes' | 'tags', readonly File[]>;
  readonly #prepared = new Map<string, DuckDBPreparedStatement>();

  private constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    files: ReadonlyMap<'scopes' | 'tags', readonly File[]>,
  ) {
    this.#instance = instance;
    this.#connection = connection;
    this.#files = files;
  }

  static async open(folder: string): Promise<HandWritten> {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    await connection.run('SET parquet_metadata_cache = true');
    const files = new Map<'scopes' | 'tags', readonly File[]>();
    for (const table of ['scopes', 'tags'] as const) files.set(table, await filesIn(connection, join(folder, table)));
    return new HandWritten(instance, connection, files);
  }

  /** The files of a table that can have rows with this value, newest first, as SQL that reads them. Nothing is said of the sweep's columns by itself. */
  files(table: 'scopes' | 'tags', where: Partial<Record<Pruned, string>> = {}, limit = Infinity): string {
    const fitting = (this.#files.get(table) ?? []).filter(({ bounds }) =>
      Object.entries(where).every(([column, text]) => {
        const [least, greatest] = bounds.get(column) ?? [text, text];
        return least <= text && text <= greatest;
      }),
    );
    return `read_parquet([${fitting
      .slice(0, limit)
      .map(({ path }) => `'${path.replaceAll("'", "''")}'`)
      .join(', ')}])`;
  }

  /** Runs without a result: sets something up. */
  async run(text: string): Promise<void> {
    await this.#connection.run(text);
  }

  /** The columns of what a SELECT without parameters finds. It is prepared when it is first seen. */
  async columns(text: string): Promise<unknown[][]> {
    const prepared = this.#prepared.get(text) ?? (await this.#connection.prepare(text));
    this.#prepared.set(text, prepared);
    const reader = await prepared.runAndReadAll();
    return reader.getColumnsJS();
  }

  close(): void {
    for (const prepared of this.#prepared.values()) prepared.destroySync();
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

async function filesIn(connection: DuckDBConnection, folder: string): Promise<readonly File[]> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.parquet'));
  const list = names.map((name) => `'${join(folder, name).replaceAll("'", "''")}'`).join(', ');
  const reader = await connection.runAndReadAll(
    `SELECT file_name, path_in_schema, min(stats_min_value), max(stats_max_value)
     FROM parquet_metadata([${list}]) WHERE path_in_schema IN ('sid', 'flow', 'run', 'step') AND row_group_num_rows > 0 GROUP BY ALL`,
  );
  const bounds = new Map<string, Map<string, readonly [string, string]>>();
  for (const [path, column, least, greatest] of reader.getRowsJS() as [string, string, string, string][]) {
    const ofFile = bounds.get(path) ?? new Map<string, readonly [string, string]>();
    bounds.set(path, ofFile.set(column, [least, greatest]));
  }
  return Array.from(bounds, ([path, ofFile]) => ({ path, bounds: ofFile, lastSid: Number(ofFile.get('sid')?.[1]) })).toSorted(
    (a, b) => b.lastSid - a.lastSid,
  );
}
