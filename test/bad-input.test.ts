import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  DuckDBStorage,
  type ErrorCode,
  Flow,
  JsonStorage,
  MarqueError,
  MemoryStorage,
  ParquetStorage,
  repeat,
  retry,
  step,
  type StepFlow,
  type Storage,
} from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

interface Mistake {
  readonly code: ErrorCode;
  /** What the message must name: the value, and the way out. */
  readonly says: readonly string[];
  readonly make: () => unknown;
}

function newFlow(storage: Storage = new MemoryStorage()): Flow {
  return new Flow('test', storage, { logLevel: 'silent' }).failFast();
}
function nothing(): void {}
async function ended(): Promise<Flow> {
  const flow = newFlow().push(nothing);
  await flow.execute();
  return flow;
}
/** Runs one step, and rejects with what it throws. */
function inStep(body: (flow: StepFlow) => void | Promise<void>, values: object = {}): Promise<unknown> {
  return newFlow().put(values).push(step('body', body)).execute();
}
function run(storage: Storage): Promise<unknown> {
  return newFlow(storage).push(nothing).execute();
}
/** A store of that kind with one run in it, whose format is then said to be newer. */
async function newer(kind: 'json' | 'parquet'): Promise<unknown> {
  const folder = temporaryFolder();
  const make = (): Storage => (kind === 'json' ? new JsonStorage(folder) : new ParquetStorage(folder));
  const storage = make();
  await run(storage);
  await storage.close();
  const file = kind === 'json' ? join(folder, 'marque.json') : join(folder, 'scopes', '_delta_log', '00000000000000000000.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/(formatVersion\\?"\s*:\s*\\?"?)[12]/, '$199'));
  return run(make());
}
function aFile(): string {
  const file = join(temporaryFolder(), 'notes.txt');
  writeFileSync(file, 'these are my notes');
  return file;
}
/** A folder that nobody can write to, root included. */
const unwritable = '/proc/marque';

const mistakes: Record<string, Mistake> = {
  'a step without a name': {
    code: 'STEP_UNNAMED',
    says: ['(flow) => flow.tag("x")', 'step("name", fn)'],
    make: () => newFlow().push((flow: StepFlow) => flow.tag('x')),
  },
  'an unnamed step pushed by a step': {
    code: 'STEP_UNNAMED',
    says: ['step("name", fn)'],
    make: () => inStep((flow) => flow.push(() => {})),
  },
  'something that is no step': { code: 'STEP_INVALID', says: ['42'], make: () => newFlow().push(42 as never) },
  'a class as a step': { code: 'STEP_INVALID', says: ['class Trainer'], make: () => newFlow().push(class Trainer {} as never) },
  'a generator as a step': {
    code: 'STEP_INVALID',
    says: ['generator', 'async function'],
    make: () => newFlow().push(function* train() {} as never),
  },
  'a need that is no type': {
    code: 'STEP_INVALID',
    says: ['"train"', '"lr"', '0.1'],
    make: () => step({ lr: 0.1 } as never, function train() {}),
  },
  'a flow name with a dot': { code: 'NAME_INVALID', says: ['"a.b"'], make: () => new Flow('a.b') },
  'a step name with a slash': { code: 'NAME_INVALID', says: ['"a/b"'], make: () => step('a/b', nothing) },
  'an artifact name that is empty': { code: 'NAME_INVALID', says: ['""'], make: () => inStep((flow) => flow.keep('', 1)) },
  'a second execute': {
    code: 'ALREADY_EXECUTED',
    says: ['"test"', 'finished', 'make a new one'],
    make: async () => (await ended()).execute(),
  },
  'push after the end': {
    code: 'FLOW_ENDED',
    says: ['push', '"test"', 'make a new flow'],
    make: async () => (await ended()).push(nothing),
  },
  'put after the end': { code: 'FLOW_ENDED', says: ['put'], make: async () => (await ended()).put({ a: 1 }) },
  'the run before it is claimed': { code: 'FLOW_NOT_STARTED', says: ['run', 'execute()'], make: () => newFlow().run },
  'a handle used after its step': {
    code: 'HANDLE_ENDED',
    says: ['tag', '"leak"', 'await what it starts'],
    make: async () => {
      let handle: StepFlow | undefined;
      function leak(flow: StepFlow): void {
        handle = flow;
      }
      await newFlow().push(leak).execute();
      handle?.tag('late');
    },
  },
  'keep twice': {
    code: 'ARTIFACT_EXISTS',
    says: ['"model"', 'overwrite: true'],
    make: () =>
      inStep((flow) => {
        flow.keep('model', 1);
        flow.keep('model', 2);
      }),
  },
  'a value that cannot be kept': {
    code: 'VALUE_INVALID',
    says: ['artifact "model".layers[1].activate', 'function'],
    make: () => inStep((flow) => flow.keep('model', { layers: [{}, { activate: () => 0 }] })),
  },
  'an artifact that is too large': {
    code: 'VALUE_INVALID',
    says: ['"weights"', '300 MiB', 'over 256', 'file'],
    make: () => inStep((flow) => flow.keep('weights', new Uint8Array(300 * 2 ** 20))),
  },
  'a recall of what was not kept': {
    code: 'ARTIFACT_UNKNOWN',
    says: ['"modle"', '"model"'],
    make: () =>
      inStep((flow) => {
        flow.keep('model', 1);
        flow.recall('modle');
      }),
  },
  'an unknown context name': {
    code: 'CONTEXT_UNKNOWN',
    says: ['"rate"', '"rates"'],
    make: () => inStep((flow) => void flow.get('rate'), { rates: 1 }),
  },
  'a context value of another type': {
    code: 'CONTEXT_INVALID',
    says: ['"lr"', '"high"', 'Number'],
    make: () => inStep((flow) => void flow.get(Number, 'lr'), { lr: 'high' }),
  },
  'a declared value that is nowhere, before anything runs': {
    code: 'CONTEXT_UNKNOWN',
    says: ['"train"', '"lr"'],
    make: () =>
      newFlow()
        .push(step({ lr: Number }, function train() {}) as never)
        .execute(),
  },
  'context values that are a list': { code: 'OPTION_INVALID', says: ['[1]'], make: () => newFlow().put([1]) },
  'a tag that is no text': { code: 'VALUE_INVALID', says: ['42'], make: () => newFlow().tag(42 as never) },
  'a tag with half a surrogate pair': {
    code: 'VALUE_INVALID',
    says: ['surrogate', 'toWellFormed'],
    make: () => newFlow().tag('\ud800'),
  },
  'a tag value that is no number': {
    code: 'VALUE_INVALID',
    says: ['"loss"', '"low"'],
    make: () => newFlow().tag('loss', 'low' as never),
  },
  'repeat of zero times': { code: 'OPTION_INVALID', says: ['0', 'at least 1'], make: () => repeat(nothing, 0) },
  'retry of zero times': { code: 'OPTION_INVALID', says: ['0', 'at least 1'], make: () => retry(nothing, 0) },
  'a negative delay': { code: 'OPTION_INVALID', says: ['delay', '-1'], make: () => retry(nothing, 2, { delay: -1 }) },
  'a concurrency of zero': {
    code: 'OPTION_INVALID',
    says: ['concurrency', '0'],
    make: () => new Flow('x', new MemoryStorage(), { concurrency: 0 }),
  },
  'a flush policy of zero': {
    code: 'OPTION_INVALID',
    says: ['scopes', '0'],
    make: () => new MemoryStorage({ flush: { scopes: 0 } }),
  },
  'a storage that is none': {
    code: 'OPTION_INVALID',
    says: ['"history"', 'ParquetStorage'],
    make: () => new Flow('x', 'history' as never),
  },
  'an empty pattern': { code: 'GLOB_INVALID', says: ['empty'], make: () => newFlow().search('') },
  'an order that is none': {
    code: 'OPTION_INVALID',
    says: ['order', '"up"'],
    make: () => newFlow().search('*', { order: 'up' as never }),
  },
  'search options that are a number': {
    code: 'OPTION_INVALID',
    says: ['options is 7', 'where'],
    make: () => newFlow().search('*', 7 as never),
  },
  'search options that are null': {
    code: 'OPTION_INVALID',
    says: ['options is null', 'where'],
    make: () => new MemoryStorage().search('*', null as never),
  },
  'a search option that is misspelt': {
    code: 'OPTION_INVALID',
    says: ['"wher"', 'Did you mean "where"?'],
    make: () => newFlow().search('*', { wher: () => true } as never),
  },
  'a search option that is nearly one': {
    code: 'OPTION_INVALID',
    says: ['"run"', 'Did you mean "runs"?'],
    make: () => new MemoryStorage().search('*', { run: 'latest' } as never),
  },
  'an async where': {
    code: 'WHERE_INVALID',
    says: ['async'],
    make: () => newFlow().search('*', { where: (async () => true) as never }),
  },
  'an id that is not there': {
    code: 'SCOPE_UNKNOWN',
    says: ['"a.b.c.0-0"', 'ids(pattern)'],
    make: () => new MemoryStorage().load('a.b.c.0-0'),
  },
  'SQL that writes': {
    code: 'SQL_INVALID',
    says: ['SELECT'],
    make: async () => void (await new MemoryStorage().sql`DROP VIEW scopes`),
  },
  'SQL with a bad value': { code: 'SQL_INVALID', says: ['value 1'], make: () => new MemoryStorage().sql`SELECT ${{}}` },
  'a Parquet store in an unwritable folder': {
    code: 'STORE_UNWRITABLE',
    says: [unwritable],
    make: () => run(new ParquetStorage(unwritable)),
  },
  'a JSON store in an unwritable folder': {
    code: 'STORE_UNWRITABLE',
    says: [unwritable],
    make: () => run(new JsonStorage(unwritable)),
  },
  'a DuckDB store in an unwritable folder': {
    code: 'STORE_UNWRITABLE',
    says: [unwritable],
    make: () => run(new DuckDBStorage(join(unwritable, 'x.duckdb'))),
  },
  'a Parquet store of a newer format': { code: 'STORE_FORMAT', says: ['99'], make: () => newer('parquet') },
  'a JSON store of a newer format': { code: 'STORE_FORMAT', says: ['99'], make: () => newer('json') },
  'a Parquet store at a file': { code: 'STORE_PATH', says: ['notes.txt'], make: () => run(new ParquetStorage(aFile())) },
  'a JSON store at a file': { code: 'STORE_PATH', says: ['notes.txt'], make: () => run(new JsonStorage(aFile())) },
  'a DuckDB store at a file that is none': {
    code: 'STORE_PATH',
    says: ['notes.txt'],
    make: () => run(new DuckDBStorage(aFile())),
  },
  'a Parquet store in a folder with other things': {
    code: 'STORE_PATH',
    says: ['marque-test-'],
    make: () => {
      const folder = temporaryFolder();
      mkdirSync(join(folder, 'photos'));
      return run(new ParquetStorage(folder));
    },
  },
  'a closed storage': {
    code: 'STORE_CLOSED',
    says: ['closed'],
    make: async () => {
      const storage = new MemoryStorage();
      await storage.close();
      await run(storage);
    },
  },
};

test.each(Object.entries(mistakes))('%s is a clear error', async (_mistake, { code, says, make }) => {
  const error: unknown = await (async () => make())().then(
    () => 'no error',
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MarqueError);
  expect(error).toMatchObject({ code });
  for (const part of says) expect((error as MarqueError).message).toContain(part);
});

test('what finished before a mistake is kept', async () => {
  const folder = temporaryFolder();
  await using storage = new ParquetStorage(folder);
  const flow = newFlow(storage).push([nothing, step('wrong', (inner) => void inner.get('x')), nothing]);
  await expect(flow.execute()).rejects.toMatchObject({ code: 'CONTEXT_UNKNOWN' });
  await using again = new ParquetStorage(folder);
  expect((await again.search('*', { order: 'oldest' })).map((scope) => scope.status)).toEqual(['ok', 'error']);
});
