import { existsSync, readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import type { TableName } from '../schema.ts';
import { type DeltaActions, parseActions } from './delta-actions.ts';
import { hasCode, namesIn, reading, unreadable } from './files.ts';

/** The versions of a log as the files that they are. */
export class LogEntries {
  readonly folder: string;
  readonly #table: TableName;

  /** `folder` is the `_delta_log` of the table. */
  constructor(table: TableName, folder: string) {
    this.#table = table;
    this.folder = folder;
  }

  pathOf(version: number): string {
    return join(this.folder, `${String(version).padStart(20, '0')}.json`);
  }

  /** The highest version there is; -1 where there is no log. */
  async highestVersion(): Promise<number> {
    const names = await namesIn(this.folder);
    return names.reduce((highest, name) => Math.max(highest, Number(/^(\d{20})\.json$/.exec(name)?.[1] ?? -1)), -1);
  }

  /** What one version says; null where there is none of that number. */
  async read(version: number): Promise<DeltaActions | null> {
    const path = this.pathOf(version);
    try {
      return parseActions(this.#table, await readFile(path, 'utf8'), path);
    } catch (error) {
      return nothing(path, error);
    }
  }

  /** {@link read} at once: they are small, and reading one takes a tenth of the way to another thread and back. */
  readNow(version: number): DeltaActions | null {
    const path = this.pathOf(version);
    try {
      return parseActions(this.#table, readFileSync(path, 'utf8'), path);
    } catch (error) {
      return nothing(path, error);
    }
  }

  /** When a version was committed, in epoch milliseconds. */
  async committedAt(version: number): Promise<number> {
    const actions = await this.read(version);
    if (actions === null) throw this.missing(version);
    const path = this.pathOf(version);
    return actions.committedAt ?? (await reading(path, () => stat(path))).mtimeMs;
  }

  /** The last version that was committed at a time (epoch milliseconds) or before; null where the log is younger. */
  async versionAt(time: number): Promise<number | null> {
    let [first, last] = [0, await this.highestVersion()];
    let found: number | null = null;
    while (first <= last) {
      const middle = Math.floor((first + last) / 2);
      if ((await this.committedAt(middle)) <= time) {
        found = middle;
        first = middle + 1;
      } else last = middle - 1;
    }
    return found;
  }

  /**
   * A second look at a version that was not found, `known` being one that is known to have been committed; null where the log ends before it.
   *
   * @throws MarqueError STORE_DAMAGED where it is still missing, although it has to be there, or the one after it is.
   */
  async readLater(version: number, known: number): Promise<DeltaActions | null> {
    if (version > known && !existsSync(this.pathOf(version + 1))) return null;
    await this.highestVersion(); // until its names are asked for, a file system of a network may hide what another machine has written
    const found = await this.read(version);
    if (found === null) throw this.missing(version);
    return found;
  }

  missing(version: number): MarqueError {
    return new MarqueError('STORE_DAMAGED', `the log entry ${show(this.pathOf(version), 300)} is missing`);
  }
}

/** For an entry that is not there; throws where it is, and cannot be read. */
function nothing(path: string, error: unknown): null {
  if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
  throw unreadable(path, error);
}
