import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import type { ListColumn } from '../src/columns.ts';
import { MarqueError } from '../src/error.ts';
import type { FlushPolicy } from '../src/flush-policy.ts';
import { rowsOf } from '../src/record-rows.ts';
import { batchOfRows } from '../src/storage/row-batch.ts';
import type { Mark } from '../src/recorder.ts';
import type { Batch, BatchId, ParkedBatch } from '../src/store.ts';
import { Writer } from '../src/writer.ts';

/** A store that remembers its batches, and fails or is slow where it is told to. */
class FakeStore {
  readonly written: Batch[] = [];
  failures = 0;
  delayMs = 0;

  readonly attempts: number[] = [];

  async write(batch: Batch): Promise<void> {
    this.attempts.push(performance.now());
    await sleep(this.delayMs);
    if (this.failures-- > 0) throw new Error('the disk is full');
    this.written.push(batch);
  }

  get contents(): string[] {
    return this.written.flatMap((batch) => contentsOf(batch));
  }
}

function contentsOf(batch: Batch): string[] {
  return batch.tables.tags === undefined ? [] : Array.from(rowsOf('tags', batch.tables.tags), (row) => row.content ?? '');
}

interface Given {
  readonly policy?: Partial<FlushPolicy>;
  readonly onFailure?: (message: string) => void;
  readonly park?: (id: BatchId, mark: Mark) => ParkedBatch | null;
}

function newWriter(store: FakeStore, { policy, onFailure = () => {}, park = () => null }: Given = {}): Writer {
  return new Writer({
    claim: { number: 1, slug: 'brave-otter', release: async () => {} },
    uuid: 'uuid',
    flow: 'test',
    policy: { scopes: 1_000, bytes: 1e6, ms: 60_000, ...policy },
    durability: 'window',
    write: (batch) => store.write(batch),
    park,
    onFailure,
  });
}

let seq = 0;
function tag(writer: Writer, content: string): void {
  writer.recorder.tag(1, 'step', seq++, content, null);
  writer.recorded();
}

test('a flush writes everything recorded before it, once', async () => {
  const store = new FakeStore();
  const writer = newWriter(store);
  tag(writer, 'a');
  tag(writer, 'b');
  await Promise.all([writer.flush(), writer.flush()]);
  await writer.flush();
  expect(store.contents).toEqual(['a', 'b']);
  expect(store.written.map((batch) => batch.id)).toEqual([{ writer: 'uuid/0', number: 1 }]);
});

test('rows recorded while a batch is being written go into the next', async () => {
  const store = new FakeStore();
  store.delayMs = 20;
  const writer = newWriter(store);
  tag(writer, 'a');
  const first = writer.flush();
  tag(writer, 'b');
  await first;
  expect(store.contents).toEqual(['a']);
  await writer.flush();
  expect(store.written.map((batch) => [batch.id.number, contentsOf(batch)])).toEqual([
    [1, ['a']],
    [2, ['b']],
  ]);
});

test('a batch that could not be written is tried again under the same number, in order, and nothing is lost', async () => {
  const store = new FakeStore();
  store.failures = 2;
  const writer = newWriter(store);
  tag(writer, 'a');
  await expect(writer.flush()).rejects.toThrow('the disk is full');
  tag(writer, 'b');
  await expect(writer.flush()).rejects.toThrow('the disk is full');
  await writer.flush();
  expect(store.written.map((batch) => [batch.id.number, contentsOf(batch)])).toEqual([
    [1, ['a']],
    [2, ['b']],
  ]);
});

test('time, rows and bytes each start a flush in the background', async () => {
  for (const policy of [{ ms: 20 }, { bytes: 1 }]) {
    const store = new FakeStore();
    const writer = newWriter(store, { policy });
    tag(writer, 'a');
    await expect.poll(() => store.contents).toEqual(['a']);
    expect(writer.isWriting).toBe(false);
  }
});

test('a large row makes a batch of its own, so that nothing grows past what a batch can hold', async () => {
  const store = new FakeStore();
  const writer = newWriter(store, { policy: { bytes: 1_000 } });
  for (let index = 0; index < 5; index++) {
    const artifact = { name: `a${index}`, codec: 'json', text: 'x'.repeat(2_000), bytes: null };
    writer.recorder.artifact(1, 'step', index, artifact);
    writer.recorded();
  }
  await writer.flush();
  expect(store.written.map((batch) => batch.tables.artifacts?.numRows)).toEqual([1, 1, 1, 1, 1]);
});

