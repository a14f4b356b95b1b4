import { DuckDBStore } from './duckdb-store.ts';
import { Storage, type StorageOptions } from './storage.ts';

/**
 * Keeps the history in one DuckDB file, tables and views included. One process at a time has it open; another one gets
 * `STORE_LOCKED`. The file is made on first use.
 */
export class DuckDBStorage extends Storage {
  constructor(file: string, options: StorageOptions = {}) {
    super(new DuckDBStore(file, options), options);
  }
}
