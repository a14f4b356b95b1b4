import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DuckDBStorage, Flow, JsonStorage, MemoryStorage, ParquetStorage, type Storage } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

const storages: [string, () => Storage][] = [
  ['MemoryStorage', () => new MemoryStorage()],
  ['JsonStorage', () => new JsonStorage(join(temporaryFolder(), 'history'))],
  ['ParquetStorage', () => new ParquetStorage(join(temporaryFolder(), 'history'))],
  ['DuckDBStorage', () => new DuckDBStorage(join(temporaryFolder(), 'history.duckdb'))],
];

/** SELECTs that never end: of the views, of a table function, of a recursion. */
function endless(storage: Storage): Promise<PromiseSettledResult<unknown>[]> {
  return Promise.allSettled([
    storage.sql`SELECT count(*) FROM scopes, range(100000000000) t(i) WHERE hash(i) = 1`.result(),
    storage.sql`SELECT count(*) FROM range(100000000000) t(i) WHERE hash(i) = 1`.result(),
    storage.sql`WITH RECURSIVE t AS (SELECT 1 AS i UNION ALL SELECT i FROM t) SELECT count(*) FROM t`.result(),
  ]);
}

const stopped = { status: 'rejected', reason: { code: 'STORE_CLOSED' } };

describe.each(storages)('%s: SELECTs that never end', (_name, make) => {
  test('keep neither a flush nor a search waiting, and are stopped by close', async () => {
    const storage = make();
    onTestFinished(() => storage.close());
    const flow = new Flow('digits', storage, { logLevel: 'silent' });
    let answers: ReturnType<typeof endless> | undefined;
    const seen: unknown[] = [];
    flow.push(function first() {});
    flow.push(async function second(step) {
      await storage.flush();
      answers = endless(storage);
      await after(200); // as many as may run do so
      step.tag('late');
      await storage.flush();
      seen.push(await storage.search('digits.first.*').ids());
    });
    await flow.execute();
    expect(seen).toEqual([[expect.stringMatching(/^digits\.first\./)]]);
    await storage.close();
    expect(await answers).toMatchObject([stopped, stopped, stopped]);
  });

  test('of two storages keep neither from taking rows and from being closed', async () => {
    const [busy, other] = [make(), new MemoryStorage()];
    onTestFinished(() => busy.close());
    await new Flow('digits', busy, { logLevel: 'silent' }).execute();
    const running = endless(busy);
    await after(200);
    const waiting = endless(other);
    await after(200);
    await new Flow('letters', busy, { logLevel: 'silent' }).execute();
    await other.close();
    expect(await waiting).toMatchObject([stopped, stopped, stopped]);
    await busy.close();
    expect(await running).toMatchObject([stopped, stopped, stopped]);
  });
});
