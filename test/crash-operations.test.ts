import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import * as marque from '../src/index.ts';
import { buildInto } from './faults/built.ts';
import { operationsOf } from './faults/fault.ts';
import { start } from './faults/program.ts';
import { scratchFolder } from './faults/scratch.ts';
import { copyStore, heldIn, openStore, prepare, type Scenario, scenarios } from './faults/store.ts';
import { heldBy, workFlow } from './faults/work.mjs';
import { isLarge } from './size.ts';

const scratch = scratchFolder();
const entry = { file: '' };
beforeAll(() => void (entry.file = buildInto(scratch)), 120_000);

/** Of a scenario that is not complete. Small, since a process takes half a second: crash-states.test.ts has a state of every operation. */
const mostKills = isLarge ? Number.POSITIVE_INFINITY : 8;

describe.each(scenarios)('$name, killed at its operations', (scenario) => {
  test('is done or not done, and the store goes on', async () => {
    const base = join(scratch, `${scenario.name} before`);
    await prepare(scenario, base);
    const count = await countChanges(scenario, base);
    expect(count).toBeGreaterThan(2);
    const stride = scenario.isComplete ? 1 : Math.max(1, Math.ceil(count / mostKills));
    const numbers = Array.from({ length: count }, (_, index) => index + 1).filter((number) => number % stride === count % stride);
    const wrong: string[] = [];
    const lane = async (): Promise<void> => {
      for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
        for (const when of isLarge ? ['before', 'after'] : [number % 2 === 0 ? 'before' : 'after']) {
          const what = await fault(scenario, base, number, when).catch((error: unknown) => String(error));
          if (what !== null) wrong.push(`${when} change ${number} of ${count}: ${what}`);
        }
      }
    };
    await Promise.all([lane(), lane()]);
    expect(wrong).toEqual([]);
  }, 3_600_000);
});

async function countChanges(scenario: Scenario, base: string): Promise<number> {
  const folder = `${base}, counted`;
  copyStore(base, folder);
  await using storage = openStore(folder);
  const operations = await operationsOf(folder, scenario.begin(storage));
  return operations.filter(({ changes }) => changes).length;
}

/** What is not as promised when a process dies there; null if nothing. */
async function fault(scenario: Scenario, base: string, number: number, when: string): Promise<string | null> {
  const folder = join(scratch, `${scenario.name} ${number} ${when}`);
  copyStore(base, folder);
  const program = start('killed-at.mjs', [entry.file, folder, scenario.name, String(number), when]);
  const { code, signal, errors } = await program.ended;
  const isDone = program.lines.includes('done');
  if (signal !== 'SIGKILL' && !(code === 0 && isDone)) return `it ended with ${signal ?? code}: ${errors}`;

  const held = String(await heldIn(folder));
  const possible = isDone ? [scenario.after] : [scenario.before, scenario.after];
  if (!possible.some((keys) => String(keys) === held)) return `the store then holds ${held}`;

  await using storage = openStore(folder);
  await workFlow(marque, storage, 'next', 1).execute();
  const then = String((await heldBy(storage)).filter((key) => key !== 'next-0'));
  if (then !== held) return `after the next run the store holds ${then}, before it ${held}`;
  const running = await storage.sql`SELECT slug FROM runs WHERE state NOT IN ('finished', 'aborted', 'deleted')`;
  if (running.length > 0) return `a run is still ${JSON.stringify(running)}`;
  await storage.close();
  rmSync(folder, { recursive: true });
  return null;
}
