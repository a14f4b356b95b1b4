import { resolve } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { patternOf } from './path-pattern.ts';

/** How much of the machine a DuckDB of a storage may use. A `ParquetStorage` has two, one that writes and one that reads. */
export interface DuckDBLimits {
  /** A number and a unit: `'2GB'`, `'512MiB'`. What does not fit goes into a temporary folder. Default: 80 % of the memory. */
  readonly memoryLimit?: string | undefined;
  /** Default: one a processor. */
  readonly threads?: number | undefined;
}

/** What SELECTs may read beside the store. */
export interface SqlFiles {
  /**
   * Folders whose files `sql` may read, with everything below them: `read_csv('/data/reference/a.csv')`. `'any'` is whatever the process can
   * read. Nothing is written there, and no extension is loaded. While a DuckDB file is open in the same process, files cannot be read. Default:
   * only the store.
   */
  readonly sqlFiles?: readonly string[] | 'any' | undefined;
}

/** The folders as DuckDB has to be told them, `'any'` or none. Throws OPTION_INVALID for anything else. */
export function readableFolders({ sqlFiles }: SqlFiles): readonly string[] | 'any' {
  if (sqlFiles === undefined || sqlFiles === 'any') return sqlFiles ?? [];
  if (!Array.isArray(sqlFiles)) {
    throw new MarqueError('OPTION_INVALID', `sqlFiles is ${show(sqlFiles)}: give a list of folders, or 'any'`);
  }
  return sqlFiles.flatMap((folder: unknown) => {
    if (typeof folder !== 'string' || folder === '' || folder.includes('\0')) {
      throw new MarqueError('OPTION_INVALID', `sqlFiles holds ${show(folder)}: give paths of folders`);
    }
    const path = resolve(folder);
    return [...new Set([path, patternOf(path)])]; // as a path, and as it has to be written where that would be a pattern
  });
}

/** Throws OPTION_INVALID for limits that DuckDB would not take. */
export function checkLimits({ memoryLimit, threads }: DuckDBLimits): void {
  if (memoryLimit !== undefined && !(typeof memoryLimit === 'string' && /^\d+(\.\d+)? ?[KMGT]i?B$/i.test(memoryLimit))) {
    throw new MarqueError(
      'OPTION_INVALID',
      `memoryLimit is ${show(memoryLimit)}: give a number with KB, MB, GB or TB, such as '2GB'`,
    );
  }
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads > 0)) {
    throw new MarqueError('OPTION_INVALID', `threads is ${show(threads)}: give a whole number of at least 1`);
  }
}
