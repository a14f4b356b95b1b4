import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from './folders.ts';
import { everywhere, opened, plainly, root, written } from './parquet-stores.ts';
import { claimRows, selectIn } from './store-rows.ts';

function writerProcess(folder: string, batches: number): ChildProcess & { stdout: NonNullable<ChildProcess['stdout']> } {
  const script = fileURLToPath(new URL('parquet-writer.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, folder, String(batches)], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

describe('several processes', () => {
  test('write one store at once and lose nothing', async () => {
    const folder = join(temporaryFolder(), 'history');
    const [writers, batches] = [4, 50];
    const children = Array.from({ length: writers }, () => writerProcess(folder, batches));
    const said = await Promise.all(children.map((child) => text(child.stdout)));
    expect(said.map((lines) => lines.trim().split('\n').length)).toEqual(Array(writers).fill(batches));
    expect(new Set(said.map((lines) => lines.split(' ')[0])).size).toBe(writers);
    const scopes = writers * batches * 2;
    const store = opened(folder);
    expect(await selectIn(store, everywhere)).toEqual([[scopes, scopes, scopes, 0, scopes, writers]]);
    expect(await selectIn(store, 'SELECT count(DISTINCT sid) FROM scopes')).toEqual([[scopes]]);
    expect(await plainly(everywhere, join(folder, 'open.sql'))).toEqual([
      [scopes, scopes, scopes, 0, scopes, writers].map(String),
    ]);
  });

  test('are killed at any moment: what they said was durable is there, and every scope is whole', async () => {
    const folder = join(temporaryFolder(), 'history');
    const durable = new Map<number, number>();
    for (const pause of [0, 40, 90]) {
      const child = writerProcess(folder, 1_000_000);
      child.stdout.on('data', (lines: Buffer) => {
        for (const line of lines.toString().trim().split('\n')) {
          const [run, batch] = line.split(' ').map(Number) as [number, number];
          durable.set(run, batch);
        }
      });
      await once(child.stdout, 'data');
      await sleep(pause);
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    const store = opened(folder);
    const stored = await selectIn(store, 'SELECT run_number, count(*) FROM scopes GROUP BY ALL ORDER BY ALL');
    expect(stored).toHaveLength(3);
    for (const [run, scopes] of stored as [number, number][]) {
      expect(scopes % 2).toBe(0);
      expect(scopes / 2).toBeGreaterThanOrEqual(durable.get(run) as number);
      expect(scopes / 2).toBeLessThanOrEqual((durable.get(run) as number) + 1);
    }
    for (const table of ['tags', 'logs', 'artifacts']) {
      expect(
        await selectIn(
          store,
          `SELECT s.sid FROM scopes AS s LEFT JOIN ${table} AS c ON c.sid = s.sid GROUP BY s.sid HAVING count(c.sid) <> 1`,
        ),
      ).toEqual([]);
    }
    const run = await claimRows(store, 'brave-otter');
    await store.write(await run.scope(1).batch());
    expect(run.number).toBe(4);
  });

  test('read it with plain DuckDB while it is being written, and see whole scopes only', async () => {
    const folder = join(temporaryFolder(), 'history');
    await written(folder);
    const script = `import { DuckDBInstance } from '@duckdb/node-api';
      import { readFileSync } from 'node:fs';
      const connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
      for (let turn = 0; turn < 25; turn++) {
        await connection.run(readFileSync(process.argv[1], 'utf8'));
        const rows = await connection.runAndReadAll(\`SELECT count(DISTINCT s.sid), count(t.sid), (SELECT count(*) FROM tags)
          FROM scopes AS s LEFT JOIN tags AS t ON t.sid = s.sid\`);
        console.log(JSON.stringify(rows.getRowsJson()[0].map(Number)));
      }`;
    const reader = spawn(process.execPath, ['--input-type=module', '-e', script, join(folder, 'open.sql')], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const answer = text(reader.stdout);
    const store = opened(folder);
    const run = await claimRows(store, 'calm-heron');
    let batches = 0;
    while (reader.exitCode === null) {
      const ordinal = ++batches;
      await store.write(await run.scope(ordinal).tag(ordinal, 0, 'a').batch());
    }
    const seen = (await answer)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as number[]);
    expect(seen).toHaveLength(25);
    const scopes = seen.map(([count]) => count as number);
    expect(seen).toEqual(scopes.map((count) => [count, count, count]));
    expect(scopes).toEqual([...scopes].sort((a, b) => a - b));
    expect(scopes.at(-1)).toBeGreaterThan(scopes[0] as number);
  });
});

describe('open.sql', () => {
  test('opens a store that was moved, where it is told, and forgets the place', async () => {
    const parent = temporaryFolder();
    const [there, here] = [join(parent, 'there'), join(parent, "here [it's]")];
    await written(there);
    renameSync(there, here);
    const openSql = join(here, 'open.sql');
    const answer = `SELECT (SELECT count(*) FROM scopes), getvariable('store')`;
    await expect(plainly(answer, openSql)).rejects.toThrow(there);
    expect(await plainly(answer, openSql, `SET VARIABLE store = '${here.replace("'", "''")}';`)).toEqual([['2', null]]);

    const store = opened(here);
    await store.write(await (await claimRows(store, 'calm-heron')).scope(1).batch());
    expect(await plainly(answer, openSql)).toEqual([['3', null]]);
  });

  test('may be run again in the same session, and shows what has come since', async () => {
    const folder = temporaryFolder();
    await written(folder);
    const openSql = join(folder, 'open.sql');
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const count = async () => (await connection.runAndReadAll('SELECT count(*) FROM scopes')).getRowsJson().flat();
    await connection.run(readFileSync(openSql, 'utf8'));
    const store = opened(folder);
    await store.write(await (await claimRows(store, 'calm-heron')).scope(1).batch());
    expect(await count()).toEqual(['2']);
    await connection.run(readFileSync(openSql, 'utf8'));
    expect(await count()).toEqual(['3']);
  });
});
