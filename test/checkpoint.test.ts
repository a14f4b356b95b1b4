import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { lastCheckpoint, lastCheckpointVersion } from '../src/storage/checkpoint.ts';
import { DeltaLog } from '../src/storage/delta-log.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { SegmentWriter } from '../src/storage/segment-writer.ts';
import { suiteFolder } from './folders.ts';
import { everywhere, opened, plainly } from './parquet-stores.ts';
import { claimRows, selectIn } from './store-rows.ts';

/** A store with 130 batches of one scope, each with a tag, and what the log of `tags` then adds up to. */
const folder = join(suiteFolder(), 'run=5 [a]');
const logFolder = join(folder, 'tags', '_delta_log');
const counts = [130, 130, 0, 0, 130, 0];
const pointer = join(logFolder, '_last_checkpoint');

async function fill(): Promise<void> {
  const store = new ParquetStore(folder, { threads: 1 });
  const run = await claimRows(store, 'brave-otter', 'flöw');
  for (let ordinal = 1; ordinal <= 130; ordinal++) {
    await store.write(await run.scope(ordinal).tag(ordinal, 0, 'a', Number.NaN).artifact(ordinal, 0, 'x', { text: '1' }).batch());
  }
  await store.close();
}

/** How a new process sees the store: by way of the checkpoint, and whether it read the first versions at all. */
async function read(): Promise<unknown[][]> {
  return await selectIn(opened(folder), everywhere);
}

async function withFile(path: string, content: Uint8Array | string, job: () => Promise<void>): Promise<void> {
  const before = readFileSync(path);
  writeFileSync(path, content);
  try {
    await job();
  } finally {
    writeFileSync(path, before);
  }
}

describe('a checkpoint', () => {
  beforeAll(fill, 60_000);

  test('is there from the first version on, and again after a hundred', () => {
    const names = readdirSync(logFolder).filter((name) => name.endsWith('.parquet'));
    expect(names).toEqual(['00000000000000000000.checkpoint.parquet', '00000000000000000100.checkpoint.parquet']);
    expect(readdirSync(logFolder).filter((name) => name.includes('.inprogress'))).toEqual([]);
  });

  test('says the same as the versions up to it', async () => {
    const writer = await SegmentWriter.open(folder, { threads: 1 });
    const found = await lastCheckpoint(logFolder);
    expect(found?.version).toBe(100);
    const log = new DeltaLog('tags', join(folder, 'tags'), writer);
    const state = await log.refresh();
    const replayed = await log.replay();
    expect(state.version).toBe(130);
    expect(state.segments).toEqual(replayed.capture().segments);
    expect((await log.replay(100)).batches.size).toBe(1);
    for (const number of [1, 100, 130, 131]) {
      const id = { writer: [...replayed.batches.keys()][0] as string, number };
      expect(state.has(id)).toBe(number <= 130);
    }
    await writer.close();
  });

  test('spares reading what is before it', async () => {
    await withFile(join(logFolder, '00000000000000000050.json'), 'damaged', async () => {
      expect(await read()).toEqual([counts]);
      expect(await plainly(everywhere, join(folder, 'open.sql'))).toEqual([counts.map(String)]);
    });
  });

  test('spares Parquet where its state stands packed beside it as it was written, and only there', async () => {
    const parquet = join(logFolder, '00000000000000000100.checkpoint.parquet');
    const packed = join(logFolder, '_last_checkpoint.packed.br');
    const early = join(logFolder, '00000000000000000050.json'); // which has to be read where there is nothing else
    const whole = readFileSync(packed);
    const flipped = Buffer.from(whole.map((byte, at) => (at === whole.length >> 1 ? byte ^ 4 : byte)));
    await withFile(early, 'damaged', async () => {
      await withFile(parquet, 'damaged', async () => {
        expect(await read()).toEqual([counts]);
        for (const damaged of ['', flipped, whole.subarray(0, -1)]) {
          await withFile(packed, damaged, () => expect(read()).rejects.toMatchObject({ code: 'STORE_DAMAGED' }));
        }
      });
      await withFile(packed, flipped, async () => expect(await read()).toEqual([counts]));
      const other = readFileSync(join(folder, 'scopes', '_delta_log', '_last_checkpoint.packed.br'));
      await withFile(packed, other, async () => expect(await read()).toEqual([counts]));
    });
  });

  test('is read from Parquet where its pointer knows of no packed state, or of one in an earlier form', async () => {
    const { tags, ...rest } = JSON.parse(readFileSync(pointer, 'utf8')) as { tags: Record<string, string> };
    const { 'marque.packed': digest, ...others } = tags;
    const early = join(logFolder, '00000000000000000050.json'); // not read where there is a checkpoint
    await withFile(early, 'damaged', async () => {
      for (const known of [others, { ...others, 'marque.actions': digest }]) {
        await withFile(pointer, JSON.stringify({ ...rest, tags: known }), async () => expect(await read()).toEqual([counts]));
      }
    });
  });

  test('is found by open.sql, and so are the versions after it', async () => {
    expect(await plainly(everywhere, join(folder, 'open.sql'))).toEqual([counts.map(String)]);
  });

  test.each([
    ['empty', () => ''],
    ['cut off', (whole: Buffer) => whole.subarray(0, whole.length - 9)],
    ['zeroed', (whole: Buffer) => Buffer.alloc(whole.length)],
    ['flipped', (whole: Buffer) => Buffer.from(whole.map((byte, at) => (at === 500 ? byte ^ 4 : byte)))],
  ])('that is %s is left alone, and the versions are read instead', async (_name, damage) => {
    const path = join(logFolder, '00000000000000000100.checkpoint.parquet');
    await withFile(path, damage(readFileSync(path)), async () => {
      expect(await lastCheckpoint(logFolder)).toBeNull();
      expect(await read()).toEqual([counts]);
    });
  });

  test.each(['', '{', '{"version":100}', '{"version":0,"size":3,"sizeInBytes":10}', 'null', '7'])(
    'is not believed where _last_checkpoint is %j',
    async (text) => {
      await withFile(pointer, text, async () => {
        expect(await lastCheckpoint(logFolder)).toBeNull();
        expect(await lastCheckpointVersion(logFolder)).toBe(-1);
        expect(await read()).toEqual([counts]);
      });
    },
  );

  test('is written again by the next writer where it is gone', async () => {
    const names = readdirSync(logFolder).filter((name) => name.includes('checkpoint'));
    for (const name of names) rmSync(join(logFolder, name));
    const store = opened(folder);
    await store.write(await (await claimRows(store, 'calm-heron')).scope(1).tag(1, 0, 'b').batch());
    await store.close();
    expect((await lastCheckpoint(logFolder))?.version).toBe(130);
    expect(await plainly(everywhere, join(folder, 'open.sql'))).toEqual([[130, 131, 0, 0, 131, 0].map(String)]);
  });
});
