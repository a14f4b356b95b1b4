/** Three quick steps and one that waits, in the store given as the first argument. The second says how it is to end. */
import { Flow, ParquetStorage, repeat } from '../../src/index.ts';

const [folder, ending] = process.argv.slice(2) as [string, string];
function quick(): void {}
async function slow(): Promise<void> {
  process.stdout.write('waiting\n');
  if (ending === 'never settles') await new Promise(() => {});
  if (ending === 'finishes') await new Promise((resolve) => setTimeout(resolve, 300));
  if (ending === 'hangs') await new Promise((resolve) => setTimeout(resolve, 600_000));
}

const storage = new ParquetStorage(folder, { flush: { ms: 600_000 } });
const flow = new Flow('slow', storage).push(repeat(quick, 3)).push(slow).push(quick);
await flow.execute();
process.stdout.write('not reached when interrupted\n');
