import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TableName } from '../src/schema.ts';
import { temporaryFolder } from './folders.ts';
import { filesOf, storeIn, writeRun } from './parquet-history.ts';

/** The log entry of a version. */
export function entry(folder: string, table: string, version: number): string {
  return join(folder, table, '_delta_log', `${String(version).padStart(20, '0')}.json`);
}

/** The segment of a batch of a run. */
export function segmentOf(folder: string, table: TableName, batch: string): string {
  const [name] = filesOf(folder, table).filter((one) => one.includes(`${batch}.`));
  return join(folder, table, name as string);
}

/** Changes one bit of a file. */
export function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 4;
  writeFileSync(path, bytes);
}

/** A closed store of two runs, the first of them with three batches. */
export async function twoRuns(): Promise<string> {
  const folder = join(temporaryFolder(), 'history');
  const store = storeIn(folder);
  await writeRun(store, 'brave-otter', 3, { ends: true });
  await writeRun(store, 'calm-heron', 1, { ends: true });
  await store.close();
  return folder;
}

/** All files of a folder with their contents. */
export function contentOf(folder: string): ReadonlyMap<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(folder, name)).isFile(),
  );
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name), 'latin1')]));
}
