import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import * as marque from '../src/index.ts';
import { buildInto } from './faults/built.ts';
import { start } from './faults/program.ts';
import { scratchFolder } from './faults/scratch.ts';
import { fillLog, openStore } from './faults/store.ts';
import { heldBy, workFlow } from './faults/work.mjs';
import { isLarge } from './size.ts';

const scratch = scratchFolder();
const entry = { file: '' };
beforeAll(() => void (entry.file = buildInto(scratch)));

/** Stores, and how often a writer of each is killed. */
const [stores, killsOfEach] = isLarge ? [200, 10] : [10, 6];
/** Milliseconds. Every other writer has them from the beginning, when DuckDB is yet to be loaded, the others from their first durable scopes. */
const longestLife = 400;

describe(`a writer that is killed at ${stores * killsOfEach} random instants`, () => {
  test('loses nothing that it had acknowledged, leaves no scope in part, and the next one goes on', async () => {
    // Half of the stores are about to get a checkpoint; the others are yet to be created.
    const full = join(scratch, 'full');
    await fillLog(marque, full, 98);
    const random = new marque.Random(11);
    const plans = Array.from({ length: stores }, (_, index) => ({
      folder: join(scratch, `history-${index}`),
      base: index % 2 === 0 ? null : full,
      lives: Array.from({ length: killsOfEach }, () => random.number() * longestLife),
    }));
    const found: { readonly states: Record<string, number>; readonly acknowledged: number; readonly compactions: number }[] = [];
    const lane = async (): Promise<void> => {
      for (let plan = plans.shift(); plan !== undefined; plan = plans.shift()) found.push(await killed(plan));
    };
    await Promise.all([lane(), lane()]);
    const sum = (pick: (one: (typeof found)[number]) => number) => found.reduce((total, one) => total + pick(one), 0);
    // Otherwise the instants were no test of anything.
    expect(sum(({ acknowledged }) => acknowledged)).toBeGreaterThan((stores * killsOfEach) / 2);
    expect(sum(({ compactions }) => compactions)).toBeGreaterThan(0);
    expect(sum(({ states }) => states['aborted'] ?? 0)).toBeGreaterThan(stores);
  }, 3_600_000);
});

interface Plan {
  readonly folder: string;
  readonly base: string | null;
  readonly lives: readonly number[];
}

async function killed({ folder, base, lives }: Plan): Promise<{
  readonly states: Record<string, number>;
  readonly acknowledged: number;
  readonly compactions: number;
}> {
  if (base !== null) cpSync(base, folder, { recursive: true });
  const acknowledged = new Map<string, number>();
  let compactions = 0;
  for (const [index, life] of lives.entries()) {
    const writer = start('endless.mjs', [entry.file, folder, `k${index}.`]);
    await writer.until(index % 2 === 0 ? 2 : 1);
    await sleep(life);
    writer.process.kill('SIGKILL');
    const { signal, errors } = await writer.ended;
    expect([signal, errors]).toEqual(['SIGKILL', '']);
    for (const line of writer.lines) {
      const [label, count] = line.split(' ');
      if (count !== undefined) acknowledged.set(label as string, Number(count));
      else if (line === 'compacted') compactions++;
    }
    await using storage = openStore(folder);
    checkHeld(await heldBy(storage), acknowledged);
  }
  await using storage = openStore(folder);
  await workFlow(marque, storage, 'next', 3).execute();
  acknowledged.set('next', 3);
  checkHeld(await heldBy(storage), acknowledged);
  const runs = await storage.sql<{ state: string; n: number }>`SELECT state, count(*) AS n FROM runs GROUP BY state`;
  const states = Object.fromEntries(runs.map(({ state, n }) => [state, n]));
  expect(Object.keys(states).filter((state) => state !== 'finished' && state !== 'aborted')).toEqual([]);
  expect(states['aborted'] ?? 0).toBeLessThanOrEqual(lives.length);
  expect(existsSync(join(folder, 'open.sql'))).toBe(true);
  return { states, acknowledged: acknowledged.size, compactions };
}

/** Of each run the first scopes are there, at least those that were acknowledged. */
function checkHeld(keys: readonly string[], acknowledged: ReadonlyMap<string, number>): void {
  const indices = new Map<string, number[]>();
  for (const key of keys) {
    const [label, index] = key.split('-') as [string, string];
    indices.set(label, [...(indices.get(label) ?? []), Number(index)]);
  }
  for (const [label, found] of indices) {
    expect(
      found.sort((a, b) => a - b),
      `the scopes of ${label}`,
    ).toEqual(Array.from(found, (_, index) => index));
  }
  for (const [label, count] of acknowledged) expect(indices.get(label)?.length ?? 0, label).toBeGreaterThanOrEqual(count);
}
