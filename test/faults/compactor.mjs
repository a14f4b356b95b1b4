import { writeSync } from 'node:fs';

/** Compacts a store over and over until SIGTERM: `compactor.mjs <package> <folder>`. A line for each time. */
const [entry, folder] = process.argv.slice(2);
const { ParquetStorage } = await import(entry);
const end = new AbortController();
process.on('SIGTERM', () => end.abort());
const storage = new ParquetStorage(folder, { threads: 1 });
while (!end.signal.aborted) {
  await storage.compact();
  writeSync(1, 'compacted\n');
  await new Promise((resolve) => setTimeout(resolve, 100));
}
await storage.close();
