import { writeSync } from 'node:fs';
import { openStore, scenariosOf } from './scenarios.mjs';
import { watch } from './shim.mjs';

/**
 * Makes one change to a store and kills itself with SIGKILL at one of its operations:
 * `killed-at.mjs <package> <folder> <scenario> <number> before|after`, where the number counts those that change something. Says `done` when
 * the change was acknowledged, which it is if there are fewer operations.
 */
const [entry, folder, name, number, when] = process.argv.slice(2);
const marque = await import(entry);
const scenario = scenariosOf(marque).find((one) => one.name === name);
const storage = openStore(marque, folder);
const act = scenario.begin(storage);
let changes = 0;
watch(folder, {
  [when](operation) {
    if (operation.changes && ++changes === Number(number)) process.kill(process.pid, 'SIGKILL');
  },
});
await act();
writeSync(1, 'done\n');
await storage.close();
