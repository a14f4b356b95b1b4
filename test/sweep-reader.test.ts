import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, onTestFinished, test } from 'vitest';

// Nothing of ours is imported here: the store is read as anyone would read it, by running its own open.sql in a plain DuckDB.

const sweep = fileURLToPath(new URL('../examples/sweep.ts', import.meta.url));

async function read(store: string, query: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    await connection.run(readFileSync(path.join(store, 'open.sql'), 'utf8'));
    return (await connection.runAndReadAll(query)).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** Every finished evaluation with what belongs to it. */
const evaluations = `
  SELECT
    id,
    status,
    (SELECT count(*)::INTEGER FROM tags WHERE tags.sid = scopes.sid AND content = 'accuracy') AS accuracies,
    (SELECT value > 0 FROM tags WHERE tags.sid = scopes.sid AND content = 'mean accuracy') AS measured,
    (SELECT list(name ORDER BY name) FROM artifacts WHERE artifacts.sid = scopes.sid) AS artifacts
  FROM scopes WHERE step = 'evaluate' ORDER BY sid`;

test('a plain DuckDB reads the finished rows while the sweep runs; after Ctrl-C all that had finished is there', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "a sweep's "));
  const store = path.join(folder, 'history');
  const child = spawn(process.execPath, ['--import', 'tsx', sweep], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { ...process.env, MARQUE_STORE: store },
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });

  let during: Record<string, unknown>[] = [];
  while (during.length === 0) {
    expect(child.exitCode).toBeNull();
    await sleep(50);
    if (existsSync(path.join(store, 'open.sql'))) during = await read(store, evaluations);
  }
  expect(await read(store, 'SELECT state FROM runs')).toEqual([{ state: 'running' }]);
  expect(child.exitCode).toBeNull(); // all of the above was read while the sweep was running
  const whole = { status: 'ok', accuracies: 5, measured: true, artifacts: ['confusion', 'model'] };
  expect(during).toEqual(during.map(({ id }) => ({ id, ...whole })));

  child.kill('SIGINT');
  expect(await ended).toEqual([130, null]);
  const after = await read(store, evaluations);
  expect(after.length).toBeGreaterThanOrEqual(during.length);
  expect(after.slice(0, during.length)).toEqual(during);
  expect(after).toEqual(after.map(({ id }) => ({ id, ...whole })));
  expect(await read(store, 'SELECT state FROM runs')).toEqual([{ state: 'aborted' }]);
});
