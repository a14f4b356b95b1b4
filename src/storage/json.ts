import { JsonStore } from './json-store.ts';
import { Storage, type StorageOptions } from './storage.ts';

/**
 * Keeps the history as files a person can read: `<folder>/<flow>/<run>/<ordinal>.json`, one a scope. For small histories; every
 * search reads the files of the runs it is about. The folder is made on first use.
 */
export class JsonStorage extends Storage {
  constructor(folder: string, options: StorageOptions = {}) {
    super(new JsonStore(folder, options), options);
  }
}
