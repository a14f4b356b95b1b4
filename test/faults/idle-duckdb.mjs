import { writeSync } from 'node:fs';
import { workFlow } from './work.mjs';

/**
 * Leaves a DuckDB file as a killed process does, with a write-ahead log: `idle-duckdb.mjs <package> <file> <runs>`. The first half of the runs is
 * in the file itself. Says `done` when all is acknowledged, then waits to be killed.
 */
const [entry, file, runs] = process.argv.slice(2);
const marque = await import(entry);
const half = Number(runs) / 2;
for (const [first, last] of [
  [0, half],
  [half, Number(runs)],
]) {
  const storage = new marque.DuckDBStorage(file, { threads: 1 });
  for (let run = first; run < last; run++) await workFlow(marque, storage, `r${run}`, 8).execute();
  if (first === 0) await storage.close(); // moves the log into the file
}
writeSync(1, 'done\n');
setInterval(() => {}, 60_000);
