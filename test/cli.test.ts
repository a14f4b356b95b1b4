import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { DuckDBStorage, Flow, JsonStorage, ParquetStorage, step, type Storage } from '../src/index.ts';
import { suiteFolder } from './folders.ts';

const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
const folder = suiteFolder();
const stores: Record<string, string> = {
  parquet: join(folder, 'history'),
  json: join(folder, 'json'),
  duckdb: join(folder, 'history.duckdb'),
};

function marque(...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', cli, ...args], {
    encoding: 'utf8',
    env: { ...process.env, MARQUE_STORE: stores.parquet },
  });
  return { code: status, out: stdout, err: stderr };
}

beforeAll(async () => {
  const made: Storage[] = [
    new ParquetStorage(stores.parquet as string),
    new JsonStorage(stores.json as string),
    new DuckDBStorage(stores.duckdb as string),
  ];
  for (const storage of made) {
    const train = step({ lr: Number }, function train(flow, { lr }) {
      flow.tag('loss', lr / 3);
      flow.tag('note');
    });
    await new Flow('demo', storage).push(train, { lr: 0.1 }).push(train, { lr: 0.2 }).execute();
    await storage.close();
  }
});

test.each(Object.entries(stores))('runs lists the runs of a %s store', (_kind, store) => {
  const { code, out } = marque('runs', '--json', '--store', store);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ flow: 'demo', state: 'finished', scopes: 2, errors: 0 });
});

test('runs prints a table without colours where there is no terminal', () => {
  const { out } = marque('runs');
  expect(out).toMatch(/│ run +│ flow │ state +│/);
  expect(out).not.toContain('\u001b');
});

test('search prints a line a scope, newest first', () => {
  const { code, out } = marque('search', 'demo.train.*', '--limit', '1');
  expect(code).toBe(0);
  expect(out).toMatch(/^demo\.train\.[a-z]+-[a-z]+\.1-0 {2}ok {2}\S+ {2}loss=0\.0666667 note\n$/);
});

test('search --json prints a value a scope', () => {
  const lines = marque('search', '*', '--json').out.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([{ params: { lr: 0.2 } }, { params: { lr: 0.1 } }]);
});

test('sql prints what a SELECT finds', () => {
  const { out } = marque('sql', "SELECT count(*) AS n, max(value) AS worst FROM tags WHERE content = 'loss'", '--json');
  expect(JSON.parse(out)).toEqual({ n: 2, worst: 0.2 / 3 });
});

test.each([
  [['sql', 'DELETE FROM raw.tags'], 'SELECT'],
  [['sql', 'SELECT * FROM scope'], 'scope'],
  [['search', ''], 'empty'],
  [['runs', '--store', '/nowhere/to/be/found'], '/nowhere/to/be/found'],
  [['runs', '--limit', 'many'], 'many'],
])('a mistake is told on standard error, with exit code 1: %j', (args, says) => {
  const { code, out, err } = marque(...args);
  expect([code, out]).toEqual([1, '']);
  expect(err).toMatch(/^marque: /);
  expect(err).toContain(says);
});
