import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Flow, ParquetStorage, repeat } from '../src/index.ts';
import { tableNames } from '../src/schema.ts';
import { suiteFolder } from './folders.ts';
import { expectedOf, relations, type Values, valuesOf } from './interop/expected.ts';
import { measure, measured, recordCommits, recordRuns } from './interop/history.ts';
import { digest } from './interop/reading.ts';
import { closeReaders, missingReaders, storeReaders } from './interop/readers.ts';
import { isLarge } from './size.ts';

const folder = join(suiteFolder(), 'history');
const storage = new ParquetStorage(folder, { threads: 1 });
/** How often `measure` has run: three times in each of three runs, and five times in the other process. */
const measures = 3 * 3 + 5;
/** Spark takes its time over each of many files. */
const timeout = isLarge ? 900_000 : 60_000;
let writer: ChildProcess | null = null;
let often: string;

afterAll(async () => {
  writer?.kill('SIGKILL');
  await storage.close();
  await closeReaders();
});

/** [state, how the store gets there from the state before] */
const states: readonly [string, () => Promise<void>][] = [
  [
    'while another process is writing it',
    async () => {
      await recordRuns(storage);
      writer = spawn(process.execPath, ['--import', 'tsx', writerScript, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
      await once(writer.stdout as NodeJS.ReadableStream, 'data');
      await until(async () => (await count(`raw.tags WHERE content = 'under way'`)) === 7);
      expect(await count(`tags WHERE content = 'under way'`)).toBe(0); // their scope has not ended
    },
  ],
  [
    'after more than a hundred commits, with a checkpoint',
    async () => {
      writer?.stdin?.end();
      await once(writer as ChildProcess, 'close');
      often = await recordCommits(storage, 110);
      for (const table of ['scopes', 'tags', 'logs', 'artifacts']) {
        expect(
          readdirSync(join(folder, table, '_delta_log')).filter((name) => name.includes('.checkpoint.')).length,
        ).toBeGreaterThan(0);
      }
    },
  ],
  ['after it was compacted', async () => void (await storage.compact())],
  [
    'after a run was deleted',
    async () => {
      await storage.deleteRuns(often);
      expect(await count(`scopes WHERE run = '${often}'`)).toBe(0);
    },
  ],
  ['after a vacuum', async () => expect((await storage.vacuum({ retention: 0 })).files).toBeGreaterThan(0)],
];

describe.each(states)('a store, %s,', (_state, reach) => {
  const ours = new Map<string, Values>();
  beforeAll(async () => {
    await reach();
    for (const [relation, columns] of Object.entries(relations)) ours.set(relation, await valuesOf(storage, relation, columns));
  }, 120_000);

  test.each(storeReaders)('is to $name ($source) what it is to this library', { timeout }, async ({ source, loses, read }) => {
    for (const [relation, columns] of Object.entries(relations)) {
      if (source === 'log' && !relation.startsWith('raw.')) continue;
      const path = source === 'log' ? join(folder, relation.replace('raw.', '')) : folder;
      const found = digest(await read(path, columns, relation));
      expect(found, relation).toEqual(digest(expectedOf(ours.get(relation) as Values, columns, loses)));
    }
  });

  test('holds what was recorded', () => {
    const { step, content, value } = ours.get('tags') as Values;
    const found = step?.flatMap((name, row) => (name === 'measure' ? [[content?.[row], value?.[row]]] : [])).map(String);
    const once = measured.map((tag) => String([tag.content, tag.value]));
    expect(found?.sort()).toEqual(
      Array.from({ length: measures }, () => once)
        .flat()
        .sort(),
    );
    const empty = tableNames.filter((table) => Object.values(ours.get(`raw.${table}`) as Values)[0]?.length === 0);
    expect(empty).toEqual(['edges']); // nothing is recorded there yet
  });
});

describe('a store in a folder called', () => {
  const parent = suiteFolder();

  test.each(['a b', 'größe 漢', '100%', '%20', 'a#b', 'a?b', "it's", 'x[1]', '{a,b}', 'run=5'])(
    '%s is read exactly, or refused, by every reader',
    { timeout },
    async (name) => {
      const folder = join(parent, name);
      await using storage = new ParquetStorage(folder, { threads: 1 });
      await new Flow('named', storage, { logLevel: 'silent' }).push(repeat(measure, 3)).execute();
      const refused: string[] = [];
      for (const { name: reader, source, read } of storeReaders) {
        const path = source === 'log' ? join(folder, 'scopes') : folder;
        const found = await read(path, { sid: 'bigint' }, 'scopes').catch(() => refused.push(reader));
        if (typeof found === 'object') expect(digest(found).rows, reader).toBe(3);
      }
      // Some take the path for a URL. Plain DuckDB does not.
      expect(refused.filter((reader) => reader.startsWith('DuckDB'))).toEqual([]);
      if (name === 'run=5') expect(refused).toEqual([]);
    },
  );
});

test.for(missingReaders)('$name, which is not here', ({ why }, { skip }) => skip(why));

const writerScript = fileURLToPath(new URL('programs/interop-writer.ts', import.meta.url));

async function count(from: string): Promise<number> {
  const { sid } = await valuesOf(storage, from, { sid: 'bigint' });
  return sid?.length ?? 0;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}
