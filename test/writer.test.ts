import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { rowsOf } from '../src/record-rows.ts';
import type { Batch } from '../src/store.ts';
import { type FlushPolicy, Writer } from '../src/writer.ts';

/** A store that remembers its batches, and fails or is slow where it is told to. */
class FakeStore {
  readonly written: Batch[] = [];
  failures = 0;
  delayMs = 0;

  async write(batch: Batch): Promise<void> {
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

function newWriter(store: FakeStore, policy: Partial<FlushPolicy> = {}, onFailure: (message: string) => void = () => {}): Writer {
  const claim = { number: 1, slug: 'brave-otter', release: async () => {} };
  return new Writer(
    (batch) => store.write(batch),
    claim,
    'uuid',
    'test',
    { scopes: 1_000, bytes: 1e6, ms: 60_000, ...policy },
    onFailure,
  );
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
    const writer = newWriter(store, policy);
    tag(writer, 'a');
    await expect.poll(() => store.contents).toEqual(['a']);
    expect(writer.isWriting).toBe(false);
  }
});

test('a large row makes a batch of its own, so that nothing grows past what a batch can hold', async () => {
  const store = new FakeStore();
  const writer = newWriter(store, { bytes: 1_000 });
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
  const writer = newWriter(store, { ms: 5 }, (message) => messages.push(message));
  tag(writer, 'a');
  await expect.poll(() => messages).toEqual(['the disk is full']);
  await writer.flush();
  expect(store.contents).toEqual(['a']);
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
  const writer = newWriter(store, { bytes: 1 });
  tag(writer, 'a');
  expect(writer.isFull).toBe(false);
  tag(writer, 'b');
  expect(writer.isFull).toBe(true);
  await writer.flush();
  expect(writer.isFull).toBe(false);
});
