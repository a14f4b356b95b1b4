import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Flow, ParquetStorage, step } from '../src/index.ts';
import type { Row } from '../src/schema.ts';
import { sidOf } from '../src/sid.ts';
import { DuckDBStore } from '../src/storage/duckdb-store.ts';
import { type Estate, inherit, liveRunOf, type LiveRun } from '../src/storage/heir.ts';
import { JsonStore } from '../src/storage/json-store.ts';
import { lockFile } from '../src/storage/lock.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { batchOfRows, markOfRows, type TableRowLists } from '../src/storage/row-batch.ts';
import { Spills } from '../src/storage/spills.ts';
import type { Claim, Store } from '../src/store.ts';
import { temporaryFolder } from './folders.ts';
import { selectIn } from './store-rows.ts';

type Kind = 'parquet' | 'json' | 'duckdb';

const kinds = ['parquet', 'json', 'duckdb'] as const;

/** A store, and how to open it anew, as the next process would: in the place of a test that is removed after it. */
class Place {
  readonly kind: Kind;
  readonly path: string;
  readonly #open = new Set<Store>();

  constructor(kind: Kind) {
    this.kind = kind;
    this.path = kind === 'duckdb' ? join(temporaryFolder(), 'runs.duckdb') : temporaryFolder();
    onTestFinished(async () => {
      for (const store of this.#open) await store.close();
    });
  }

  get spills(): Spills {
    return new Spills(this.kind === 'duckdb' ? `${this.path}.spill` : join(this.path, 'spill'));
  }

  open(): Store {
    const stores = { parquet: ParquetStore, json: JsonStore, duckdb: DuckDBStore };
    const store = new stores[this.kind](this.path);
    this.#open.add(store);
    return store;
  }

  async close(store: Store): Promise<void> {
    this.#open.delete(store);
    await store.close();
  }
}

const start = 1_750_000_000_000;

/** A run whose rows a test makes up, and whose process it lets die. */
class Life {
  readonly uuid = crypto.randomUUID();
  readonly place: Place;
  readonly claim: Claim;

  private constructor(place: Place, uuid: string, claim: Claim) {
    this.place = place;
    this.uuid = uuid as typeof this.uuid;
    this.claim = claim;
  }

  static async begin(place: Place, store: Store, begins = false): Promise<Life> {
    const uuid = crypto.randomUUID();
    const claim = await store.claim({ uuid, flow: 'flow', drawSlug: () => `slug-${uuid.slice(0, 8)}`, begins });
    return new Life(place, uuid, claim);
  }

  id(number: number) {
    return { writer: `${this.uuid}/0`, number };
  }

  /** Rows of one scope, or with ordinal 0 of the run: a tag for each text, the scope itself, an event. */
  rows(ordinal: number, tags: readonly string[], { scope = false, event = '', seq = 0, at = start } = {}): TableRowLists {
    const owner = {
      sid: sidOf(this.claim.number, ordinal),
      flow: 'flow',
      run: this.claim.slug,
      step: ordinal === 0 ? null : 'step',
    };
    const scopes = { ...owner, path: `0-${ordinal}`, attempt: 1, status: 'ok', started_at: start, duration_ms: 250 };
    const { uuid, claim } = this;
    const runs = { run_number: claim.number, uuid, slug: claim.slug, flow: 'flow', event, happened_at: at };
    return {
      tags: tags.map((content, index) => ({ ...owner, seq: seq + index, content })),
      scopes: scope ? [scopes] : [],
      runs: event === '' ? [] : [runs],
    };
  }

  async batch(number: number, rows: TableRowLists) {
    return { ...(await batchOfRows(rows)), id: this.id(number) };
  }

  spill(number: number, rows: TableRowLists) {
    return { id: this.id(number), rows: markOfRows(rows) };
  }

  /** Makes the claim that of a process which ended when the machine was started again. */
  die(lastBeat = start + 1_000): void {
    this.edit((record) => ({ ...record, bootId: record.bootId === null ? null : 'another', pid: 2 ** 30 }));
    this.beat(lastBeat);
  }

