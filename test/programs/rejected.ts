/**
 * A run whose rows could not be stored, in a process that goes on: `execute` has rejected, and the process waits for a signal. The second
 * argument may say who listens to signals: `nobody`, the program `itself`, or one who ends the process where he is the only `counting` one.
 */
import { Flow, ParquetStorage } from '../../src/index.ts';
import { ParquetStore } from '../../src/storage/parquet-store.ts';

const [place, listener] = process.argv.slice(2) as [string, string];
ParquetStore.prototype.write = async () => await Promise.reject(new Error('the disk is full'));
if (listener === 'itself') {
  process.on('SIGTERM', () => {
    process.stdout.write('heard\n');
    setTimeout(() => process.exit(3), 50);
  });
}
if (listener === 'counting') process.on('SIGTERM', () => process.listenerCount('SIGTERM') === 1 && process.exit(4));

const flow = new Flow('goes', new ParquetStorage(place), { logLevel: 'silent' });
flow.push(function quick(scope) {
  scope.tag('quick', 1);
});
await flow.execute().catch(() => process.stdout.write('waiting\n'));
setTimeout(() => {}, 600_000);
