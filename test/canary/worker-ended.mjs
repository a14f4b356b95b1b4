// Ends a worker thread in which a query runs.
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { DuckDBInstance } from '@duckdb/node-api';

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  await new Promise((resolve) => worker.once('message', resolve));
  await worker.terminate();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  console.log('survived');
} else {
  const connection = await (await DuckDBInstance.create()).connect();
  void connection.run('SELECT sum(hash(i)) FROM range(100000000) t(i)');
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port has none
  parentPort.postMessage('running');
}
