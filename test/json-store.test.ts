import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileGlob } from '../src/glob.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { describeStore } from './store-conformance.ts';
import { claimRows, findIn, readIn, RowMaker, searchFor, selectIn } from './store-rows.ts';

describeStore('JsonStore', (folder) => new JsonStore(join(folder, 'history')));

describe('JsonStore', () => {
  let folder: string;
  let store: JsonStore;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'marque-json-'));
    store = new JsonStore(folder);
  });

  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('writes one file a scope that a person can read', async () => {
    const run = await claimRows(store, 'brave-otter', 'iris');
    run.scope(3, { params: '{"lr":0.1}' }).tag(3, 0, 'loss', NaN).tag(3, 1, 'best').log(3, 0, 'hello', { logged_at: 0 });
    run.artifact(3, 0, 'model', { text: '{"k":[3,5]}' }).artifact(3, 1, 'raw', { codec: 'bytes', bytes: new Uint8Array([1, 2]) });
    await store.write(await run.event('started', 0, { seed: 42 }).tag(0, 0, 'nightly').batch());
    expect(await readdir(join(folder, 'iris', 'brave-otter'))).toEqual(['0.json', '3.json']);
    expect(await readFile(join(folder, 'iris', 'brave-otter', '3.json'), 'utf8')).toBe(`{
  "scope": {
    "sid": ${run.sid(3)},
    "flow": "iris",
    "run": "brave-otter",
    "step": "step",
    "path": "0-3",
    "attempt": 1,
    "parent_sid": null,
    "ref_sid": null,
    "status": "ok",
    "started_at": "2025-06-15T15:06:40.003Z",
    "duration_ms": 0.375,
    "dispatch_ms": null,
    "encode_ms": null,
    "error_message": null,
    "error_stack": null,
    "params": {
      "json": {
        "lr": 0.1
      }
    },
    "pushes": null,
    "seed": null,
    "source_hash": null
  },
  "artifacts": [
    {"seq":0,"name":"model","codec":"json","text":{"json":{"k":[3,5]}},"bytes":null},
    {"seq":1,"name":"raw","codec":"bytes","text":null,"bytes":{"base64":"AQI="}}
  ],
  "tags": [
    {"seq":0,"content":"loss","value":"NaN"},
    {"seq":1,"content":"best","value":null}
  ],
  "logs": [
    {"seq":0,"level":"info","message":"hello","logged_at":"1970-01-01T00:00:00.000Z"}
  ],
  "edges": []
}
`);
    expect(JSON.parse(await readFile(join(folder, 'iris', 'brave-otter', '0.json'), 'utf8'))).toMatchObject({
      run: { number: run.number, flow: 'iris', run: 'brave-otter' },
      written: { [`${run.uuid}/0`]: 1 },
      events: [{ event: 'started', details: { json: { seed: 42 } } }],
      tags: [{ content: 'nightly' }],
    });
  });

  test('keeps -0 apart from 0', async () => {
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1, { duration_ms: -0 }).tag(1, 0, 'loss', -0).tag(1, 1, 'loss', 0).batch());
    const [scope] = await readIn(store, [run.sid(1)]);
    expect([scope?.durationMs, scope?.tags.map((tag) => tag.value)]).toStrictEqual([-0, [-0, 0]]);
  });

  test('is read and written by several objects at once', async () => {
    const other = new JsonStore(folder);
    const [a, b] = [await claimRows(store, 'brave-otter'), await claimRows(other, 'calm-heron')];
    await Promise.all([store.write(await a.scope(1).batch()), other.write(await b.scope(1).batch())]);
    expect(await findIn(store)).toEqual([a.sid(1), b.sid(1)]);
    expect(await findIn(other)).toEqual([a.sid(1), b.sid(1)]);
    await other.close();
  });

  test('reads only files of runs that a search can be about', async () => {
    const [a, b] = [await claimRows(store, 'brave-otter', 'a'), await claimRows(store, 'calm-heron', 'b')];
    await store.write(await a.scope(1).batch());
    await store.write(await b.scope(1).batch());
    await writeFile(join(folder, 'b', 'calm-heron', '1.json'), 'damaged');
    for (const search of [
      { flow: 'a' },
      { glob: compileGlob('a.*') },
      { glob: compileGlob('*.*.brave-otter.*') },
      { runs: { kind: 'number', number: a.number } },
      { runs: { kind: 'slug', glob: compileGlob('brave-*') } },
      { runs: { kind: 'recent', back: 0, before: b.number } },
      { limit: 1 },
    ] as const) {
      expect(await findIn(store, search)).toEqual([a.sid(1)]);
    }
    await expect(findIn(store)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  });

  test('writes a batch again that failed half way, and no row twice', async () => {
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1).tag(2, 0, 'early').batch());
    const batch = await run.scope(2).tag(2, 1, 'later').scope(3).tag(0, 0, 'run').batch();
    const obstacle = join(folder, 'flow', 'brave-otter', '3.json');
    await mkdir(obstacle);
    await expect(store.write(batch)).rejects.toMatchObject({
      code: 'STORE_UNWRITABLE',
      message: expect.stringContaining('3.json'),
    });
    await rm(obstacle, { recursive: true });
    expect(await selectIn(store, 'SELECT content FROM tags ORDER BY sid, seq', [batch])).toEqual([['run'], ['early'], ['later']]);
    await store.write(batch);
    expect(await findIn(store)).toEqual([1, 2, 3].map((ordinal) => run.sid(ordinal)));
    expect(await selectIn(store, 'SELECT content FROM tags ORDER BY sid, seq')).toEqual([['run'], ['early'], ['later']]);
  });

  test('writes the other scopes of a batch where one of them cannot be written', async () => {
    const run = await claimRows(store, 'brave-otter');
    await mkdir(join(folder, 'flow', 'brave-otter', '1.json'), { recursive: true });
    for (let ordinal = 1; ordinal <= 40; ordinal++) run.scope(ordinal);
    await expect(store.write(await run.batch())).rejects.toMatchObject({
      code: 'STORE_UNWRITABLE',
      message: expect.stringContaining('1.json'),
    });
    await rm(join(folder, 'flow', 'brave-otter', '1.json'), { recursive: true });
    expect(await findIn(store)).toHaveLength(39);
  });

  test('shows a scope that a killed process wrote before the file of its run said so', async () => {
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1).batch());
    await mkdir(join(folder, 'flow', 'calm-heron'));
    expect(await selectIn(store, 'SELECT (SELECT count(*) FROM scopes), (SELECT count(*) FROM runs)')).toEqual([[1, 0]]);
  });

  const damages: [string, (scope: Record<string, Record<string, unknown>>) => unknown, RegExp][] = [
    ['is cut off', (file) => JSON.stringify(file).slice(0, 50), /JSON/],
    ['is empty', () => '', /JSON/],
    ['is a list', () => [], /not an object/],
    ['has no tags', (file) => ({ ...file, tags: undefined }), /tags is not a list/],
    ['lacks a column', (file) => ({ ...file, scope: { ...file.scope, status: undefined } }), /no status/],
    ['has text for a number', (file) => ({ ...file, scope: { ...file.scope, duration_ms: 'long' } }), /duration_ms is "long"/],
    ['has a time that is none', (file) => ({ ...file, scope: { ...file.scope, started_at: 'now' } }), /started_at/],
    ['has another scope', (file) => ({ ...file, scope: { ...file.scope, sid: 5 } }), /another file/],
  ];
  test.for(damages)('raises STORE_DAMAGED, naming the file, where one %s', async ([, damage, message]) => {
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1).tag(1, 0, 'a').batch());
    const path = join(folder, 'flow', 'brave-otter', '1.json');
    const content = damage(JSON.parse(await readFile(path, 'utf8')) as Record<string, Record<string, unknown>>);
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
    for (const read of [() => findIn(store), () => readIn(store, [run.sid(1)]), () => selectIn(store, 'FROM scopes')]) {
      const error = await read().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'STORE_DAMAGED', message: expect.stringMatching(message) });
      expect((error as Error).message).toContain(path);
    }
  });

  test('raises STORE_DAMAGED where a file goes while it is needed, and where that of a run is missing', async () => {
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1).batch());
    const snapshot = await store.snapshot([]);
    await rm(join(folder, 'flow', 'brave-otter', '1.json'));
    await expect(snapshot.read([run.sid(1)])).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    await store.write(await run.scope(2).batch());
    await rm(join(folder, 'flow', 'brave-otter', '0.json'));
    await expect(store.snapshot([])).rejects.toMatchObject({ code: 'STORE_DAMAGED', message: expect.stringContaining('0.json') });
    await snapshot.release();
  });

  describe('on opening', () => {
    const claim = (path: string) => claimRows(new JsonStore(path), 'brave-otter');
    const look = (path: string) => findIn(new JsonStore(path));

    test('makes nothing for a reader', async () => {
      for (const path of [join(folder, 'missing'), folder]) {
        await expect(look(path)).rejects.toMatchObject({
          code: 'STORE_PATH',
          message: expect.stringContaining('there is no store'),
        });
      }
      expect(await readdir(folder)).toEqual([]);
    });

    test('makes a missing folder, and one with hidden files only, a store', async () => {
      const path = join(folder, 'not', 'yet');
      await claim(path);
      expect(await look(path)).toEqual([]);
      await writeFile(join(folder, '.DS_Store'), '');
      await mkdir(join(folder, '.git'));
      await rm(join(folder, 'not'), { recursive: true });
      await claim(folder);
      expect(await look(folder)).toEqual([]);
    });

    const refusals: [string, string, (path: string) => Promise<unknown>, RegExp][] = [
      ['a file', 'STORE_PATH', (path) => writeFile(path, ''), /is a file/],
      ['a folder with other content', 'STORE_PATH', (path) => mkdir(join(path, 'photos'), { recursive: true }), /"photos"/],
      ['a store of another kind', 'STORE_PATH', (path) => marked(path, '{"format":"parquet","formatVersion":1}'), /"parquet"/],
      ['a store of a newer format', 'STORE_FORMAT', (path) => marked(path, '{"format":"json","formatVersion":2}'), /format 2/],
      ['a store whose marker is damaged', 'STORE_DAMAGED', (path) => marked(path, '{"format":"js'), /marque\.json/],
      ['a store whose marker says nothing', 'STORE_DAMAGED', (path) => marked(path, 'null'), /marque\.json/],
    ];
    test.for(refusals)('refuses %s with %s, to readers and writers alike', async ([, code, prepare, message]) => {
      const path = join(folder, 'store');
      await prepare(path);
      const found = await readdir(folder, { recursive: true });
      const batch = await new RowMaker({ number: 1, slug: 'a-b' }).scope(1).batch();
      for (const attempt of [() => claim(path), () => look(path), () => new JsonStore(path).write(batch)]) {
        await expect(attempt()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
      }
      expect(await readdir(folder, { recursive: true })).toEqual(found);
    });

    test('refuses a folder below a file, and one that cannot be written', async () => {
      await writeFile(join(folder, 'file'), '');
      await expect(claim(join(folder, 'file', 'store'))).rejects.toMatchObject({ code: 'STORE_PATH' });
      await expect(claim('/proc/marque')).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
    });

    test('is made by one of eight objects at once, and all of them use it', async () => {
      const runs = await Promise.all(
        Array.from({ length: 8 }, (_, n) => claimRows(new JsonStore(folder), `slug-${'abcdefgh'[n]}`)),
      );
      expect(new Set(runs.map((run) => run.number))).toEqual(new Set([1, 2, 3, 4, 5, 6, 7, 8]));
    });

    async function marked(path: string, text: string): Promise<void> {
      await mkdir(path);
      await writeFile(join(path, 'marque.json'), text);
    }
  });

  test('takes no file for a scope that is not one', async () => {
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1).batch());
    for (const name of ['.1.json', 'notes.json', '2.json.bak', '01.json'])
      await writeFile(join(folder, 'flow', 'brave-otter', name), 'x');
    expect(await findIn(store)).toEqual([run.sid(1)]);
    const snapshot = await store.snapshot([]);
    expect(await snapshot.find(searchFor({ where: () => true }))).toEqual([]);
    await snapshot.release();
  });
});
