import { expect, test } from 'vitest';
import { type Batch, type Claim, type ClaimRequest, Flow, repeat, Storage } from '../src/index.ts';
import { MemoryStore } from '../src/storage/memory-store.ts';

/** A store whose disk is full for a while. */
class FullStore extends MemoryStore {
  isFull = false;
  heartbeats = 0;

  override async claim(request: ClaimRequest): Promise<Claim> {
    const claim = await super.claim(request);
    this.heartbeats++;
    return { ...claim, release: async () => void this.heartbeats-- };
  }

  override async write(batch: Batch): Promise<void> {
    if (this.isFull) throw new Error('the disk is full');
    await super.write(batch);
  }
}
class FullStorage extends Storage {
  constructor(store: FullStore) {
    super(store, { flush: { scopes: 100 } });
  }
}
function nothing(): void {}

test('a store that is full ends the flow, keeps its rows readable, and stores each once when there is room', async () => {
  const store = new FullStore();
  await using storage = new FullStorage(store);
  const flow = new Flow('test', storage, { logLevel: 'silent' });
  flow.push(repeat(nothing, 250)).push(function fills() {
    store.isFull = true;
  });
  flow.push(repeat(nothing, 1_000));
  await expect(flow.execute()).rejects.toThrow('the disk is full');
  expect(flow.state).toBe('failed');
  const finished = await flow.search('*').count();
  expect(finished).toBeGreaterThan(251);
  await expect(storage.flush()).rejects.toThrow('the disk is full');
  expect(await flow.search('*').count()).toBe(finished);
  expect(store.heartbeats).toBe(1);

  store.isFull = false;
  await storage.flush();
  await storage.flush();
  expect(await flow.search('*').count()).toBe(finished);
  expect(await storage.sql`SELECT state, scopes FROM runs`).toEqual([{ state: 'failed', scopes: finished }]);
  expect(store.heartbeats).toBe(0);
});

test('a claim that fails leaves nothing behind', async () => {
  const store = new FullStore();
  store.claim = () => Promise.reject(new Error('no claim'));
  const flow = new Flow('test', new FullStorage(store), { logLevel: 'silent' }).push(nothing);
  await expect(flow.execute()).rejects.toThrow('no claim');
  expect(flow.state).toBe('failed');
  expect(() => flow.run).toThrow(/no run yet/);
});
