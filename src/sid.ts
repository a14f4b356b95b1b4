/**
 * The key of a scope: `run number << 32 | ordinal`, always below 2^53 and so an exact JavaScript number. Ordinals are given
 * in the order in which attempts start and are never reused; ordinal 0 is the run itself and owns its tags and logs.
 */

const ordinals = 2 ** 32;

/** Run numbers go up to 2^21 - 1, so that every sid stays a safe integer. */
export const lastRunNumber = 2 ** 21 - 1;
export const lastOrdinal = ordinals - 1;

export function sidOf(runNumber: number, ordinal: number): number {
  return runNumber * ordinals + ordinal;
}

export function runNumberOf(sid: number): number {
  return Math.floor(sid / ordinals);
}

export function ordinalOf(sid: number): number {
  return sid % ordinals;
}
