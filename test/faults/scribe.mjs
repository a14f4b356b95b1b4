import { workFlow } from './work.mjs';

/** Writes one run and ends: `scribe.mjs <package> <folder> <label> <scopes>`, flushed in many pieces. */
const [entry, folder, label, scopes] = process.argv.slice(2);
const marque = await import(entry);
const storage = new marque.ParquetStorage(folder, { threads: 1, flush: { scopes: 250, ms: 100 } });
await workFlow(marque, storage, label, Number(scopes)).execute();
await storage.close();
