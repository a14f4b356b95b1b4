import { MemoryStore } from './memory-store.ts';
import { Storage, type StorageOptions } from './storage.ts';

/** Keeps the history in memory: gone with the process. For tests, and for flows whose results are taken from the flow. */
export class MemoryStorage extends Storage {
  constructor(options: StorageOptions = {}) {
    super(new MemoryStore(options), options);
  }
}
