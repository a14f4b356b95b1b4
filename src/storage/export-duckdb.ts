import { rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { Anchor } from './anchor.ts';
import { DuckDBFile } from './duckdb-file.ts';
import { DuckDBStore } from './duckdb-store.ts';
import type { ExportOptions, ExportResult, ExportSource } from './export.ts';
import { bytesOf } from './export-files.ts';
import { publish, publishIfAbsent, syncFolder, temporaryBeside } from './files.ts';
import { lockFile } from './lock.ts';
import { mergeRuns } from './merge.ts';

/** What a `.duckdb` file may have beside it. */
const companions = ['.wal', '.acknowledged', '.lock', '.spill'] as const;

/** A store in a file of its own that `DuckDBStorage` opens, made by merging into a new one. Runs that have not ended are left out. */
export async function exportDuckDB(source: ExportSource, path: string, options: ExportOptions): Promise<ExportResult> {
  await refuseRemains(path);
  const temporary = temporaryBeside(path);
  try {
    const rows = await fill(source, temporary, options);
    await move(temporary, path, options.overwrite === true);
    return { path, rows, bytes: await bytesOf(path) };
  } finally {
    for (const end of ['', ...companions])
      await rm(`${temporary}${end}`, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** What an earlier store has left beside its file would be taken for the new one's. */
async function refuseRemains(path: string): Promise<void> {
  for (const end of ['.wal', '.spill']) {
    if ((await stat(`${path}${end}`).catch(() => null)) === null) continue;
    const message = `nothing can be exported to ${show(path, 300)}: beside it is ${show(`${path}${end}`, 300)}`;
    throw new MarqueError(
      'STORE_PATH',
      `${message}, of a store that is open or was not closed. Close it, or choose another name`,
    );
  }
}

async function fill(source: ExportSource, path: string, options: ExportOptions): Promise<number> {
  const empty = await DuckDBFile.open(path, true, source.limits, new Anchor(path, path, { isFinal: false }));
  await empty.close();
  const store = new DuckDBStore(path, source.limits);
  try {
    const destination = {
      claim: store.claim.bind(store),
      reclaim: store.reclaim.bind(store),
      write: store.write.bind(store),
      snapshot: () => store.snapshot([]),
    };
    await mergeRuns(destination, source, { runs: options.runs, flow: options.flow, keepNumbers: true });
    const snapshot = await store.snapshot([]);
    try {
      const { values } = await snapshot.select({ text: 'SELECT count(*) FROM scopes', values: [] });
      return values[0]?.[0] as number;
    } finally {
      await snapshot.release();
    }
  } finally {
    await store.close();
  }
}

/**
 * The file, then what was promised of it. A file that is replaced must not be open; its own promise goes first, since of the new file
 * nothing was promised yet.
 */
async function move(temporary: string, path: string, overwrite: boolean): Promise<void> {
  const lock = await lockFile(path);
  try {
    await refuseRemains(path);
    if (overwrite) {
      await rm(`${path}.acknowledged`, { force: true });
      await syncFolder(dirname(path));
      await publish(temporary, path);
    } else if (!(await publishIfAbsent(temporary, path))) {
      throw new MarqueError('STORE_PATH', `nothing was exported to ${show(path, 300)}: meanwhile a file has been made there`);
    }
    await rename(`${temporary}.acknowledged`, `${path}.acknowledged`);
    await syncFolder(dirname(path));
  } finally {
    await lock.release();
  }
}
