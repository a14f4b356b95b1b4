import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { rowsOf } from '../src/record-rows.ts';
import { Recorder } from '../src/recorder.ts';
import { type Row, type TableName, tableNames } from '../src/schema.ts';
import { markOfRows, type TableRowLists } from '../src/storage/row-batch.ts';
import { decodeSpill, encodeSpill, UnusableSpill } from '../src/storage/spill.ts';
import { Spills } from '../src/storage/spills.ts';
import type { Batch } from '../src/store.ts';
import { temporaryFolder } from './folders.ts';

const id = { writer: '00000000-0000-7000-8000-000000000001/0', number: 3 };

async function* linesIn(bytes: Buffer): AsyncGenerator<Buffer> {
  let start = 0;
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    yield bytes.subarray(start, end);
    start = end + 1;
  }
  if (start < bytes.length) yield bytes.subarray(start);
}

function spillOf(rows: TableRowLists): Buffer {
  return Buffer.from([...encodeSpill(id, markOfRows(rows))].join(''));
}

function rowsIn(batch: Batch): Partial<Record<TableName, readonly object[]>> {
  const tables = tableNames.flatMap((table) => {
    const record = batch.tables[table];
    return record === undefined ? [] : [[table, [...rowsOf(table, record)]] as const];
  });
  return Object.fromEntries(tables);
}

function tag(content: string, value: number | null, seq = 0): Row<'tags'> {
  return { sid: 2 ** 52 + 1, flow: 'f', run: 'a-b', step: 's', seq, content, value };
}

function artifact(text: string | null, bytes: Uint8Array | null): Row<'artifacts'> {
  return { sid: 4_294_967_297, flow: 'f', run: 'a-b', step: null, seq: 0, name: 'n', codec: 'c', text, bytes };
}

describe('a spilled batch', () => {
  test('comes back exactly: any text, any number, any bytes, nulls', async () => {
    const text = fc.string({ unit: 'binary' });
    const rows = fc.record({
      tags: fc.array(fc.tuple(text, fc.option(fc.double()), fc.nat()).map((values) => tag(...values))),
      artifacts: fc.array(fc.tuple(fc.option(text), fc.option(fc.uint8Array())).map((values) => artifact(...values))),
    });
    await fc.assert(
      fc.asyncProperty(rows, async (given) => {
        const batch = await decodeSpill(linesIn(spillOf(given)));
        expect(batch.id).toEqual(id);
        expect(rowsIn(batch)).toStrictEqual(Object.fromEntries(Object.entries(given).filter(([, list]) => list.length > 0)));
      }),
      { numRuns: 100 },
    );
  });

  test('keeps what JSON has no word for, and a mark of byte order', async () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 5e-324, 0.1 + 0.2, null];
    const rows = { tags: values.map((value, seq) => tag('\uFEFFa\u2028\n\0"\\', value, seq)) };
    const batch = await decodeSpill(linesIn(spillOf(rows)));
    expect(rowsIn(batch)).toStrictEqual(rows);
  });

  test('is read in lines that are short enough for a string, whatever a value is long', async () => {
    const long = `${'\0'.repeat(3 * 2 ** 18 - 1)}😀${'größe 😀'.repeat(200_000)}`; // a pair of surrogates on the seam
    const bytes = Uint8Array.from({ length: 2_000_003 }, (_, index) => index * 7);
    const rows = { artifacts: [artifact('short', null), artifact(long, bytes), artifact('', new Uint8Array())] };
    const spill = spillOf(rows);
    const lengths: number[] = [];
    for await (const line of linesIn(spill)) lengths.push(line.length);
    expect(Math.max(...lengths)).toBeLessThan(6 * 2 ** 20);
    const { tables } = await decodeSpill(linesIn(spill));
    const [, read, empty] = tables.artifacts === undefined ? [] : [...rowsOf('artifacts', tables.artifacts)];
    expect([read?.text === long, Buffer.compare(read?.bytes ?? empty?.bytes ?? bytes, bytes), empty?.text, empty?.bytes]).toEqual(
      [true, 0, '', new Uint8Array()],
    );
  });

  test('has the first rows of a buffer that may have grown meanwhile', async () => {
    const recorder = new Recorder('flow', 'brave-otter');
    for (let seq = 0; seq < 40_000; seq++) recorder.tag(1, 'step', seq, `tag ${seq}`, seq / 3);
    recorder.event({ runNumber: 1, uuid: 'u', event: 'started', at: 1.75e12, details: '{}' });
    const mark = recorder.mark();
    recorder.tag(1, 'step', 40_000, 'too late', null);
    const { tables } = await decodeSpill(linesIn(Buffer.from([...encodeSpill(id, mark)].join(''))));
    expect(Object.keys(tables).sort()).toEqual(['runs', 'tags']);
    const tags = tables.tags === undefined ? [] : [...rowsOf('tags', tables.tags)];
    expect(tags).toHaveLength(40_000);
    expect(tags.at(-1)).toEqual({
      sid: 1,
      flow: 'flow',
      run: 'brave-otter',
      step: 'step',
      seq: 39_999,
      content: 'tag 39999',
      value: 13_333,
    });
  });

  test('is refused whole wherever it was cut off, and whichever byte was changed', async () => {
    const whole = spillOf({ tags: [tag('a', 1), tag('b', null, 1)], artifacts: [artifact('{}', Uint8Array.of(1, 2, 3))] });
    for (let length = 0; length < whole.length - 1; length += 3)
      await expect(decodeSpill(linesIn(whole.subarray(0, length)))).rejects.toBeInstanceOf(UnusableSpill);
    for (let offset = 0; offset < whole.length; offset += 2) {
      const changed = Buffer.from(whole);
      changed[offset] = (changed[offset] as number) ^ 0x41;
      await expect(decodeSpill(linesIn(changed))).rejects.toBeInstanceOf(UnusableSpill);
    }
  });

  test('of a newer version is told from a damaged one', async () => {
    const newer = spillOf({ tags: [tag('a', 1)] })
      .toString()
      .replace('"version":1', '"version":2');
    await expect(decodeSpill(linesIn(Buffer.from(newer)))).rejects.toMatchObject({ isNewer: true });
  });
});

