import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { Flow, MemoryStorage, Random } from '../src/index.ts';
import { runOrigin, version } from '../src/run.ts';
import manifest from '../package.json' with { type: 'json' };
import { temporaryFolder } from './folders.ts';

test('a run knows where and from what it was started', async () => {
  const origin = await runOrigin();
  expect(origin).toMatchObject({ pid: process.pid, node: process.version, argv: process.argv, cwd: process.cwd() });
  expect(version()).toBe(manifest.version);
  expect(Object.keys(origin.versions)).toEqual(['marque', '@duckdb/node-api', 'apache-arrow', 'superjson']);
  for (const one of Object.values(origin.versions)) expect(one).toMatch(/^\d+\.\d+\.\d+/);
});

test('a run knows its commit and whether the folder had changes; outside a repository it knows none', async () => {
  const folder = temporaryFolder();
  const here = process.cwd();
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: folder, encoding: 'utf8' }).trim();
  try {
    process.chdir(folder);
    expect((await runOrigin()).git).toBeNull();
    git('init', '--quiet');
    git('-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '--quiet', '--allow-empty', '--message=first');
    process.chdir(here);
    await runOrigin();
    process.chdir(folder);
    expect((await runOrigin()).git).toEqual({ commit: git('rev-parse', 'HEAD'), dirty: false });
  } finally {
    process.chdir(here);
  }
});

test('a run records its parameters, tags, state and duration', async () => {
  const storage = new MemoryStorage();
  const flow = new Flow('test', storage).put({ lr: 0.1, name: 'a', random: new Random(1) }).tag('baseline', 2);
  flow.push(function nap() {});
  await flow.execute();
  const [run] = await storage.sql`SELECT * FROM runs`;
  expect(run).toMatchObject({ run_number: 1, slug: flow.run, flow: 'test', state: 'finished', scopes: 1, errors: 0 });
  expect(run?.uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  expect(run?.tags).toEqual([{ content: 'baseline', value: 2 }]);
  expect(JSON.parse(run?.start_details as string)).toMatchObject({ params: { lr: 0.1, name: 'a' }, node: process.version });
  expect(run?.duration_ms).toBeGreaterThan(0);
});
