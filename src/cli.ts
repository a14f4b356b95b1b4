#!/usr/bin/env node
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { oneLine } from './cell.ts';
import { MarqueError } from './error.ts';
import { humanDuration } from './duration.ts';
import { lossyJson } from './json.ts';
import { version } from './run.ts';
import { DuckDBStorage } from './storage/duckdb.ts';
import { JsonStorage } from './storage/json.ts';
import { ParquetStorage } from './storage/parquet.ts';
import type { Storage } from './storage/storage.ts';
import type { Result } from './store.ts';

interface Options {
  readonly store: string;
  readonly json?: boolean;
}

const program = new Command('marque')
  .description('Query a run history from the shell.')
  .version(version())
  .option('-s, --store <path>', 'folder or .duckdb file of the history', process.env.MARQUE_STORE ?? 'history')
  .option('--json', 'one JSON value a row, for programs');

program
  .command('runs')
  .description('the runs, newest first')
  .option('-n, --limit <n>', 'at most so many', count, 20)
  .action(async ({ limit }: { limit: number }) => {
    await withStore((storage) =>
      print(
        storage.sql`
          SELECT slug AS run, flow, state, started_at, duration_ms, scopes, errors
          FROM runs WHERE state <> 'deleted' ORDER BY run_number DESC LIMIT ${BigInt(limit)}`.result(),
      ),
    );
  });

program
  .command('search')
  .description("scopes by a glob over flow.step.run.path, such as 'iris.train.*'; of the latest run with a match")
  .argument('<glob>')
  .option('-n, --limit <n>', 'at most so many', count, 20)
  .option('-r, --runs <runs>', 'latest, previous, all, or a glob over runs', 'latest')
  .action(async (glob: string, { limit, runs }: { limit: number; runs: string }) => {
    await withStore(async (storage) => {
      for await (const scope of storage.search(glob, { limit, runs })) {
        if (program.opts<Options>().json === true) process.stdout.write(`${lossyJson(scope)}\n`);
        else {
          const tags = scope.tags.map((tag) =>
            tag.value === null ? tag.content : `${tag.content}=${Number(tag.value.toPrecision(6))}`,
          );
          process.stdout.write(`${scope.id}  ${scope.status}  ${humanDuration(scope.durationMs)}  ${oneLine(tags.join(' '))}\n`);
        }
      }
    });
  });

program
  .command('sql')
  .description('one SELECT over the views scopes, tags, artifacts, logs, edges and runs')
  .argument('<query>')
  .action(async (query: string) => {
    await withStore((storage) => print(storage.sql(Object.assign([query], { raw: [query] })).result()));
  });

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof MarqueError)) throw error;
  process.stderr.write(`marque: ${error.message}\n`);
  process.exitCode = 1;
}

async function withStore(use: (storage: Storage) => Promise<void>): Promise<void> {
  await using storage = openStore(program.opts<Options>().store);
  await use(storage);
}

/** The storage at a path, by what is there. */
function openStore(path: string): Storage {
  if (!existsSync(path)) {
    throw new MarqueError(
      'STORE_PATH',
      `there is no store at "${path}": give --store, set MARQUE_STORE, or run a flow there first`,
    );
  }
  if (statSync(path).isFile()) return new DuckDBStorage(path);
  return existsSync(join(path, 'marque.json')) ? new JsonStorage(path) : new ParquetStorage(path);
}

async function print(pending: Promise<Result>): Promise<void> {
  const result = await pending;
  if (program.opts<Options>().json === true) {
    for (let row = 0; row < result.rowCount; row++) {
      const entries = result.columns.map(({ name }, column) => [name, result.values[column]?.[row]]);
      process.stdout.write(`${lossyJson(Object.fromEntries(entries))}\n`);
    }
  } else {
    const { renderTable } = await import('./table.ts');
    process.stdout.write(`${renderTable(result)}\n`);
  }
}

function count(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  throw new MarqueError('OPTION_INVALID', `--limit ${text}: give a whole number of at least 1`);
}
