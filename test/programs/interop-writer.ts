/**
 * Writes a run into the store that is the first argument. After some scopes its last step tags on, says `waiting`, and ends when
 * standard input does. Given a second argument it writes one run after another instead, for so many milliseconds, and says in the
 * end how many scopes there were.
 */
import { Flow, ParquetStorage, repeat, step, type StepFlow } from '../../src/index.ts';
import { measure } from '../interop/history.ts';

const [folder, duration] = process.argv.slice(2) as [string, string?];
await using storage = new ParquetStorage(folder, { threads: 1, flush: { ms: 50 } });

if (duration === undefined) await writeAndWait();
else await writeFor(Number(duration));

async function writeAndWait(): Promise<void> {
  const flow = new Flow('live', storage, { logLevel: 'silent' }).push(repeat(measure, 5)).push(
    step('slow', async (flow) => {
      for (let index = 0; index < 7; index++) flow.tag('under way', index);
      flow.log('still running');
      process.stdout.write('waiting\n');
      for await (const _ of process.stdin);
    }),
  );
  await flow.execute();
}

async function writeFor(milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds;
  let scopes = 0;
  const quick = async (flow: StepFlow): Promise<void> => {
    flow.tag('index', scopes++);
    await new Promise((resolve) => setTimeout(resolve, 1));
  };
  while (performance.now() < end) {
    await new Flow('busy', storage, { logLevel: 'silent' }).push(repeat(step('quick', quick), 50)).execute();
  }
  process.stdout.write(`${scopes}\n`);
}
