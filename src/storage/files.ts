import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';

/**
 * File operations that are on the disk when they resolve, and leave a file whole or absent if the process or the machine
 * dies at any point. What they leave behind then is at most a hidden file (a leading dot, ending in `.inprogress`), which no
 * reader looks at. What the system refuses is an error of ours that names the file, with the system's as cause: STORE_UNWRITABLE where
 * something was to be changed, STORE_PATH where it was only looked at.
 */

/** What goes into a file. In pieces where it may be longer than a string can be. */
export type Content = string | Uint8Array | Iterable<string>;

/** Writes a file, or replaces it in one step: a reader sees the content before or after, never a part. */
export async function writeWhole(path: string, content: Content): Promise<void> {
  await writing(path, async () => {
    const temporary = temporaryBeside(path);
    await writeAndSync(temporary, content);
    await renameAndSync(temporary, path);
  });
}

/**
 * Creates a file whole, unless there is one of this name: then nothing is written and the answer is false. Of several
 * processes that try at once exactly one gets true, which `rename` could not promise: it needs a file system with hard links.
 */
export async function putIfAbsent(path: string, content: Content): Promise<boolean> {
  return await writing(path, async () => {
    const temporary = temporaryBeside(path);
    await writeAndSync(temporary, content);
    return await linkAndSync(temporary, path);
  });
}

/** Gives a file that somebody else wrote its final name, replacing what was there. Its content is synced first. */
export async function publish(temporary: string, path: string): Promise<void> {
  await writing(path, async () => {
    await syncFile(temporary);
    await renameAndSync(temporary, path);
  });
}

/** `publish` for a name that several processes want: false, and the temporary file is gone, where there is one already. */
export async function publishIfAbsent(temporary: string, path: string): Promise<boolean> {
  return await writing(path, async () => {
    await syncFile(temporary);
    return await linkAndSync(temporary, path);
  });
}

/** Creates a folder with its parents; nothing happens where it is there. A file of that name raises STORE_PATH. */
export async function makeFolder(path: string): Promise<void> {
  await writing(path, async () => {
    if (await makeEntry(path)) return;
    const parent = dirname(path);
    if (parent !== path) await makeFolder(parent);
    if (!(await makeEntry(path))) throw new Error('its parent is there, and yet the system finds no place for it');
  });
}

/** Makes the names in a folder durable: what was created, renamed or removed there. */
export async function syncFolder(folder: string): Promise<void> {
  await writing(folder, () => syncNames(folder));
}

/** Removes a file; nothing happens where it has gone. Durable with its folder. */
export async function remove(path: string): Promise<void> {
  await writing(path, () => rm(path, { force: true }), 'removed');
}

/** A hidden name in the same folder, of the same length whatever the file is called, and never drawn twice. */
export function temporaryBeside(path: string): string {
  return join(dirname(path), `.${randomUUID()}.inprogress`);
}

/** Whether there is a file or folder of this name. */
export async function isThere(path: string): Promise<boolean> {
  return (await unlessGone(path, () => stat(path))) !== null;
}

/** The names in a folder, hidden ones too; none where it is missing. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  return (await unlessGone(folder, () => readdir(folder))) ?? [];
}

/** What a job that looks at a file gives; null where there is none. Raises STORE_PATH for what else the system says. */
export async function unlessGone<T>(path: string, job: () => Promise<T>): Promise<T | null> {
  try {
    return await job();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw unreadable(path, error);
  }
}

/** What a job that reads a file gives. Raises STORE_PATH, also where there is none. */
export async function reading<T>(path: string, job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** What a job that changes a file gives. Raises STORE_UNWRITABLE; `done` is what could not be done to the file. */
export async function writing<T>(path: string, job: () => Promise<T>, done: 'written' | 'removed' = 'written'): Promise<T> {
  try {
    return await job();
  } catch (error) {
    if (error instanceof MarqueError) throw error;
    throw new MarqueError('STORE_UNWRITABLE', `${show(path, 300)} cannot be ${done}: ${messageOf(error)}`, { cause: error });
  }
}

/** An error of the system's as STORE_PATH; one of ours as it is. */
export function unreadable(path: string, cause: unknown): MarqueError {
  if (cause instanceof MarqueError) return cause;
  return new MarqueError('STORE_PATH', `${show(path, 300)} cannot be read: ${messageOf(cause)}`, { cause });
}

/** Whether something thrown is a system error of one of these codes: `hasCode(error, 'ENOENT')`. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(error.code as string);
}

/**
 * Makes one folder; false where its parent is missing. Not `mkdir` with `recursive`: below `/proc` Node 20 tries that for ever, and
 * each new folder is an entry that its own parent has to be synced for.
 */
async function makeEntry(path: string): Promise<boolean> {
  try {
    await mkdir(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    if (!hasCode(error, 'EEXIST')) throw error;
    if ((await stat(path)).isDirectory()) return true;
    throw new MarqueError('STORE_PATH', `${show(path, 300)} is a file, and a folder is needed there`, { cause: error });
  }
  await syncNames(dirname(path));
  return true;
}

async function writeAndSync(path: string, content: Content): Promise<void> {
  try {
    const file = await open(path, 'wx');
    try {
      const pieces = typeof content === 'string' || content instanceof Uint8Array ? [content] : content;
      for (const piece of pieces) await file.appendFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined); // the first error is the one to report
    throw error;
  }
}

async function syncNames(folder: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there; NTFS journals its names
  await syncFile(folder);
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function renameAndSync(temporary: string, path: string): Promise<void> {
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncNames(dirname(path));
}

async function linkAndSync(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
  await syncNames(dirname(path));
  return true;
}
