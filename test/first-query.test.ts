import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { suiteFolder } from './folders.ts';
import { type Consumer, installPacked } from './packed.ts';
import { isLarge } from './size.ts';
import { claimRows } from './store-rows.ts';

/**
 * What the first query of a process costs beyond loading DuckDB, which is what somebody waits for who looks something up in a large
 * history. Each is measured in processes of its own, in turn with the loading alone; the fastest of each counts, since whatever else the
 * machine does only slows them.
 */
const [runs, scopesPerRun, rounds] = isLarge ? [1_000, 1_000, 8] : [120, 20, 4];

const folder = join(suiteFolder(), 'history');
let consumer: Consumer;

beforeAll(async () => {
  consumer = installPacked();
  consumer.write('first-query.mjs', program);
  const store = new ParquetStore(folder);
  for (let index = 1; index <= runs; index++) {
    const run = await claimRows(store, `run-${index}`, index % 10 === 0 ? 'other' : 'flow');
    run.event('started', index * 10_000, { seed: index });
    for (let ordinal = 1; ordinal <= scopesPerRun; ordinal++) {
      run.scope(ordinal, { step: ordinal % 2 === 0 ? 'step' : 'other', params: `{"lr":${ordinal / 1_000}}` });
      run.tag(ordinal, 0, 'loss', 1 / ordinal);
    }
    await store.write(await run.event('ended', index * 10_000 + 900, { state: 'finished', durationMs: 900 }).batch());
  }
  await store.close();
}, 600_000);

afterAll(() => consumer.remove());

const program = `
const [folder, kind] = process.argv.slice(2);
const { ParquetStorage } = await import('marque');
const storage = new ParquetStorage(folder);
const ask = {
  async nothing() {
    const { DuckDBInstance } = await import('@duckdb/node-api');
    await (await (await DuckDBInstance.create(':memory:')).connect()).runAndReadAll('SELECT 1');
  },
  latest: async () => (await storage.search('*', { limit: 10 })).length,
  previous: async () => (await storage.search('flow.step.*', { runs: 'previous', limit: 10 })).length,
  select: async () => (await storage.sql\`SELECT count(*) AS n FROM scopes WHERE run = 'run-7'\`)[0].n,
}[kind];
const start = performance.now();
const found = await ask();
console.log(JSON.stringify({ ms: performance.now() - start, found }));
await storage.close();
`;

function measure(kind: string): { readonly ms: number; readonly found?: number } {
  return JSON.parse(consumer.run(process.execPath, 'first-query.mjs', folder, kind)) as { ms: number; found?: number };
}

test.each([
  ['latest', 10],
  ['previous', 10],
  ['select', scopesPerRun],
])(
  `of a history of ${runs} runs, asking for %s, costs little more than loading DuckDB`,
  (kind, expected) => {
    let [alone, first] = [Infinity, Infinity];
    for (let round = 0; round < rounds; round++) {
      alone = Math.min(alone, measure('nothing').ms);
      const { ms, found } = measure(kind);
      expect(found).toBe(expected);
      first = Math.min(first, ms);
    }
    // DuckDB loads in about 90 ms on a machine that has nothing else to do; where other tests run, everything takes longer.
    const most = Math.max(100, 1.2 * alone);
    expect(first - alone, `${first.toFixed(0)} ms, of which loading DuckDB takes ${alone.toFixed(0)} ms`).toBeLessThan(most);
  },
  120_000,
);
