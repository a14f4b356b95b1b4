// Opens a database in a worker thread, through the wrapper.
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  worker.on('message', (outcome) => console.log(outcome));
} else {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port has none
  const report = (outcome) => parentPort.postMessage(outcome);
  register();
  const { Database } = await import('../../src/duckdb.ts');
  await Database.open().then(
    () => report('opened'),
    (error) => report(error.message),
  );
}