describe('the folder of spills', () => {
  const batch = (number: number, content = `tag ${number}`) => ({
    id: { ...id, number },
    rows: markOfRows({ tags: [tag(content, number)] }),
  });

  function warnings(): string[] {
    const told: string[] = [];
    const listen = ({ name, message }: Error) => void (name === 'MarqueWarning' && told.push(message));
    process.on('warning', listen);
    onTestFinished(() => void process.off('warning', listen));
    return told;
  }

  test('lists each writer in the order of its numbers, and holds nothing but whole files', async () => {
    const spills = new Spills(join(temporaryFolder(), 'spill'));
    expect(await spills.list()).toEqual([]);
    spills.writeSync(Array.from({ length: 12 }, (_, index) => batch(index + 1)));
    writeFileSync(join(spills.folder, '.x.inprogress'), '');
    writeFileSync(join(spills.folder, 'note.txt'), '');
    expect((await spills.list()).map(({ number }) => number)).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
    expect((await spills.batches()).map((one) => one.id.number)).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
  });

  test('is not made where the store has gone', () => {
    const spills = new Spills(join(temporaryFolder(), 'gone', 'spill'));
    expect(() => spills.writeSync([batch(1)])).toThrow(/ENOENT/);
    expect(() => spills.writeSync([])).not.toThrow();
  });

  test('gives no batch after a damaged one of the same writer, whose rows may be missing from it, and tells once', async () => {
    const told = warnings();
    const spills = new Spills(join(temporaryFolder(), 'spill'));
    spills.writeSync([batch(1), batch(2), batch(3)]);
    const [, second] = await spills.list();
    writeFileSync(second?.path ?? '', readFileSync(second?.path ?? '', 'utf8').slice(0, -10));
    for (let time = 0; time < 2; time++) expect((await spills.batches()).map((one) => one.id.number)).toEqual([1]);
    await new Promise(setImmediate);
    expect(told).toEqual([expect.stringContaining('cannot be used, its rows are missing')]);
  });

  test('a batch under the name of another is none', async () => {
    const spills = new Spills(join(temporaryFolder(), 'spill'));
    spills.writeSync([batch(1)]);
    const [file] = await spills.list();
    if (file === undefined) throw new Error('there is one');
    writeFileSync(file.path.replace('-1.jsonl', '-2.jsonl'), readFileSync(file.path));
    await expect(spills.read({ ...file, path: file.path.replace('-1.jsonl', '-2.jsonl'), number: 2 })).rejects.toThrow(
      'another name',
    );
  });

  test('a parked batch is hidden, reads back, and is a spill once it is spilled', async () => {
    const folder = join(temporaryFolder(), 'spill');
    const spills = new Spills(folder);
    const { id: parkedId, rows } = batch(7);
    const parked = spills.parkSync(parkedId, rows);
    expect(await spills.list()).toEqual([]);
    expect(rowsIn(await parked.read())).toEqual({ tags: [tag('tag 7', 7)] });
    spills.writeSync([batch(6), { id: parkedId, rows: parked }, batch(8)]);
    expect((await spills.batches()).map((one) => [one.id.number, rowsIn(one)])).toEqual(
      [6, 7, 8].map((number) => [number, { tags: [tag(`tag ${number}`, number)] }]),
    );
    expect(readdirSync(folder)).toHaveLength(3);
  });

  test('a parked batch is called after its writer, and is left where it is if it cannot become a spill', async () => {
    const folder = join(temporaryFolder(), 'spill');
    const spills = new Spills(folder);
    const { id: parkedId, rows } = batch(7);
    const parked = spills.parkSync(parkedId, rows);
    const name = `${id.writer.replace('/', '-')}-7`;
    expect(await spills.parked()).toEqual([{ path: join(folder, `.${name}.parked`), uuid: id.writer.slice(0, -2) }]);
    mkdirSync(join(folder, `${name}.jsonl`));
    expect(() => parked.spill()).toThrow(/EISDIR|ENOTEMPTY|EEXIST|EPERM/);
    expect(rowsIn(await parked.read())).toEqual({ tags: [tag('tag 7', 7)] });
  });

  test('a parked batch that is lost says so, with its file', async () => {
    const spills = new Spills(join(temporaryFolder(), 'spill'));
    const { id: parkedId, rows } = batch(7);
    const parked = spills.parkSync(parkedId, rows);
    const [{ path } = { path: '' }] = await spills.parked();
    writeFileSync(path, readFileSync(path, 'utf8').replace('tag 7', 'tag 8'));
    await expect(parked.read()).rejects.toMatchObject({ code: 'STORE_DAMAGED', message: expect.stringContaining(path) });
    rmSync(path);
    await expect(parked.read()).rejects.toMatchObject({ code: 'STORE_PATH', message: expect.stringContaining(path) });
  });

  test('a file that has gone is no batch: it has been stored', async () => {
    const spills = new Spills(join(temporaryFolder(), 'spill'));
    spills.writeSync([batch(1)]);
    const files = await spills.list();
    await spills.remove(files);
    expect(await spills.read(files[0] as (typeof files)[number])).toBeNull();
    expect(await spills.batches()).toEqual([]);
  });

  test('where a batch cannot be written the later ones are not either, and nothing hidden is left', () => {
    const folder = join(temporaryFolder(), 'spill');
    mkdirSync(join(folder, `${id.writer.replace('/', '-')}-2.jsonl`), { recursive: true }); // a folder is in the way
    const spills = new Spills(folder);
    expect(() => spills.writeSync([batch(1), batch(2), batch(3)])).toThrow(/EISDIR|ENOTEMPTY|EEXIST|EPERM/);
    expect(readdirSync(folder).map((name) => name.slice(-8))).toEqual(['-1.jsonl', '-2.jsonl']);
  });
});
