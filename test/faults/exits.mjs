import { workFlow } from './work.mjs';

/** Records a run of so many scopes and ends the process before they are flushed: `exits.mjs <package> <folder> <label> <count>`. */
const [entry, folder, label, count] = process.argv.slice(2);
const marque = await import(entry);
const storage = new marque.ParquetStorage(folder, { threads: 1, flush: { ms: 600_000 } });
const flow = workFlow(marque, storage, label, Number(count));
flow.push(function leaves() {
  process.exit(0);
});
await flow.execute();
