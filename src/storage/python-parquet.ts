import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Connection, Database } from '../duckdb.ts';
import { parseDuckDBType } from '../duckdb-type.ts';
import { MarqueError, messageOf, show } from '../error.ts';
import type { DuckDBLimits } from './limits.ts';
import { patternOf } from './path-pattern.ts';
import {
  type Loss,
  type PythonRun,
  PythonRunSummary,
  type PythonScope,
  type PythonStore,
  splitPythonId,
} from './python-scope.ts';
import { rowPieces } from './row-pieces.ts';

const columns = [
  'id',
  'part',
  'scope_duration',
  'scope_error',
  'artifact_name',
  'artifact_value',
  'tag_content',
  'tag_value',
] as const;

const notes = ['when a scope started is not recorded there: the time of the file stands for it'] as const;

interface Rows {
  /** Of the file, from 0. */
  first: number;
  last: number;
}

/**
 * A PolarsStorage of the Python package: one Parquet file, in which a row of part `scope` begins each scope, and rows of parts
 * `artifact` and `tag` follow it. An id that was drawn twice so stays two scopes.
 */
export async function openPythonParquet(path: string, limits: DuckDBLimits): Promise<PythonStore> {
  await checkMagic(path);
  const folder = dirname(path);
  const database = await Database.open({ ...limits, allowed: [...new Set([folder, patternOf(folder)])] });
  try {
    const file = await PythonFile.open(path, await database.connect());
    const found = new Map<string, { readonly summary: PythonRunSummary; readonly rows: Rows }>();
    const strangeIds: string[] = [];
    for await (const { scope, first, last } of file.scopes(null)) {
      const id = splitPythonId(scope.id);
      if (id === null) {
        strangeIds.push(scope.id);
        continue;
      }
      const key = `${id.flow}.${id.run}`;
      const run = found.get(key) ?? { summary: new PythonRunSummary(id), rows: { first, last } };
      found.set(key, run);
      run.summary.add(scope);
      run.rows.last = last;
    }
    const runs = Array.from(found, ([key, { summary, rows }]): PythonRun => {
      const { flow, run, startedAt, endedAt } = summary;
      return {
        flow,
        run,
        startedAt,
        endedAt,
        count: summary.count,
        content: summary.content(),
        async *scopes() {
          for await (const { scope } of file.scopes(rows)) {
            const id = splitPythonId(scope.id);
            if (id !== null && `${id.flow}.${id.run}` === key) yield scope;
          }
        },
      };
    });
    return { runs, notes, strangeIds, close: () => database.close() };
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function checkMagic(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (buffer.toString('latin1', 0, bytesRead) === 'PAR1') return;
  } finally {
    await file.close();
  }
  throw new MarqueError(
    'STORE_PATH',
    `${show(path, 300)} is no Parquet file, and so no PolarsStorage of the Python package marque`,
  );
}

class PythonFile {
  readonly #path: string;
  readonly #connection: Connection;
  readonly #pieces: readonly (readonly [first: number, last: number])[];
  readonly #modifiedAt: number;

  private constructor(path: string, connection: Connection, pieces: readonly (readonly [number, number])[], modifiedAt: number) {
    this.#path = path;
    this.#connection = connection;
    this.#pieces = pieces;
    this.#modifiedAt = modifiedAt;
  }

  static async open(path: string, connection: Connection): Promise<PythonFile> {
    try {
      const described = await connection.run('SELECT * FROM read_parquet($1, hive_partitioning = false) LIMIT 0', [
        patternOf(path),
      ]);
      const names = described.columns.map(({ name }) => name);
      if (columns.some((name) => !names.includes(name))) {
        throw new MarqueError(
          'STORE_PATH',
          `${show(path, 300)} has no column ${columns.find((name) => !names.includes(name))}: it is no PolarsStorage of the Python package marque`,
        );
      }
      const typed = described.columns.map(({ name, type }) => ({ name, type: parseDuckDBType(type) }));
      return new PythonFile(path, connection, await rowPieces(connection, typed, path), Math.floor((await stat(path)).mtimeMs));
    } catch (error) {
      throw damaged(path, error);
    }
  }

  /** The scopes that begin within a range of rows, or all, with the rows that each takes. */
  async *scopes(range: Rows | null): AsyncGenerator<{ scope: PythonScope; first: number; last: number }> {
    let open: { readonly scope: OpenScope; readonly first: number; last: number } | null = null;
    for (const [first, last] of this.#pieces) {
      if (range !== null && (last < range.first || first > range.last)) continue;
      for (const row of await this.#read(Math.max(first, range?.first ?? 0), Math.min(last, range?.last ?? last))) {
        const [number, id, part, duration, error, name, json, content, value] = row as [
          number,
          string,
          string,
          number | null,
          string | null,
          string | null,
          string | null,
          string | null,
          number | null,
        ];
        if (part === 'scope' || open === null || open.scope.id !== id) {
          if (open !== null) yield open;
          const scope: OpenScope = {
            id,
            error,
            durationMs: (duration ?? 0) / 1_000,
            startedAt: this.#modifiedAt,
            artifacts: [],
            tags: [],
            lost: [],
          };
          open = { scope, first: number, last: number };
        }
        open.last = number;
        const { artifacts, tags, lost } = open.scope;
        if (part === 'artifact') {
          if (name !== null && json !== null) artifacts.push({ name, json });
          else lost.push({ what: `artifact ${show(name)}`, why: name === null ? 'its name is no text' : 'it has no value' });
        }
        if (part === 'tag') {
          if (content !== null) tags.push({ content, value });
          else lost.push({ what: `tag ${show(content)}`, why: 'its content is no text' });
        }
      }
    }
    if (open !== null) yield open;
  }

  async #read(first: number, last: number): Promise<readonly (readonly unknown[])[]> {
    try {
      const { values, rowCount } = await this.#connection.run(
        `SELECT file_row_number, id, part::VARCHAR, scope_duration::BIGINT, scope_error, artifact_name, artifact_value, tag_content, tag_value::DOUBLE
          FROM read_parquet($1, hive_partitioning = false, file_row_number = true) WHERE file_row_number BETWEEN $2 AND $3 ORDER BY file_row_number`,
        [patternOf(this.#path), BigInt(first), BigInt(last)],
      );
      return Array.from({ length: rowCount }, (_, row) => values.map((column) => column[row]));
    } catch (error) {
      throw damaged(this.#path, error);
    }
  }
}

interface OpenScope extends PythonScope {
  readonly artifacts: { readonly name: string; readonly json: string }[];
  readonly tags: { readonly content: string; readonly value: number | null }[];
  readonly lost: Loss[];
}

function damaged(path: string, error: unknown): unknown {
  if (error instanceof MarqueError && error.code !== 'DATABASE_FAILED') return error;
  const reason = messageOf(error instanceof MarqueError ? (error.cause ?? error) : error);
  return new MarqueError('STORE_DAMAGED', `${show(path, 300)} cannot be read as Parquet: ${reason}`, { cause: error });
}
