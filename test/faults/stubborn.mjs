import { writeSync } from 'node:fs';
import { openStore, scenariosOf } from './scenarios.mjs';

/**
 * Makes one change to a store, and tries again where it fails: `stubborn.mjs <package> <folder> <scenario>`. Says `failed <code> <message>` for each
 * failure and `done` in the end.
 */
const [entry, folder, name] = process.argv.slice(2);
const marque = await import(entry);
const scenario = scenariosOf(marque).find((one) => one.name === name);
const storage = openStore(marque, folder);
const act = scenario.begin(storage);
for (let attempt = 1; ; attempt++) {
  try {
    await act();
    break;
  } catch (error) {
    const { code } = error;
    if (!(error instanceof marque.MarqueError) || attempt === 9) throw error;
    writeSync(1, `failed ${code} ${error.message.replaceAll('\n', ' ')}\n`);
  }
}
writeSync(1, 'done\n');
await storage.close();
