import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import * as marque from '../src/index.ts';
import { CrashModel, type CrashState } from './faults/crash-model.ts';
import { entriesBelow, type FileEvent, record } from './faults/recording.ts';
import { scratchFolder } from './faults/scratch.ts';
import { copyStore, openStore, prepare, type Scenario, scenarios } from './faults/store.ts';
import { heldBy, workFlow } from './faults/work.mjs';
import { isLarge } from './size.ts';

const scratch = scratchFolder();
/** States of each scenario. */
const wanted = isLarge ? 2_000 : 76;
/** In one of so many states a new run is made as well; what is found is looked at in all. */
const nextRunIn = isLarge ? 1 : 4;
let checked = 0;

afterAll(() => process.stderr.write(`crash states: ${checked} different ones were opened\n`));

describe.each(scenarios)('power is lost during $name', (scenario) => {
  test('the store opens by itself with what was acknowledged, or one change more, and takes the next run', async () => {
    const random = new marque.Random(7).fork(scenario.name);
    const folder = join(scratch, scenario.name, 'history');
    mkdirSync(dirname(folder));
    const base = `${folder}-before`;
    const { files, events } = await recorded(scenario, base, folder);
    expect(events.some((event) => 'path' in event && scenario.touches.test('to' in event ? event.to : event.path))).toBe(true);
    const expected = [scenario.before, scenario.after, [...scenario.after, 'last-0']].map((keys) => [...keys].sort());

    const states = new Map<string, CrashState>();
    for (let round = 0; round < 40 && states.size < wanted; round++) {
      const model = new CrashModel(dirname(folder), files);
      const chosen = Math.min(1, (wanted - states.size) / events.length);
      for (const event of events) {
        model.apply(event);
        const state = random.number() < chosen ? model.crash(() => random.number()) : null;
        if (state !== null) states.set(fingerprint(state), state);
      }
    }
    const wrong: string[] = [];
    let index = 0;
    for (const state of states.values()) {
      const what = await fault(state, expected, folder, index++ % nextRunIn === 0).catch((error: unknown) => String(error));
      if (what !== null) wrong.push(`${describeEvent(events, state, folder)}: ${what}`);
    }
    checked += states.size;
    expect(states.size).toBeGreaterThan(wanted * 0.8);
    expect(wrong).toEqual([]);
  }, 3_600_000);
});

/** What a scenario does to the files, followed by one more run, so that what was acknowledged has something on top. */
async function recorded(
  scenario: Scenario,
  base: string,
  folder: string,
): Promise<{ files: Map<string, Buffer | null>; events: readonly FileEvent[] }> {
  await prepare(scenario, base);
  copyStore(base, folder);
  const files = new Map<string, Buffer | null>();
  for (const [path, isFile] of entriesBelow(dirname(folder))) {
    if (path === folder || path.startsWith(`${folder}/`)) files.set(path, isFile ? readFileSync(path) : null);
  }
  await using storage = openStore(folder);
  const act = scenario.begin(storage);
  const recording = record(dirname(folder));
  try {
    await act();
    recording.acknowledge(1);
    await workFlow(marque, storage, 'last', 1).execute();
    recording.acknowledge(2);
    await storage.close(); // waits for what goes on in the background
  } finally {
    recording.stop();
  }
  return { files, events: recording.events };
}

/** What is wrong with a state once it is on a disk; null if nothing. */
async function fault(state: CrashState, expected: readonly string[][], folder: string, next: boolean): Promise<string | null> {
  rmSync(folder, { recursive: true, force: true });
  for (const [path, content] of state.entries) {
    if (content === null) mkdirSync(path, { recursive: true });
    else put(path, content);
  }
  await using storage = openStore(folder);
  const held = await heldBy(storage);
  const possible = expected.slice(state.acknowledged, state.acknowledged + 2);
  if (!possible.some((keys) => String(keys) === String(held))) {
    return `it holds ${held} where ${possible.map((keys) => `[${keys}]`).join(' or ')} was to be`;
  }
  if (!next) return null;
  const { problems } = await storage.verify().catch(noStoreYet);
  if (problems.length > 0) return `verify finds ${JSON.stringify(problems)}`;
  await workFlow(marque, storage, 'next', 1).execute();
  const then = await heldBy(storage);
  return String(then) === String([...held, 'next-0'].sort()) ? null : `after the next run it holds ${then}, before it ${held}`;
}

function noStoreYet(error: unknown): { readonly problems: readonly object[] } {
  if (error instanceof marque.MarqueError && error.code === 'STORE_PATH') return { problems: [] };
  throw error;
}

/** Contents by what they are: most of the files of a state are those of others, and a link to them is enough. */
const pool = new Map<Buffer, string>();

function put(path: string, content: Buffer): void {
  let pooled = pool.get(content);
  if (pooled === undefined) {
    pooled = join(scratch, `content-${pool.size}`);
    writeFileSync(pooled, content);
    pool.set(content, pooled);
  }
  linkSync(pooled, path);
}

function fingerprint({ acknowledged, entries }: CrashState): string {
  const hash = createHash('sha256').update(String(acknowledged));
  for (const [path, content] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`\0${path}\0`).update(content ?? '');
  return hash.digest('hex');
}

function describeEvent(events: readonly FileEvent[], { prefix, entries }: CrashState, folder: string): string {
  const shown = (event: FileEvent | undefined) => {
    if (event === undefined) return 'the end';
    const { kind, path, to } = event as { kind: string; path?: string; to?: string };
    return [kind, path?.slice(folder.length), to?.slice(folder.length)].filter((part) => part !== undefined).join(' ');
  };
  return `after ${prefix} of ${events.length} (${shown(events[prefix - 1])}), with ${entries.size} files`;
}
