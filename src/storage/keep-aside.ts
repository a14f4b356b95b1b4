import { link, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { hasCode, makeFolder, syncFolder } from './files.ts';

/** Where damaged files of a store are kept, each below the name of the folder it was in. Nothing in it is ever removed. */
const asideFolder = '_damaged';

/**
 * Gives a file of a store a second name among those that are kept, and returns that name. The first one is left to whoever replaces or
 * removes it: dying in between, he finds both the next time.
 *
 * @throws MarqueError STORE_UNWRITABLE
 */
export async function keepAside(folder: string, path: string): Promise<string> {
  const place = join(folder, asideFolder, relative(folder, path));
  await makeFolder(dirname(place));
  try {
    for (let copy = 1; ; copy++) {
      const target = copy === 1 ? place : `${place}.${copy}`; // damaged once more after an earlier repair
      if (!(await isLinked(path, target))) continue;
      await syncFolder(dirname(target));
      return target;
    }
  } catch (error) {
    if (error instanceof MarqueError) throw error;
    throw new MarqueError('STORE_UNWRITABLE', `${show(path, 300)} cannot be kept aside: ${messageOf(error)}`, { cause: error });
  }
}

/** False where the name is that of another file. */
async function isLinked(path: string, target: string): Promise<boolean> {
  try {
    await link(path, target);
    return true;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    const [one, other] = await Promise.all([path, target].map((name) => stat(name, { bigint: true })));
    return one?.ino === other?.ino && one?.dev === other?.dev;
  }
}
