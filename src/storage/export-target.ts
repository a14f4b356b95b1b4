import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { hasCode, makeFolder } from './files.ts';

const extensions = {
  parquet: '.parquet',
  arrow: '.arrow',
  arrows: '.arrows',
  csv: '.csv',
  jsonl: '.jsonl',
  duckdb: '.duckdb',
} as const;

/** `arrow` is an Arrow IPC file, which pandas and Polars read; `arrows` an IPC stream, which DuckDB in browsers reads. */
export type ExportFormat = keyof typeof extensions;

const exportFormats = Object.keys(extensions) as readonly ExportFormat[];

/** The format that an option asks for, or else the extension. Throws OPTION_INVALID. */
export function formatOf(path: unknown, format: unknown): ExportFormat {
  if (format !== undefined) {
    if (exportFormats.includes(format as ExportFormat)) return format as ExportFormat;
    throw new MarqueError(
      'OPTION_INVALID',
      `the format of an export is ${show(format)}: give one of ${exportFormats.join(', ')}`,
    );
  }
  const name = typeof path === 'string' ? path.toLowerCase() : '';
  const found = exportFormats.find((one) => name.endsWith(extensions[one]));
  if (found !== undefined) return found;
  const known = Object.values(extensions).join(', ');
  throw new MarqueError(
    'OPTION_INVALID',
    `${show(path, 300)} does not say its format: end it in one of ${known}, or give the option format`,
  );
}

/**
 * The absolute path to write to, whose folder is made if it is not there.
 *
 * @param store the folder or file of the store, which must not be written into; undefined where it has none
 * @throws MarqueError STORE_PATH for what cannot be written there or is there already; STORE_UNWRITABLE.
 */
export async function exportPath(given: unknown, overwrite: boolean, store: string | undefined): Promise<string> {
  if (typeof given !== 'string' || given === '' || given.includes('\0')) throw refused(given, 'it is no path of a file');
  const folder = dirname(resolve(given));
  await refuseStore(given, folder, store);
  await makeFolder(folder);
  const path = join(await realpath(folder), basename(resolve(given)));
  if (store !== undefined && (await isWithin(path, store))) throw intoStore(given, store);
  const found = await stat(path).catch(async (error: unknown) => {
    if (!hasCode(error, 'ENOENT')) throw refused(given, messageOf(error), error);
    const link = overwrite ? null : await lstat(path).catch(() => null);
    if (link !== null) throw refused(given, `there is a link already, to nothing. ${wayOut}`);
    return null;
  });
  if (found !== null && !found.isFile()) throw refused(given, 'something else than a file has that name');
  if (found !== null && !overwrite) throw refused(given, `there is a file already. ${wayOut}`);
  return path;
}

const wayOut = 'Choose another name, or say { overwrite: true }';

/** Before any folder is made: one inside the store would be taken for a part of it. */
async function refuseStore(given: string, folder: string, store: string | undefined): Promise<void> {
  if (store === undefined) return;
  for (let existing = folder; ; existing = dirname(existing)) {
    const real = await realpath(existing).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT', 'ENOTDIR') && dirname(existing) !== existing) return null;
      throw refused(given, messageOf(error), error);
    });
    if (real === null) continue;
    if (await isWithin(join(real, folder.slice(existing.length)), store)) throw intoStore(given, store);
    return;
  }
}

/** A store's file is within itself. */
async function isWithin(path: string, store: string): Promise<boolean> {
  const place = await realpath(store).catch(() => store);
  return path === place || path.startsWith(place.endsWith(sep) ? place : `${place}${sep}`);
}

function intoStore(given: string, store: string): MarqueError {
  return refused(given, `that is in the store ${show(store, 300)} itself. Choose a place outside of it`);
}

function refused(path: unknown, why: string, cause?: unknown): MarqueError {
  const message = `nothing can be exported to ${show(path, 300)}: ${why}`;
  return new MarqueError('STORE_PATH', message, cause === undefined ? {} : { cause });
}
