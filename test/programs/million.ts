import { rmSync } from 'node:fs';
import { Flow, ParquetStorage, repeat, step } from '../../src/index.ts';

/**
 * A flow of many small scopes into a Parquet store: `million.ts <folder> <scopes>`. Says by how many bytes the resident memory of the process
 * was at most above what it was at the start, and how many scopes the store then holds.
 */
const [folder, count] = process.argv.slice(2) as [string, string];
rmSync(folder, { recursive: true, force: true });

const start = process.memoryUsage.rss();
let most = start;
const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);

const small = step('small', (flow) => {
  flow.tag('loss', Math.random());
});

const storage = new ParquetStorage(folder);
await new Flow('million', storage, { capture: false }).push(repeat(small, Number(count))).execute();
await storage.close();
clearInterval(timer);
most = Math.max(most, process.memoryUsage.rss(), process.resourceUsage().maxRSS * 1_024);

const reader = new ParquetStorage(folder);
const [row] = await reader.sql<{ n: number }>`SELECT count(*) AS n FROM scopes`;
await reader.close();
process.stdout.write(`${JSON.stringify({ bytes: most - start, scopes: row?.n })}\n`);
