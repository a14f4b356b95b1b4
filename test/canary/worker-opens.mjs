// Opens a database in a worker thread, through the wrapper.
import { isMainThread, Worker } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

if (isMainThread) new Worker(new URL(import.meta.url));
else {
  register();
  const { Database } = await import('../../src/duckdb.ts');
  await Database.open().then(
    () => console.log('opened'),
    (error) => console.log(error.message),
  );
}
