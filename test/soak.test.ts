import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import * as marque from '../src/index.ts';
import { buildInto } from './faults/built.ts';
import { start } from './faults/program.ts';
import { scratchFolder } from './faults/scratch.ts';
import { openStore } from './faults/store.ts';
import { workFlow } from './faults/work.mjs';
import { isLarge } from './size.ts';

const scratch = scratchFolder();
const writers = 8;
const scopesOfEach = isLarge ? 10_000 : 2_000;
/** Milliseconds that readers and the compactor go on for at least. */
const least = isLarge ? 20_000 : 8_000;

test('eight processes write one flow, two read and one compacts: no read fails, no count goes down, none is lost', async () => {
  const entry = buildInto(scratch);
  const folder = join(scratch, 'history');
  {
    await using storage = openStore(folder);
    await workFlow(marque, storage, 'first', 1).execute();
  }
  const since = Date.now();
  const readers = ['marque', 'plain'].map((kind) => start('watcher.mjs', [entry, folder, kind]));
  const compactor = start('compactor.mjs', [entry, folder]);
  const scribes = Array.from({ length: writers }, (_, index) =>
    start('scribe.mjs', [entry, folder, `w${index}`, String(scopesOfEach)]),
  );
  for (const { ended } of scribes) expect(await ended).toEqual({ code: 0, signal: null, errors: '' });
  await sleep(Math.max(500, since + least - Date.now()));
  for (const { process } of [...readers, compactor]) process.kill('SIGTERM');

  for (const { ended } of [...readers, compactor]) expect(await ended).toEqual({ code: 0, signal: null, errors: '' });
  expect(compactor.lines.length).toBeGreaterThan(2);
  const total = writers * scopesOfEach + 1;
  for (const { lines } of readers) {
    const counts = lines.map((line) => JSON.parse(line) as number[]);
    const scopes = counts.map(([count]) => count as number);
    expect(counts.length).toBeGreaterThan(3);
    expect(counts).toEqual(scopes.map((count) => [count, count, count, count])); // each scope has one of each
    expect(scopes).toEqual([...scopes].sort((a, b) => a - b));
    expect(scopes.at(-1)).toBe(total);
  }
  await using storage = openStore(folder);
  const questions = await storage.sql`SELECT (SELECT count(DISTINCT sid) FROM scopes) AS scopes,
    (SELECT count(DISTINCT content) FROM tags) AS keys, (SELECT count(DISTINCT slug) FROM runs) AS slugs,
    (SELECT count(*) FROM runs WHERE state = 'finished') AS finished`;
  expect(questions).toEqual([{ scopes: total, keys: total, slugs: writers + 1, finished: writers + 1 }]);
}, 600_000);
