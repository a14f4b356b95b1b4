import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { MarqueError } from '../src/index.ts';
import { buildInto } from './faults/built.ts';
import { type Fault, faultsAt, inject, operationsOf } from './faults/fault.ts';
import { start } from './faults/program.ts';
import { scratchFolder } from './faults/scratch.ts';
import { copyStore, heldIn, openStore, prepare, type Scenario, scenarios } from './faults/store.ts';
import { isLarge } from './size.ts';

const scratch = scratchFolder();

/** Nothing may come after a test that has run out of time: it would go on, and have the operations of the next one fail. */
const longest = isLarge ? 4 * 3_600_000 : 600_000;
const tracing = ['strace', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', '-e', 'trace=fsync,link,rename'];

/** Faults of a scenario in the small size, beside those that are never left out. */
const mostOfRest = 12;

// What fails in the background, and is tried again by whoever comes next, is told by warnings: hundreds of them here.
beforeAll(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined));
afterAll(() => void vi.restoreAllMocks());

describe.each(scenarios)('$name, with an error at each of its operations', (scenario) => {
  test(
    'fails in words, loses nothing, and is done when it is tried again',
    async () => {
      const base = await baseOf(scenario);
      const faults = await faultsIn(scenario, base);
      expect(faults.length).toBeGreaterThan(10);
      const wrong: string[] = [];
      for (const fault of faults) wrong.push(...(await faultsOf(scenario, base, fault)));
      expect(wrong).toEqual([]);
    },
    longest,
  );
});

/** Errors that the system itself reports, at the n-th such call of each thread: `strace` puts them there, below Node and DuckDB. */
const calls = ['fsync:error=EIO', 'link:error=EIO', 'rename:error=ENOSPC'];

if (canTrace()) {
  describe('a system call that fails', () => {
    test.each(calls)(
      '%s: the change fails in words, and is done when it is tried again',
      async (call) => {
        const entry = buildInto(mkdtempSync(join(scratch, 'built-')));
        let failures = 0;
        for (const [index, scenario] of scenarios.entries()) {
          const base = await baseOf(scenario);
          for (const nth of isLarge ? [1, 2, 3, 4, 5, 6, 8, 10, 12] : [1 + (index % 3)]) {
            const folder = `${base}, ${call} ${nth}`;
            copyStore(base, folder);
            const command = [...tracing, '-e', `inject=${call}:when=${nth}`];
            const env = { NODE_NO_WARNINGS: '1' };
            const program = start('stubborn.mjs', [entry, folder, scenario.name], { command, env });
            expect(await program.ended).toEqual({ code: 0, signal: null, errors: '' });
            const told = program.lines.filter((line) => line !== 'done');
            failures += told.length;
            expect(told.filter((line) => !/^failed STORE_(UNWRITABLE|PATH) /.test(line) || !line.includes(folder))).toEqual([]);
            expect(await heldIn(folder)).toEqual(scenario.after);
          }
        }
        if (call.startsWith('fsync')) expect(failures).toBeGreaterThan(0); // the others may not be called so often
      },
      longest,
    );
  });
} else {
  process.stderr.write(
    'strace is not to be had, or may not trace: no system call is made to fail, only our own file operations\n',
  );
}

/**
 * All faults of all operations. In the small size, of a complete scenario each error that each of its changes can meet, and of the rest, which
 * is what only looks, errors that last, and those of what has happened, as of every other scenario, some.
 */
async function faultsIn(scenario: Scenario, base: string): Promise<Fault[]> {
  const folder = freshCopy(base);
  await using storage = openStore(folder);
  const operations = await operationsOf(folder, scenario.begin(storage));
  const all = operations.flatMap(faultsAt);
  if (isLarge) return all;
  const changes = new Set(operations.filter((operation) => operation.changes).map(({ number }) => number));
  const isChosen = ({ at, lasts, when }: Fault) =>
    scenario.isComplete && changes.has(at) && lasts === 'once' && when === 'before';
  const rest = all.filter((fault) => !isChosen(fault));
  const stride = Math.ceil(rest.length / mostOfRest);
  return all.filter((fault) => isChosen(fault) || rest.indexOf(fault) % stride === 0);
}

/** What is not as promised when this goes wrong. */
async function faultsOf(scenario: Scenario, base: string, fault: Fault): Promise<string[]> {
  const folder = freshCopy(base);
  const wrong: string[] = [];
  const storage = openStore(folder);
  const act = scenario.begin(storage);
  const injected = inject(folder, fault);
  let failure: unknown;
  try {
    await act();
  } catch (error) {
    failure = error;
  }
  injected.gone();
  const hit = injected.hit();
  const say = (what: string) =>
    wrong.push(
      `${fault.code} ${fault.lasts} ${fault.when} ${fault.at} (${hit?.name} ${hit?.path.slice(folder.length)} ${hit?.to?.slice(folder.length) ?? ''}): ${what}`,
    );
  try {
    if (failure !== undefined) {
      if (!(failure instanceof MarqueError)) say(`it fails with ${String((failure as Error).stack)}`);
      else if (!/STORE_(UNWRITABLE|PATH)/.test(failure.code)) say(`it fails with ${failure.code}: ${failure.message}`);
      else if (!failure.message.includes(folder)) say(`it does not say where: ${failure.message}`);
    }
    const held = await heldIn(folder);
    const possible = failure === undefined ? [scenario.after] : [scenario.before, scenario.after];
    if (!possible.some((keys) => String(keys) === String(held))) say(`the store then holds ${held}`);
    if (failure !== undefined) await act();
    await storage.close();
    const inTheEnd = await heldIn(folder);
    if (String(inTheEnd) !== String(scenario.after)) say(`in the end the store holds ${inTheEnd}`);
  } catch (error) {
    say(`afterwards ${error instanceof MarqueError ? error.message : String((error as Error).stack)}`);
  }
  await storage.close().catch(() => undefined); // what matters of it has been said
  return wrong;
}

function canTrace(): boolean {
  const [command, ...args] = [...tracing, '-e', 'inject=fsync:error=EIO:when=1', 'true'];
  return spawnSync(command, args).status === 0;
}

const bases = new Map<string, string>();

/** The store before a scenario, made on first use. */
async function baseOf(scenario: Scenario): Promise<string> {
  const base = bases.get(scenario.name) ?? join(scratch, scenario.name);
  if (!bases.has(scenario.name)) await prepare(scenario, base);
  bases.set(scenario.name, base);
  return base;
}

let copies = 0;

/** In a folder of its own, in the place of the one before: a message that does not say where could not name it by chance. */
function freshCopy(base: string): string {
  rmSync(join(scratch, `copy-${copies}`), { recursive: true, force: true });
  const folder = join(scratch, `copy-${++copies}`);
  copyStore(base, folder);
  return folder;
}
