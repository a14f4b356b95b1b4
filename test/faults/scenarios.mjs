import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keysOf, workFlow } from './work.mjs';

/**
 * The changes to a store that are broken at each of their operations, small enough for that. Written for the package as it is given: its
 * sources in a test, what was built of them in a process that is killed.
 */
export function scenariosOf(marque) {
  /** Everything that a run of so many steps records is flushed at once, at its end. */
  const running = (label, count) => (storage) => {
    let flow = null;
    return async () => {
      if (flow !== null && hasBegun(flow)) return await storage.flush();
      flow = workFlow(marque, storage, label, count);
      return await flow.execute();
    };
  };
  const runs = async (storage, ...labels) => {
    for (const label of labels) await workFlow(marque, storage, label, 2).execute();
  };
  const [a, b, c] = [keysOf('a', 2), keysOf('b', 2), keysOf('c', 2)];

  return [
    {
      name: 'creation of a store',
      isComplete: false,
      touches: /scopes\/_delta_log\/0{20}\.json$/,
      before: [],
      after: a,
      prepare: async () => {},
      begin: running('a', 2),
    },
    {
      name: 'a flush',
      isComplete: true,
      touches: /scopes\/[^/]+\.parquet$/,
      before: a,
      after: [...a, ...b],
      prepare: (storage) => runs(storage, 'a'),
      begin: running('b', 2),
    },
    {
      name: 'compaction',
      isComplete: true,
      touches: /tags\/[^/]*merged[^/]*\.parquet$/,
      before: [...a, ...b, ...c],
      after: [...a, ...b, ...c],
      prepare: (storage) => runs(storage, 'a', 'b', 'c'),
      begin: (storage) => () => storage.compact(),
    },
    {
      name: 'deletion of a run',
      isComplete: false,
      touches: /-deleted-0-1\.[^/]+\.parquet$/,
      before: [...a, ...b, ...c],
      after: [...a, ...c],
      prepare: (storage) => runs(storage, 'a', 'b', 'c'),
      begin: (storage) => async () => {
        const [found] = await storage.sql`SELECT run FROM tags WHERE content = 'b-0'`;
        if (found !== undefined) await storage.deleteRuns(found.run);
      },
    },
    {
      name: 'vacuum',
      isComplete: false,
      touches: /artifacts\/[^/]+\.parquet$/,
      before: [...a, ...c],
      after: [...a, ...c],
      prepare: async (storage) => {
        await runs(storage, 'a', 'b', 'c');
        const [found] = await storage.sql`SELECT run FROM tags WHERE content = 'b-0'`;
        await storage.deleteRuns(found.run);
        await storage.compact();
      },
      begin: (storage) => () => storage.vacuum({ retention: 0 }),
    },
    {
      name: 'a checkpoint',
      isComplete: false,
      touches: /scopes\/_delta_log\/_last_checkpoint$/,
      before: a,
      after: [...a, ...b],
      prepare: async (storage, folder) => {
        await runs(storage, 'a');
        await fillLog(marque, folder, 99);
      },
      begin: running('b', 2),
    },
    {
      name: 'recovery of a spill',
      isComplete: false,
      touches: /\/spill\/[^/]+\.jsonl$/,
      before: [...a, ...b],
      after: [...a, ...b, ...c],
      prepare: async (storage, folder) => {
        await runs(storage, 'a');
        await storage.close();
        const [program, sources] = ['exits.mjs', '../../src/index.ts'].map((file) => new URL(file, import.meta.url));
        const args = ['--import', 'tsx', fileURLToPath(program), sources.href, folder, 'b', '2'];
        const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
        const isThere = existsSync(join(folder, 'spill')) && readdirSync(join(folder, 'spill')).length > 0;
        if (status !== 0 || !isThere) throw new Error(`no spill was left: ${stderr}`);
      },
      begin: running('c', 2),
    },
  ];
}

/** One flush for each run: a timer would make the operations differ from one execution to the next. */
export function openStore(marque, folder) {
  return new marque.ParquetStorage(folder, { threads: 1, flush: { ms: 600_000 } });
}

/** Commits scopes of another flow, and nothing else, until their log has a version. The next one but 99 gets a checkpoint. */
export async function fillLog(marque, folder, version) {
  for (let missing = version - lastVersion(folder); missing > 0; missing = version - lastVersion(folder)) {
    const storage = openStore(marque, folder);
    const flow = new marque.Flow('fill', storage, { logLevel: 'silent', capture: false });
    const step = marque.step('fill', () => (missing > 10 ? storage.flush() : undefined));
    // When it ends, a run of many flushes commits its last rows, and merges what it wrote: that is left room for.
    await flow.push(marque.repeat(step, missing > 10 ? Math.min(missing - 5, 60) : 1)).execute();
    await storage.close();
  }
}

/** The highest version in the log of the scopes. */
function lastVersion(folder) {
  const log = join(folder, 'scopes', '_delta_log');
  if (!existsSync(log)) return -1;
  return Math.max(-1, ...readdirSync(log).map((name) => Number(/^(\d{20})\.json$/.exec(name)?.[1] ?? -1)));
}

function hasBegun(flow) {
  try {
    return flow.run !== '';
  } catch {
    return false; // its claim had failed
  }
}