test('a failure in the background is reported, and does not end the process', async () => {
  const store = new FakeStore();
  store.failures = 1;
  const messages: string[] = [];
  const writer = newWriter(store, { policy: { ms: 5 }, onFailure: (message) => messages.push(message) });
  tag(writer, 'a');
  await expect.poll(() => messages).toEqual(['the disk is full']);
  await writer.flush();
  expect(store.contents).toEqual(['a']);
});

test('a flush that failed is tried again though nobody records anything more, after pauses that double', async () => {
  const store = new FakeStore();
  store.failures = 4;
  const writer = newWriter(store, { policy: { ms: 10 } });
  tag(writer, 'a');
  await expect.poll(() => store.contents, { timeout: 5_000 }).toEqual(['a']);
  const pauses = store.attempts.slice(1).map((at, index) => at - (store.attempts[index] as number));
  expect(pauses).toHaveLength(4);
  for (const [index, pause] of pauses.entries()) expect(pause).toBeGreaterThan(10 * 2 ** index - 2);
  await sleep(50);
  expect(store.attempts).toHaveLength(5); // nothing is left to be tried
});

test('a flush that somebody asked for and that failed is tried again as well', async () => {
  const store = new FakeStore();
  store.failures = 1;
  const writer = newWriter(store, { policy: { ms: 10 } });
  writer.recorder.tag(1, 'step', 0, 'a', null);
  await expect(writer.flush()).rejects.toThrow('the disk is full');
  await expect.poll(() => store.contents).toEqual(['a']);
});

test('a pause is half a minute at most, and that where time is no reason to flush', async () => {
  for (const ms of [20_000, Number.POSITIVE_INFINITY]) {
    const store = new FakeStore();
    store.failures = 9;
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const writer = newWriter(store, { policy: { ms } });
    writer.recorder.tag(1, 'step', 0, 'a', null);
    for (let time = 0; time < 3; time++) await expect(writer.flush()).rejects.toThrow('the disk is full');
    const pauses = timers.mock.calls.map(([, pause]) => pause).filter((pause) => (pause ?? 0) > 0);
    timers.mockRestore();
    expect(pauses).toEqual(ms === 20_000 ? [20_000, 30_000, 30_000] : [30_000, 30_000, 30_000]);
  }
});

test('a store that has been closed is not tried again', async () => {
  const store = new FakeStore();
  store.write = async () => await Promise.reject(new MarqueError('STORE_CLOSED', 'it is closed'));
  const timers = vi.spyOn(globalThis, 'setTimeout');
  const writer = newWriter(store);
  writer.recorder.tag(1, 'step', 0, 'a', null);
  await expect(writer.flush()).rejects.toThrow('it is closed');
  expect(timers).not.toHaveBeenCalled();
  timers.mockRestore();
});

test('a time longer than a timer takes is not a short one', async () => {
  for (const ms of [2 ** 31, Number.POSITIVE_INFINITY]) {
    const store = new FakeStore();
    const writer = newWriter(store, { policy: { ms } });
    tag(writer, 'a');
    await sleep(20);
    expect(store.attempts).toEqual([]);
    await writer.flush();
  }
});

test('a reader sees what is waiting, what is being written and what is open, each under its number', async () => {
  const store = new FakeStore();
  store.delayMs = 30;
  const writer = newWriter(store);
  tag(writer, 'a');
  const flushed = writer.flush();
  tag(writer, 'b');
  const unflushed = await writer.unflushed();
  tag(writer, 'c');
  expect(unflushed.map((batch) => [batch.id.number, contentsOf(batch)])).toEqual([
    [1, ['a']],
    [2, ['b']],
  ]);
  await flushed;
  expect((await writer.unflushed()).map((batch) => [batch.id.number, contentsOf(batch)])).toEqual([[2, ['b', 'c']]]);
});

test('dispatch is held up while batches wait', async () => {
  const store = new FakeStore();
  store.delayMs = 10;
  const writer = newWriter(store, { policy: { bytes: 1 } });
  tag(writer, 'a');
  expect(writer.isFull).toBe(false);
  tag(writer, 'b');
  expect(writer.isFull).toBe(true);
  await writer.flush();
  expect(writer.isFull).toBe(false);
});

/** A place for batches outside of memory, which may be full. */
class Parking {
  readonly ids: number[] = [];
  readonly removed: number[] = [];
  isFull = false;

  park = (id: BatchId, mark: Mark): ParkedBatch => {
    if (this.isFull) throw new Error('no room');
    this.ids.push(id.number);
    const texts = ((mark.tables.tags?.content as ListColumn<string> | undefined)?.values ?? []).slice(0, mark.rows.tags);
    return {
      read: async () => ({ ...(await batchOfRows({ tags: texts.map((content) => ({ sid: 1, content })) })), id }),
      spill: () => {},
      remove: async () => void this.removed.push(id.number),
    };
  };
}