  edit(change: (record: Record<string, unknown>) => object): void {
    if (this.place.kind === 'duckdb') return;
    const record = JSON.parse(readFileSync(this.#claimFile, 'utf8')) as Record<string, unknown>;
    writeFileSync(this.#claimFile, JSON.stringify(change(record)));
  }

  beat(at: number): void {
    if (this.place.kind !== 'duckdb') utimesSync(this.#claimFile, at / 1_000, at / 1_000);
  }

  get #claimFile(): string {
    return join(this.place.path, '_runs', `${this.claim.number}.json`);
  }
}

/** A run that began, ended one scope, tagged another, and whose process died: three batches, the last two of them spilled. */
async function deadRun(place: Place): Promise<Life> {
  const store = place.open();
  const life = await Life.begin(place, store);
  const { runs = [] } = life.rows(0, [], { event: 'started' });
  const first = { ...life.rows(1, ['early']), runs };
  await store.write(await life.batch(1, first));
  store.spill([life.spill(2, life.rows(1, ['late'], { scope: true, seq: 1 })), life.spill(3, life.rows(2, ['never ended']))]);
  await place.close(store);
  life.die();
  return life;
}

/** Somebody else's run: its first batch settles what is left of others. */
async function nextWriter(place: Place): Promise<Store> {
  const store = place.open();
  const next = await Life.begin(place, store);
  await store.write(await next.batch(1, next.rows(1, [], { scope: true, event: 'started' })));
  return store;
}

async function stateOf({ claim: { slug } }: Life, store: Store): Promise<unknown> {
  const [run] = await selectIn(store, `SELECT state, scopes, epoch_ms(ended_at) FROM runs WHERE slug = '${slug}'`);
  const [tags] = await selectIn(store, `SELECT list(content ORDER BY sid, seq) FROM tags WHERE run = '${slug}'`);
  const [live] = await selectIn(store, `SELECT list(content) FROM live_tags WHERE run = '${slug}'`);
  const [aborted] = await selectIn(store, `SELECT count(*) FROM raw.runs WHERE slug = '${slug}' AND event = 'aborted'`);
  return { state: run?.[0], scopes: run?.[1], endedAt: run?.[2], tags: tags?.[0], live: live?.[0], aborted: aborted?.[0] };
}

function warned(): string[] {
  const told: string[] = [];
  const listen = ({ name, message }: Error): void => void (name === 'MarqueWarning' && told.push(message));
  process.on('warning', listen);
  onTestFinished(() => void process.off('warning', listen));
  return told;
}

describe.each(kinds)('%s: what a dead writer left', (kind) => {
  const aborted = { state: 'aborted', scopes: 1, tags: ['early', 'late'], live: null, aborted: 1 };
  const endedAt = kind === 'duckdb' ? start + 250 : start + 1_000; // the claim's last beat, or the last that the rows tell

  test('is seen by who reads, and stored, once, by who writes next', async () => {
    const place = new Place(kind);
    const life = await deadRun(place);
    const reader = place.open();
    // What has come before its scope is in files of a JSON store only with the scope.
    expect(await stateOf(life, reader)).toMatchObject({ scopes: 1, tags: ['early', 'late'], live: ['never ended'], aborted: 0 });
    await place.close(reader);
    expect(await place.spills.list()).toHaveLength(kind === 'json' ? 3 : 2);

    const writer = await nextWriter(place);
    expect(await stateOf(life, writer)).toEqual({ ...aborted, endedAt });
    expect(await place.spills.list()).toEqual([]);
    await place.close(writer);
    expect(await stateOf(life, await nextWriter(place))).toEqual({ ...aborted, endedAt });
  });

  test('is stored once also if its writer, or an heir, had come to storing it', async () => {
    const place = new Place(kind);
    const life = await deadRun(place);
    const files = (await place.spills.list()).map(({ path }) => [path, readFileSync(path)] as const);
    await place.close(await nextWriter(place));
    for (const [path, content] of files) writeFileSync(path, content); // as if the heir had died before it removed them
    const reader = place.open();
    expect(await stateOf(life, reader)).toEqual({ ...aborted, endedAt });
    await place.close(reader);
    const writer = await nextWriter(place);
    expect(await stateOf(life, writer)).toEqual({ ...aborted, endedAt });
    expect(await place.spills.list()).toEqual([]);
  });

  test('is set aside from a damaged spill on, in words, and the store works on', async () => {
    const told = warned();
    const place = new Place(kind);
    const life = await deadRun(place);
    const files = await place.spills.list();
    const damaged = files.at(-2)?.path ?? '';
    writeFileSync(damaged, readFileSync(damaged, 'utf8').replace('late', 'lame'));
    const writer = await nextWriter(place);
    const left = readdirSync(place.spills.folder);
    expect(left.filter((name) => name.endsWith('.damaged'))).toHaveLength(2);
    expect(left).toHaveLength(2);
    await new Promise(setImmediate);
    expect(told).toEqual([expect.stringMatching(/cannot be used, it is kept as \.damaged with the 1 after it: .*checksum/)]);
    expect(await stateOf(life, writer)).toMatchObject({ state: 'aborted', scopes: 0, tags: null });
  });

  test('of a newer version is left where it is, and the run is not said to be aborted', async () => {
    const place = new Place(kind);
    const life = await deadRun(place);
    const [file] = await place.spills.list();
    writeFileSync(file?.path ?? '', readFileSync(file?.path ?? '', 'utf8').replace('"version":1', '"version":9'));
    const writer = await nextWriter(place);
    expect(await place.spills.list()).toHaveLength(kind === 'json' ? 3 : 2);
    expect(await stateOf(life, writer)).toMatchObject({ tags: null, aborted: 0 });
  });

  test('may say how the run ended', async () => {
    const place = new Place(kind);
    const store = place.open();
    const life = await Life.begin(place, store);
    await store.write(await life.batch(1, life.rows(0, [], { event: 'started' })));
    store.spill([life.spill(2, life.rows(0, [], { event: 'ended', at: start + 5_000 }))]);
    await place.close(store);
    life.die(start + 9_000);
    expect(await stateOf(life, await nextWriter(place))).toMatchObject({ state: 'finished', endedAt: start + 5_000, aborted: 0 });
  });

  test('is left to the heir who is at it', async () => {
    const place = new Place(kind);
    const life = await deadRun(place);
    const lock = await lockFile(place.spills.folder);
    const writer = await nextWriter(place);
    expect(await stateOf(life, writer)).toMatchObject({ tags: ['early', 'late'], aborted: 0 });
    await place.close(writer);
    await lock.release();
    expect(await stateOf(life, await nextWriter(place))).toEqual({ ...aborted, endedAt });
  });

  test('stays where storing it fails, which keeps nobody from writing', async () => {
    const told = warned();
    const place = new Place(kind);
    await deadRun(place);
    const lock = `${place.spills.folder}.lock`;
    mkdirSync(lock);
    await nextWriter(place);
    await new Promise(setImmediate);
    expect(existsSync(lock)).toBe(true);
    expect((await place.spills.list()).length).toBeGreaterThan(1);
    expect(told.length).toBeLessThanOrEqual(1);
  });
});

describe.each(kinds)('%s: batches that were parked', (kind) => {
  async function parked(place: Place, store: Store): Promise<Life> {
    const life = await Life.begin(place, store);
    store.park(life.id(1), markOfRows(life.rows(1, ['parked'])));
    return life;
  }

  test('go with the process that held them, and not before', async () => {
    const place = new Place(kind);
    const store = place.open();
    const lives = [await parked(place, store), await parked(place, store)] as const;
    await place.close(store);
    if (kind === 'duckdb') await buryClaimant(place, lives[0].claim.number);
    else lives[0].die();
    await nextWriter(place);
    expect((await place.spills.parked()).map(({ uuid }) => uuid)).toEqual([lives[1].uuid]);
  });

  /** Makes a run that of a process which has ended. */
  async function buryClaimant({ path }: Place, number: number): Promise<void> {
    const { Database } = await import('../src/duckdb.ts');
    const database = await Database.open({ path });
    try {
      const connection = await database.connect();
      await connection.run('UPDATE raw.claims SET pid = $1 WHERE number = $2', [BigInt(2 ** 30), BigInt(number)]);
    } finally {
      await database.close();
    }
  }
});

describe.each(kinds)('%s: a run that died before its first flush', (kind) => {
  const states = 'SELECT flow, state, scopes, started_at IS NOT NULL FROM runs ORDER BY run_number';

  async function claimed(place: Place, store: Store, begins: boolean): Promise<Life> {
    const life = await Life.begin(place, store, begins);
    await place.close(store);
    life.die(Date.now());
    return life;
  }

  test('is aborted by the next writer: its claim tells of it', async () => {
    const place = new Place(kind);
    const life = await claimed(place, place.open(), true);
    const writer = await nextWriter(place);
    expect((await selectIn(writer, states))[0]).toEqual(['flow', 'aborted', 0, true]);
    expect(await stateOf(life, writer)).toMatchObject({ state: 'aborted', aborted: 1 });
    await place.close(writer);
    const [row] = await selectIn(await nextWriter(place), `SELECT list(event) FROM raw.runs WHERE uuid = '${life.uuid}'`);
    expect(row).toEqual([['started', 'aborted']]);
  });

  test('is left to whoever copies it once more, where it came from another store', async () => {
    const place = new Place(kind);
    const life = await claimed(place, place.open(), false);
    expect(await selectIn(await nextWriter(place), `SELECT event FROM raw.runs WHERE uuid = '${life.uuid}'`)).toEqual([]);
  });
});

test('a run that died before it came to its slug is none', async () => {
  const place = new Place('parquet');
  const store = place.open();
  const life = await Life.begin(place, store, true);
  await place.close(store);
  life.die();
  rmSync(join(place.path, '_runs', `${life.claim.slug}.json`));
  expect(await selectIn(await nextWriter(place), 'SELECT count(*) FROM runs')).toEqual([[1]]);
});

test('a run that said at its very end, after an heir had first looked, that it had ended is not aborted', async () => {
  const live: LiveRun = { number: 1, uuid: 'u', slug: 'slug', flow: 'flow', startedAt: start, starts: 1 };
  let looks = 0;
  const written: unknown[] = [];
  await inherit({
    spills: new Spills(join(temporaryFolder(), 'spill')),
    write: async (batch) => await Promise.resolve(void written.push(batch)),
    liveRuns: async () => await Promise.resolve(looks++ < 2 ? [live] : []),
    diedAt: async () => await Promise.resolve(start),
    overRuns: async () => await Promise.resolve(new Set<string>()),
  });
  expect(looks).toBe(3);
  expect(written).toEqual([]);
});

describe('what an heir warns of', () => {
  const live: LiveRun = { number: 1, uuid: 'u', slug: 'slug', flow: 'flow', startedAt: start, starts: 1 };
  const failing = async (): Promise<never> => await Promise.reject(new Error('the disk is full'));

  async function warningsOf(estate: Partial<Estate>): Promise<readonly string[]> {
    const told = warned();
    const spills = new Spills(join(temporaryFolder(), 'spill'));
    const nothing = {
      liveRuns: async () => await Promise.resolve([]),
      overRuns: async () => await Promise.resolve(new Set<string>()),
    };
    await inherit({ spills, write: failing, diedAt: failing, ...nothing, ...estate });
    await new Promise(setImmediate);
    return told;
  }

  test('is nothing where it could not look: nobody knows that anything was left', async () => {
    expect(await warningsOf({ liveRuns: failing })).toEqual([]);
    expect(await warningsOf({ liveRuns: async () => await Promise.resolve([live]) })).toEqual([]);
  });

  test.each([
    ['another machine', { host: 'elsewhere' }, /"elsewhere".*delete ".*spill\.lock" if that process has ended/],
    ['another container', { pidNamespace: 'pid:[1]' }, /delete ".*spill\.lock" if that process has ended/],
  ])('is a lock of %s, which may never be released', async (_, change, message) => {
    const place = new Place('parquet');
    await deadRun(place);
    const { spills } = place;
    await lockFile(spills.folder);
    const path = `${spills.folder}.lock`;
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...change }));
    expect(await warningsOf({ spills })).toEqual([expect.stringMatching(message)]);
  });

  test('is a lock that cannot be read, and not one of a process that lives', async () => {
    const place = new Place('parquet');
    await deadRun(place);
    const { spills } = place;
    const lock = await lockFile(spills.folder);
    expect(await warningsOf({ spills })).toEqual([]);
    await lock.release();
    writeFileSync(`${spills.folder}.lock`, 'mine');
    expect(await warningsOf({ spills })).toEqual([expect.stringMatching(/is not a lock of this library/)]);
  });

  test('is the folder of the spills that could not be stored', async () => {
    const place = new Place('parquet');
    await deadRun(place);
    const { spills } = place;
    const said = `what earlier processes left in "${spills.folder}" could not be stored`;
    expect(await warningsOf({ spills })).toEqual([expect.stringMatching(`^${said}.*: the disk is full$`)]);
  });

  test('are runs whose end could not be stored, where nothing was spilled', async () => {
    const dead = { liveRuns: async () => await Promise.resolve([live]), diedAt: async () => await Promise.resolve(start) };
    const said = /^the end of runs whose processes have died, .* could not be stored.*: the disk is full$/;
    expect(await warningsOf(dead)).toEqual([expect.stringMatching(said)]);
  });
});

describe.each(['parquet', 'json'] as const)('%s: a run without an end', (kind) => {
  async function begun(place: Place, store: Store): Promise<Life> {
    const life = await Life.begin(place, store);
    await store.write(await life.batch(1, life.rows(0, [], { event: 'started' })));
    return life;
  }

  async function stateFor(change: (life: Life) => void): Promise<unknown> {
    const place = new Place(kind);
    const life = await begun(place, place.open());
    change(life);
    const { state, endedAt } = (await stateOf(life, await nextWriter(place))) as Record<string, unknown>;
    return [state, endedAt];
  }

  test('is running while its process lives, however long it has held the event loop', async () => {
    expect(await stateFor((life) => life.beat(start))).toEqual(['running', null]);
  });

  test('is aborted when its process is proven dead, at the time of its last heartbeat', async () => {
    expect(await stateFor((life) => life.die(start + 70_000))).toEqual(['aborted', start + 70_000]);
  });

  test('is not aborted before it has started, though the claim was last touched before', async () => {
    expect(await stateFor((life) => life.die(start - 10))).toEqual(['aborted', start]);
  });

  test('is unknown on another machine that has not been heard of for a minute, and running before', async () => {
    const moved = (life: Life): void => life.edit((record) => ({ ...record, host: 'elsewhere' }));
    expect(await stateFor(moved)).toEqual(['running', null]);
    expect(
      await stateFor((life) => {
        moved(life);
        life.beat(Date.now() - 61_000);
      }),
    ).toEqual(['unknown', null]);
  });

  test('is not aborted where the claim is that of another run', async () => {
    expect(
      await stateFor((life) => {
        life.edit((record) => ({ ...record, uuid: 'another' }));
        life.die();
      }),
    ).toEqual(['unknown', null]);
  });

  test('is aborted though its process lives, once it was abandoned, and not by an ordinary release', async () => {
    const place = new Place(kind);
    const store = place.open();
    const lives = [await begun(place, store), await begun(place, store)] as const;
    await lives[0].claim.release();
    await lives[1].claim.release({ abandoned: true });
    const writer = await nextWriter(place);
    expect(await stateOf(lives[0], writer)).toMatchObject({ state: 'running' });
    expect(await stateOf(lives[1], writer)).toMatchObject({ state: 'aborted', aborted: 1 });
  });

  test('is aborted once, also by eight heirs at a time', async () => {
    const place = new Place(kind);
    const life = await deadRun(place);
    const writers = await Promise.all(Array.from({ length: 8 }, () => nextWriter(place)));
    await place.close(writers[0] as Store);
    const last = await nextWriter(place); // of those at once one did it, perhaps after others had looked
    expect(await stateOf(life, last)).toMatchObject({ state: 'aborted', scopes: 1, tags: ['early', 'late'], aborted: 1 });
  });
});

describe('duckdb: a run without an end', () => {
  test('goes on while its store is open, and is aborted by the next, also within one process', async () => {
    const place = new Place('duckdb');
    const store = place.open();
    const lives = [await Life.begin(place, store), await Life.begin(place, store)] as const;
    for (const life of lives) await store.write(await life.batch(1, life.rows(1, [], { scope: true, event: 'started' })));
    expect(await stateOf(lives[0], store)).toMatchObject({ state: 'running', aborted: 0 });
    await place.close(store);
    const next = await nextWriter(place);
    for (const life of lives) expect(await stateOf(life, next)).toMatchObject({ state: 'aborted', endedAt: start + 250 });
  });
});

test('a run whose storage is closed under it is aborted by the next writer, though the process goes on', async () => {
  const folder = temporaryFolder();
  const storage = new ParquetStorage(folder);
  let goOn = (): void => {};
  const isClosed = new Promise<void>((resolve) => (goOn = resolve));
  let begun = (): void => {};
  const hasBegun = new Promise<void>((resolve) => (begun = resolve));
  const waits = step('waits', async () => {
    begun();
    await isClosed;
  });
  const flow = new Flow('test', storage, { logLevel: 'silent' }).push(waits);
  const running = flow.execute();
  await hasBegun;
  await storage.flush();
  await storage.close();
  await using next = new ParquetStorage(folder);
  await new Flow('next', next).push(step('nothing', () => {})).execute();
  expect(await next.sql`SELECT flow, state FROM runs ORDER BY flow`).toEqual([
    { flow: 'next', state: 'finished' },
    { flow: 'test', state: 'aborted' },
  ]);
  goOn();
  await expect(running).rejects.toMatchObject({ code: 'STORE_CLOSED' });
});

test('a Parquet store that was never flushed is its spills, for who reads, and makes tables of them for who writes', async () => {
  const place = new Place('parquet');
  const store = place.open();
  const life = await Life.begin(place, store);
  store.spill([life.spill(1, life.rows(1, ['first'], { scope: true, event: 'started' }))]);
  await place.close(store);
  life.die();
  const reader = place.open();
  expect(await stateOf(life, reader)).toMatchObject({ scopes: 1, tags: ['first'] });
  await place.close(reader);
  expect(readdirSync(place.path).sort()).toEqual(['_runs', 'spill']);
  expect(await stateOf(life, await nextWriter(place))).toMatchObject({ state: 'aborted', scopes: 1, tags: ['first'] });
});

describe('liveRunOf, as the view live_runs', () => {
  const event = (name: string, at: number): Row<'runs'> => ({
    run_number: 1,
    uuid: 'u',
    slug: 'a-b',
    flow: 'f',
    event: name,
    happened_at: at,
    details: null,
  });

  test.each<[string, readonly Row<'runs'>[], object | null]>([
    ['of no events', [], null],
    ['begun', [event('started', 5)], { startedAt: 5, starts: 1 }],
    ['ended', [event('ended', 9), event('started', 5)], null],
    ['ended within the millisecond', [event('ended', 5), event('started', 5)], null],
    ['resumed', [event('resumed', 9), event('started', 5), event('aborted', 9)], { startedAt: 9, starts: 2 }],
    ['deleted while it ran', [event('started', 5), event('deleted', 6)], null],
  ])('%s', async (_, events, expected) => {
    const run = liveRunOf(events);
    expect(run === null ? null : { startedAt: run.startedAt, starts: run.starts }).toEqual(expected);
    const { MemoryStore } = await import('../src/storage/memory-store.ts');
    const store = new MemoryStore();
    onTestFinished(() => store.close());
    const { tables } = await batchOfRows({ runs: events });
    await store.write({ id: { writer: 'w/0', number: 1 }, tables });
    const rows = await selectIn(store, 'SELECT epoch_ms(started_at) AS "startedAt", starts FROM live_runs');
    expect(rows.map(([startedAt, starts]) => ({ startedAt, starts }))).toEqual(expected === null ? [] : [expected]);
  });
});
