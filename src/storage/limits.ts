import { MarqueError, show } from '../error.ts';

/** How much of the machine a DuckDB of a storage may use. A `ParquetStorage` has two, one that writes and one that reads. */
export interface DuckDBLimits {
  /** A number and a unit: `'2GB'`, `'512MiB'`. What does not fit goes into a temporary folder. Default: 80 % of the memory. */
  readonly memoryLimit?: string | undefined;
  /** Default: one a processor. */
  readonly threads?: number | undefined;
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
