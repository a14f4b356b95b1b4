/**
 * Two quick steps, then one that tags, logs and ends the process in the way that the third argument says, in the storage that the first and
 * second name.
 */
import { rmSync } from 'node:fs';
import { DuckDBStorage, Flow, JsonStorage, MemoryStorage, ParquetStorage, step, type StepFlow } from '../../src/index.ts';

const [kind, place, way] = process.argv.slice(2) as [string, string, string];
const options = { flush: { ms: 600_000 } };
const storages: Readonly<Record<string, () => ParquetStorage | JsonStorage | DuckDBStorage | MemoryStorage>> = {
  parquet: () => new ParquetStorage(place, options),
  json: () => new JsonStorage(place, options),
  duckdb: () => new DuckDBStorage(place, options),
  memory: () => new MemoryStorage(options),
};
const storage = storages[kind]?.() ?? new MemoryStorage();

function quick(flow: StepFlow): void {
  flow.tag('quick', 0.1 + 0.2);
  flow.keep('data', { path: flow.path });
}

async function leaves(flow: StepFlow): Promise<void> {
  flow.tag('early');
  if (way.includes('after a flush')) await flow.flush();
  if (way.includes('during a flush')) void flow.flush();
  if (way.includes('during a flush') || way.includes('later')) await new Promise((resolve) => setTimeout(resolve, 20));
  flow.tag('late', Number.NaN);
  flow.log('last words');
  process.stdout.write('waiting\n');
  if (way.includes('without a store')) rmSync(place, { recursive: true });
  if (way.startsWith('exit')) process.exit(7);
  if (way.startsWith('uncaught')) setTimeout(() => JSON.parse('{'), 1);
  if (way.startsWith('rejection')) void Promise.reject(new Error('nobody awaits it'));
  await new Promise((resolve) => setTimeout(resolve, 600_000));
}

const flow = new Flow('goes', storage, { logLevel: 'silent', capture: false }).tag('run tag');
flow.push([quick, quick]).push(step('leaves', leaves)).push(quick);
await flow.execute();
