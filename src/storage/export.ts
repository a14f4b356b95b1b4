import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Database } from '../duckdb.ts';
import { MarqueError, show } from '../error.ts';
import type { SqlQuery } from '../sql-query.ts';
import type { Snapshot, Staged, Statement } from '../store.ts';
import { checkRunChoice, chosenRuns, type RunChoice } from './chosen-runs.ts';
import { type ExportedView, exportedViews, wholeScopes, wholeView } from './export-columns.ts';
import { bytesOf, writeStage } from './export-files.ts';
import { type ExportFormat, exportPath, formatOf } from './export-target.ts';
import { publish, publishIfAbsent, temporaryBeside } from './files.ts';
import type { DuckDBLimits } from './limits.ts';
import type { MergeSource } from './merge.ts';
import { patternOf } from './path-pattern.ts';
import { scopeWindows } from './scope-windows.ts';

/** What to export, where it is not every scope of every run. */
export interface ExportOptions extends RunChoice {
  /** By default what the path ends in: `.parquet`, `.arrow` (an IPC file), `.arrows` (an IPC stream), `.csv`, `.jsonl` or `.duckdb`. */
  readonly format?: ExportFormat | undefined;
  /** One view as it is, instead of scopes with everything that belongs to them. */
  readonly table?: ExportedView | undefined;
  /** The answer to a query of this storage. */
  readonly query?: SqlQuery<object> | undefined;
  /** Replaces a file that is there. By default that is an error. */
  readonly overwrite?: boolean | undefined;
}

export interface ExportResult {
  readonly path: string;
  /** Rows of the file; of a `.duckdb` file its scopes. */
  readonly rows: number;
  readonly bytes: number;
}

export interface ExportSource extends MergeSource {
  /** Of the store, where it has one. */
  readonly place: string | undefined;
  readonly limits: DuckDBLimits;
}

/** Writes a file that is whole, or absent, at every moment. */
export async function exportStore(source: ExportSource, given: string, options: ExportOptions): Promise<ExportResult> {
  checkOptions(options);
  const format = formatOf(given, options.format);
  if (format === 'duckdb' && (options.table !== undefined || options.query !== undefined))
    throw new MarqueError(
      'OPTION_INVALID',
      'a .duckdb file holds the whole store: export a table or a query into another format',
    );
  const overwrite = options.overwrite === true;
  const path = await exportPath(given, overwrite, source.place);
  try {
    if (format === 'duckdb') {
      const { exportDuckDB } = await import('./export-duckdb.ts');
      return await exportDuckDB(source, path, options);
    }
    const temporary = temporaryBeside(path);
    try {
      const rows = await writeRows(source, temporary, format, options);
      if (overwrite) await publish(temporary, path);
      else if (!(await publishIfAbsent(temporary, path)))
        throw new MarqueError('STORE_PATH', `nothing was exported to ${show(path, 300)}: meanwhile a file has been made there`);
      return { path, rows, bytes: await bytesOf(path) };
    } finally {
      await rm(temporary, { force: true }).catch(() => undefined); // gone already where all went well
    }
  } catch (error) {
    throw unwritten(path, error);
  }
}

function checkOptions(options: ExportOptions): void {
  if (typeof options !== 'object' || options === null)
    throw new MarqueError('OPTION_INVALID', `the options of an export are ${show(options)}: give an object, or leave them out`);
  checkRunChoice(options);
  const { table, query, runs, flow } = options;
  if (table !== undefined && !exportedViews.includes(table))
    throw new MarqueError('OPTION_INVALID', `table is ${show(table)}: give one of ${exportedViews.join(', ')}`);
  if (query !== undefined && (table !== undefined || runs !== undefined || flow !== undefined))
    throw new MarqueError('OPTION_INVALID', 'a query says by itself what it selects: leave out table, runs and flow');
}

/** DuckDB first puts the rows into Parquet files in its temporary folder, the only place that a query can write. */
async function writeRows(source: ExportSource, temporary: string, format: ExportFormat, options: ExportOptions): Promise<number> {
  const snapshot = await source.snapshot();
  const parts: Staged[] = [];
  try {
    for (const statement of await statementsOf(snapshot, options)) parts.push(await snapshot.stage(statement));
    await writeParts(source.limits, parts, temporary, format);
    return parts.reduce((sum, part) => sum + part.rows, 0);
  } finally {
    await snapshot.release();
    for (const part of parts) await rm(part.path, { force: true }).catch(() => undefined); // closing the database removes it, too
  }
}

async function statementsOf(snapshot: Snapshot, options: ExportOptions): Promise<readonly Statement[]> {
  if (options.query !== undefined) return [await options.query.statementIn(snapshot)];
  const isAll = (options.runs ?? 'all') === 'all' && options.flow === undefined;
  const runs = isAll ? null : (await chosenRuns(snapshot, options)).map(({ number }) => number);
  if (options.table !== undefined) return [wholeView(options.table, runs)];
  const windows = await scopeWindows(snapshot, runs);
  return (windows.length === 0 ? [{ first: 0, last: 0 }] : windows).map((window) => wholeScopes(window, runs));
}

async function writeParts(
  limits: DuckDBLimits,
  parts: readonly Staged[],
  temporary: string,
  format: ExportFormat,
): Promise<void> {
  const folders = [...parts.map((part) => part.path), temporary].map(dirname);
  const database = await Database.open({ ...limits, allowed: [...new Set([...folders, ...folders.map(patternOf)])] });
  try {
    await writeStage(await database.connect(), parts, temporary, format);
  } finally {
    await database.close();
  }
}

/** What DuckDB or the system could not write, as STORE_UNWRITABLE. */
function unwritten(path: string, error: unknown): unknown {
  const [cause, reason] = reasonOf(error);
  if (reason === null) return error;
  return new MarqueError('STORE_UNWRITABLE', `the export to ${show(path, 300)} could not be written: ${reason}`, { cause });
}

function reasonOf(error: unknown): [cause: unknown, reason: string | null] {
  if (!(error instanceof MarqueError)) return [error, error instanceof Error && 'syscall' in error ? error.message : null];
  if (error.code !== 'DATABASE_FAILED' || !(error.cause instanceof Error)) return [error, null];
  return [error.cause, /^IO Error: (.*)/s.exec(error.cause.message)?.[1] ?? null];
}
