import { readFile } from 'node:fs/promises';
import { MarqueError, show } from '../error.ts';
import { unlessGone, writeWhole } from './files.ts';

/** How much of a `.duckdb` file has been promised to be durable. */
export interface Acknowledged {
  readonly batches: number;
  readonly claims: number;
}

/**
 * Remembers beside a `.duckdb` file, in `<file>.acknowledged`, what has been promised. DuckDB takes a write-ahead log that is damaged in
 * certain places for one whose end was never written, and drops what follows in silence; by this file it is noticed.
 */
export class AcknowledgedFile {
  readonly path: string;

  constructor(file: string) {
    this.path = `${file}.acknowledged`;
  }

  /** Durable when it resolves. */
  async write({ batches, claims }: Acknowledged): Promise<void> {
    await writeWhole(this.path, `${JSON.stringify({ batches, claims })}\n`);
  }

  /**
   * @throws MarqueError STORE_DAMAGED if the file holds less than was promised. More is fine: a process may die between the commit
   * and the promise.
   */
  async check(file: string, found: Acknowledged): Promise<void> {
    const promised = await this.#read();
    if (promised === null || (found.batches >= promised.batches && found.claims >= promised.claims)) return;
    const counts = ({ batches, claims }: Acknowledged) => `${batches} batches and ${claims} runs`;
    const message = `${show(file, 300)} holds ${counts(found)}, where ${counts(promised)} had been written: its write-ahead log is damaged or missing`;
    throw new MarqueError(
      'STORE_DAMAGED',
      `${message}. Restore both from a backup, or delete ${show(this.path, 300)} to go on with what is there`,
    );
  }

  async #read(): Promise<Acknowledged | null> {
    const text = await unlessGone(this.path, () => readFile(this.path, 'utf8'));
    if (text === null) return null;
    try {
      const { batches, claims } = JSON.parse(text) as Acknowledged;
      if (Number.isSafeInteger(batches) && Number.isSafeInteger(claims)) return { batches, claims };
    } catch {
      // It is written whole, so whatever this is, it is not ours.
    }
    throw new MarqueError(
      'STORE_DAMAGED',
      `${show(this.path, 300)} is not what this library wrote: delete it to go on with what is there`,
    );
  }
}
