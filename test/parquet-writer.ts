import { ParquetStore } from '../src/storage/parquet-store.ts';
import { slugDraws } from '../src/slug.ts';
import { RowMaker } from './store-rows.ts';

/**
 * A process that writes a run into a Parquet store, batch by batch, each of two scopes with a tag, a log and an artifact:
 * `parquet-writer.ts <folder> <batches>`. Says `<run number> <batch>` on a line once a batch is durable.
 */
const [folder, batches] = process.argv.slice(2) as [string, string];
const store = new ParquetStore(folder, { threads: 1 });
const claim = await store.claim({ uuid: crypto.randomUUID(), flow: 'flow', drawSlug: slugDraws() });
const run = new RowMaker(claim);
run.event('started', Date.now());
for (let batch = 1; batch <= Number(batches); batch++) {
  for (const ordinal of [2 * batch - 1, 2 * batch]) {
    run.scope(ordinal).tag(ordinal, 0, 'loss', ordinal).log(ordinal, 0, 'done').artifact(ordinal, 0, 'data', { text: '1' });
  }
  await store.write(await run.batch());
  process.stdout.write(`${claim.number} ${batch}\n`);
}
await claim.release();
await store.close();
