import { ParquetStore } from './parquet-store.ts';
import { Storage, type StorageOptions } from './storage.ts';

/**
 * Keeps the history as a folder of Delta Lake tables: Parquet segments with a transaction log, which DuckDB, Polars and delta-rs
 * read as they are, also while a run is writing, and which several processes may write at once. The folder is made on first use.
 */
export class ParquetStorage extends Storage {
  constructor(folder: string, options: StorageOptions = {}) {
    super(new ParquetStore(folder, options), options);
  }
}
