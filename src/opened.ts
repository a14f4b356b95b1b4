import { stat } from 'node:fs/promises';
import { MarqueError } from './error.ts';

/** Shared by every copy of this module in the process: DuckDB allows a second open and then loses commits in silence. */
interface Opened {
  readonly files: Set<string>;
  /** Settles when the latest open has ended: opens run one after another, since a new file has no identity before. */
  last: Promise<unknown>;
}

const key = Symbol.for('marque.opened');
const shared = globalThis as unknown as Record<symbol, Opened | undefined>;
const opened: Opened = (shared[key] ??= { files: new Set(), last: Promise.resolve() });

/** Whether this process has a database file open. */
export function isAnyOpen(): boolean {
  return opened.files.size > 0;
}

/** What `open` gave, and how to say that the file is closed again. */
export interface OpenedFile<T> {
  readonly value: T;
  readonly release: () => void;
}

/**
 * Opens a database file that nobody in this process has open, whatever its name: links and other spellings are the same file.
 * @throws MarqueError `STORE_LOCKED` when it is open already.
 */
export function openOnce<T>(path: string, open: () => Promise<T>): Promise<OpenedFile<T>> {
  const result = opened.last.then(async () => {
    const before = await identity(path);
    if (before !== null && opened.files.has(before)) {
      throw new MarqueError(
        'STORE_LOCKED',
        `${JSON.stringify(path)} is open in this process already: close that storage first, or share it`,
      );
    }
    const value = await open();
    const file = (await identity(path)) ?? path;
    opened.files.add(file);
    return { value, release: () => void opened.files.delete(file) };
  });
  opened.last = result.catch(() => undefined);
  return result;
}

/** Device and inode of a file, null where there is none. Only `stat`: opening and closing the file would drop DuckDB's lock. */
async function identity(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}
