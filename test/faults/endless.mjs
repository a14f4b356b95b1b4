import { writeSync } from 'node:fs';
import { workFlow } from './work.mjs';

/**
 * Runs one flow after another until it is killed: `endless.mjs <package> <folder> <label>`. Says on a line of its own `<label> <count>` when
 * the first scopes of a run are durable, `ready` before it begins, and `compacted` after each compaction.
 */
const [entry, folder, prefix] = process.argv.slice(2);
const marque = await import(entry);
const say = (line) => writeSync(1, `${line}\n`);

const storage = new marque.ParquetStorage(folder, { threads: 1, flush: { ms: 15 } });
say('ready');
for (let turn = 0; ; turn++) {
  const label = `${prefix}${turn}`;
  const flow = workFlow(marque, storage, label, 12, async (index) => {
    if (index % 4 !== 3) return;
    await storage.flush();
    say(`${label} ${index}`); // this step itself has not ended yet
  });
  await flow.execute();
  say(`${label} 12`);
  await storage.compact();
  say('compacted');
}