test('of what a step records without letting go of the event loop only so much stays in memory', async () => {
  const store = new FakeStore();
  const parking = new Parking();
  const writer = newWriter(store, { policy: { bytes: 1 }, park: parking.park });
  const texts = Array.from({ length: 10 }, (_, index) => `tag ${index}`);
  for (const text of texts) tag(writer, text);
  expect(parking.ids).toEqual([5, 6, 7, 8, 9, 10]);
  expect(writer.unwritten().map(({ id, rows }) => [id.number, 'read' in rows])).toEqual(
    texts.map((_, index) => [index + 1, index >= 4]),
  );
  expect((await writer.unflushed()).flatMap((batch) => contentsOf(batch))).toEqual(texts);
  await writer.flush();
  expect(store.contents).toEqual(texts);
  expect(parking.removed).toEqual(parking.ids);
  expect(writer.unwritten()).toEqual([]);
});

test('a batch that finds no room elsewhere stays in memory, which is told, and is stored like any other', async () => {
  const store = new FakeStore();
  const parking = new Parking();
  parking.isFull = true;
  const told: string[] = [];
  const writer = newWriter(store, { policy: { bytes: 1 }, park: parking.park, onFailure: (message) => told.push(message) });
  for (let index = 0; index < 6; index++) tag(writer, `tag ${index}`);
  await writer.flush();
  expect(store.contents).toHaveLength(6);
  expect(told).toEqual(['a batch stays in memory: no room', 'a batch stays in memory: no room']);
});

test('what is unwritten are the batches that wait, the one being written and the open rows, each under its number', async () => {
  const store = new FakeStore();
  store.delayMs = 20;
  const writer = newWriter(store);
  expect(writer.unwritten()).toEqual([]);
  tag(writer, 'a');
  const flushed = writer.flush();
  tag(writer, 'b');
  const rows = writer.unwritten().map(({ id, rows: mark }) => [id.writer, id.number, 'rows' in mark && mark.rows.tags]);
  expect(rows).toEqual([
    ['uuid/0', 1, 1],
    ['uuid/0', 2, 1],
  ]);
  await flushed;
  expect(writer.unwritten().map(({ id }) => id.number)).toEqual([2]);
});

test('those who ask for a shared flush while a batch is being written share the next one', async () => {
  const store = new FakeStore();
  store.delayMs = 300;
  const writer = newWriter(store);
  const flushes: Promise<void>[] = [];
  for (const text of ['a', 'b', 'c', 'd']) {
    tag(writer, text);
    flushes.push(writer.sharedFlush());
    await sleep(1);
  }
  await Promise.all(flushes);
  expect(store.written.map((batch) => contentsOf(batch))).toEqual([['a'], ['b', 'c', 'd']]);
});

test('a shared flush that fails is told to all who share it, and the next one tries again', async () => {
  const store = new FakeStore();
  store.failures = 1;
  const writer = newWriter(store);
  tag(writer, 'a');
  const both = await Promise.allSettled([writer.sharedFlush(), writer.sharedFlush()]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await writer.sharedFlush();
  expect(store.contents).toEqual(['a']);
});

test('readers who come again and again are given each row once and in order, in few parts, of which most are those of before', async () => {
  const writer = newWriter(new FakeStore(), { policy: { scopes: 1e6, bytes: 1e9 } });
  const expected: string[] = [];
  const seen = new Set<Batch>();
  const random = [1, 1, 5, 0, 40, 1, 2, 300, 1, 1, 7, 0, 1];
  for (let round = 0; round < 104; round++) {
    for (let row = 0; row < (random[round % random.length] as number); row++) {
      expected.push(`${expected.length}`);
      writer.recorder.tag(expected.length, 'step', 0, expected.at(-1) as string, null);
    }
    const parts = await writer.unflushed();
    expect(parts.flatMap(contentsOf)).toEqual(expected);
    expect(parts.length).toBeLessThanOrEqual(1 + Math.log2(expected.length));
    expect(new Set(parts.map(({ id }) => `${id.writer} ${id.number}`)).size).toBe(1);
    for (const part of parts) seen.add(part);
  }
  const built = [...seen].reduce((sum, { tables }) => sum + (tables.tags?.numRows ?? 0), 0);
  expect(built).toBeLessThan(expected.length * (1 + Math.log2(expected.length)));
  await writer.flush();
  expect(await writer.unflushed()).toEqual([]);
});
