import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { DuckDBStorage, Flow, JsonStorage, ParquetStorage, type Storage } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

const storages: Readonly<Record<string, (place: string) => Storage>> = {
  parquet: (place) => new ParquetStorage(place),
  json: (place) => new JsonStorage(place),
  duckdb: (place) => new DuckDBStorage(place),
};

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

async function leave(
  kind: string,
  place: string,
  way: string,
  signals: readonly NodeJS.Signals[] = [],
  apart = 100,
): Promise<Ended> {
  return await signalled('leaves.ts', [kind, place, way], signals, apart);
}

/** Runs a program and sends it signals once it says that it is waiting. */
async function signalled(
  program: string,
  args: readonly string[],
  signals: readonly NodeJS.Signals[],
  apart = 100,
): Promise<Ended> {
  const path = fileURLToPath(new URL(`programs/${program}`, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (data) => (stderr += String(data)));
  child.stdout.on('data', (data) => {
    if (String(data).includes('waiting'))
      signals.forEach((signal, index) => setTimeout(() => child.kill(signal), 50 + apart * index));
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stderr };
}

function spilled(kind: string, place: string): readonly string[] {
  const folder = kind === 'duckdb' ? `${place}.spill` : join(place, 'spill');
  try {
    return readdirSync(folder).map((name) => name.replace(/^.{36}/, ''));
  } catch {
    return [];
  }
}

/** What a storage shows of the run, in one text for each thing. */
async function shown(storage: Storage): Promise<unknown> {
  const scopes = await storage.search('goes.*', { runs: 'all', order: 'oldest', status: ['ok', 'error'] });
  const [run] = await storage.sql`SELECT state, tags, scopes FROM runs WHERE flow = 'goes'`;
  return {
    scopes: scopes.map(({ step, status, tags }) => `${step} ${status} ${tags.map(({ content }) => content).join()}`),
    values: scopes.map((scope) => scope.tags[0]?.value ?? null),
    kept: scopes.filter(({ step }) => step === 'quick').map((scope) => scope.recall<{ path: string }>('data').path),
    run: { state: run?.state, tags: (run?.tags as { content: string }[] | undefined)?.map((tag) => tag.content) },
    live: (await storage.sql<{ content: string }>`SELECT content FROM live_tags ORDER BY seq`).map(({ content }) => content),
  };
}

const quick = ['quick ok quick', 'quick ok quick'];
const common = { values: [0.1 + 0.2, 0.1 + 0.2], kept: ['0-0', '0-1'] };

/** A run of another flow in the same storage: what came before it is settled by its first flush. */
async function anotherRun(storage: Storage): Promise<void> {
  await new Flow('next', storage).push(function next() {}).execute();
}

describe.each(['parquet', 'json', 'duckdb'])('%s keeps what was not flushed when the process', (kind) => {
  const place = (): string => (kind === 'duckdb' ? join(temporaryFolder(), 'runs.duckdb') : temporaryFolder());

  test.each([
    ['exits inside of a step', 'exit', 7],
    ['exits inside of a step that was just writing', 'exit during a flush', null],
    ['exits after the step has flushed', 'exit after a flush', 7],
    ['throws what nobody catches', 'uncaught', 1],
    ['rejects what nobody awaits', 'rejection later', 1],
  ])('%s', async (_, way, code) => {
    const path = place();
    const ended = await leave(kind, path, way);
    if (code !== null) expect(ended).toMatchObject({ code, signal: null });
    expect(spilled(kind, path).length).toBeGreaterThan(0);

    const make = storages[kind] as (place: string) => Storage;
    const live = kind === 'json' && way === 'exit after a flush' ? expect.anything() : ['early', 'late'];
    {
      await using reader = make(path);
      const before = { scopes: quick, ...common, run: { state: 'running', tags: ['run tag'] }, live };
      expect(await shown(reader)).toEqual(before);
      expect(await shown(reader)).toEqual(before);
    }
    expect(spilled(kind, path).length).toBeGreaterThan(0); // reading has changed nothing
    const after = { scopes: quick, ...common, run: { state: 'aborted', tags: ['run tag'] }, live: [] };
    {
      await using writer = make(path);
      await anotherRun(writer);
      expect(await shown(writer)).toEqual(after);
    }
    expect(spilled(kind, path)).toEqual([]);
    await using again = make(path);
    await anotherRun(again);
    expect(await shown(again)).toEqual(after);
  });

  test('is interrupted a second time', async () => {
    const path = place();
    const { code } = await leave(kind, path, 'waits', ['SIGINT', 'SIGINT']);
    expect(code).toBe(130);
    await using storage = (storages[kind] as (place: string) => Storage)(path);
    await anotherRun(storage);
    expect(await shown(storage)).toMatchObject({ scopes: quick, ...common, run: { state: 'aborted' } });
  });
});

test.each([
  ['SIGHUP', 129],
  ['SIGTERM', 143],
] as const)('a run is ended by %s as by Ctrl-C, and a second one ends it at once', async (signal, code) => {
  const folder = temporaryFolder();
  expect(await leave('parquet', folder, 'waits', [signal, signal])).toMatchObject({ code, signal: null });
  await using storage = new ParquetStorage(folder);
  await anotherRun(storage);
  expect(await shown(storage)).toMatchObject({ scopes: quick, ...common, run: { state: 'aborted' } });
});

describe('a run whose last flush has failed', () => {
  test.each([
    ['SIGINT', 'nobody', 130],
    ['SIGTERM', 'nobody', 143],
    ['SIGHUP', 'nobody', 129],
    ['SIGTERM', 'itself', 3],
    ['SIGTERM', 'counting', 4],
  ] as const)('is kept when %s ends the process, to which %s listens', async (signal, listener, code) => {
    const folder = temporaryFolder();
    expect(await signalled('rejected.ts', [folder, listener], [signal])).toMatchObject({ code, signal: null });
    await using storage = new ParquetStorage(folder);
    await anotherRun(storage);
    expect(await storage.sql`SELECT content FROM tags`).toEqual([{ content: 'quick' }]);
    expect(await storage.sql`SELECT state FROM runs WHERE flow = 'goes'`).toEqual([{ state: 'finished' }]);
  });
});

test('what a storage in memory holds ends with the process, in silence', async () => {
  expect(await leave('memory', '', 'exit')).toEqual({ code: 7, signal: null, stderr: '' });
});

test('where the store has gone, the process says that it could not keep its rows, and still ends with its code', async () => {
  const folder = join(temporaryFolder(), 'store');
  const { code, stderr } = await leave('parquet', folder, 'exit without a store');
  expect(code).toBe(7);
  expect(stderr).toMatch(/^ParquetStorage\(.*\) could not keep the last rows of run \S+: ENOENT/);
});

test('the first signal starts a flush: a kill that follows takes nothing of what had finished', async () => {
  const folder = temporaryFolder();
  expect(await leave('parquet', folder, 'waits', ['SIGINT', 'SIGKILL'], 2_000)).toMatchObject({ signal: 'SIGKILL' });
  expect(spilled('parquet', folder)).toEqual([]);
  await using storage = new ParquetStorage(folder);
  expect(await shown(storage)).toMatchObject({ scopes: quick, ...common, live: ['early', 'late'] });
});
