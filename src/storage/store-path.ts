import { resolve } from 'node:path';
import { MarqueError, show } from '../error.ts';

/** The absolute path of a store. Throws STORE_PATH for what cannot be one. Nothing is looked up. */
export function storePath(given: unknown): string {
  if (typeof given !== 'string' || given === '') throw unfit(given, 'give the path of a file or folder');
  if (given.includes('\0')) throw unfit(given, 'a path has no NUL');
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(given)) throw unfit(given, 'it has to be on a local file system');
  return resolve(given);
}

/** The error for a path that cannot be that of a store. */
export function unfit(path: unknown, why: string): MarqueError {
  return new MarqueError('STORE_PATH', `${show(path, 300)} cannot be the place of a store: ${why}`);
}
