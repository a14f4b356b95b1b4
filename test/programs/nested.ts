/** A step that runs a flow of its own, which hangs, and goes on from there. */
import { Flow, type MarqueError, MemoryStorage, step } from '../../src/index.ts';

const inner = new Flow('inner', new MemoryStorage(), { logLevel: 'silent' }).push(step('hangs', () => new Promise(() => {})));
const outer = new Flow('outer', new MemoryStorage()).push([
  step('tries', async () => {
    await inner.execute().catch((error: MarqueError) => process.stdout.write(`inner ${error.code}\n`));
  }),
  step('next', () => {}),
]);
await outer.execute();
process.stdout.write(`outer ${(await outer.scopes).map((scope) => scope.status).join(', ')}\n`);
