import { stat } from 'node:fs/promises';
import { MarqueError, messageOf, show } from '../error.ts';
import { hasCode } from './files.ts';

/**
 * The file by which an object knows its store. What the object remembers is not true of another store that has taken the place of
 * this one, so it must not go on there. Only `stat` is used.
 */
export class Anchor {
  readonly #file: string;
  readonly #store: string;
  readonly #isFinal: boolean;
  #identity: string | null = null;

  /** `isFinal` says that the file is never written again. Its number alone would not do: systems give that of a removed file to a new one. */
  constructor(file: string, store: string, { isFinal = true } = {}) {
    this.#file = file;
    this.#store = store;
    this.#isFinal = isFinal;
  }

  /** Takes the file as it is now for the store's own. */
  async hold(): Promise<void> {
    this.#identity = await this.#look();
  }

  /** Whether another file is there now, or none. False where none was held. */
  async isGone(): Promise<boolean> {
    return this.#identity !== null && (await this.#look()) !== this.#identity;
  }

  /** @throws MarqueError STORE_PATH where {@link isGone}. */
  async check(): Promise<void> {
    if (!(await this.isGone())) return;
    throw new MarqueError(
      'STORE_PATH',
      `the store ${show(this.#store, 300)} was replaced or removed since it was opened: make a new storage object`,
    );
  }

  async #look(): Promise<string | null> {
    try {
      const { dev, ino, mtimeNs } = await stat(this.#file, { bigint: true });
      return this.#isFinal ? `${dev} ${ino} ${mtimeNs}` : `${dev} ${ino}`;
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
      throw new MarqueError('STORE_PATH', `${show(this.#file, 300)} cannot be read: ${messageOf(error)}`, { cause: error });
    }
  }
}
