import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DuckDBStorage, Flow, JsonStorage, MemoryStorage, ParquetStorage, step, type Storage, type Tag } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

const storages: Record<string, (folder: string) => Storage> = {
  MemoryStorage: () => new MemoryStorage(),
  JsonStorage: (folder) => new JsonStorage(folder),
  ParquetStorage: (folder) => new ParquetStorage(folder),
  DuckDBStorage: (folder) => new DuckDBStorage(join(folder, 'history.duckdb')),
};

/** What a search found: the tag of each scope, or the words of its failure. */
type Outcome = readonly string[] | string;

/** One run after another, each with one scope that has one tag. */
async function recorded(storage: Storage, tags: readonly string[]): Promise<void> {
  for (const content of tags) {
    const work = step('work', (flow) => flow.tag(content));
    await new Flow('test', storage, { logLevel: 'silent' }).push(work).execute();
  }
}

/** Accepts `good`, throws on `bad`. */
function isGood({ content }: Tag): boolean {
  if (content === 'bad') throw new Error('a bad tag');
  return content === 'good';
}

async function outcome(storage: Storage, runs: 'latest' | 'previous' | 'all'): Promise<Outcome> {
  try {
    const found = await storage.search('*', { where: isGood, runs });
    const count = await storage.search('*', { where: isGood, runs }).count();
    expect(count).toBe(found.length);
    return found.map(({ run }) => run);
  } catch (error) {
    expect(error).toMatchObject({
      code: 'WHERE_INVALID',
      message: expect.stringMatching(/"bad" of scope "test\.work\..*a bad tag/),
    });
    return 'fails';
  }
}

describe.each(Object.entries(storages))('a where that throws on a tag in the history of %s', (_, make) => {
  // Newest run first; what is found is a place in that list. Windows of runs grow from one: eight, sixty-four.
  const other = (count: number) => Array.from({ length: count }, () => 'other');
  test.for<[string, string[], number | null, number | null]>([
    ['right before the newest run, with a match', ['good', 'bad', 'good'], 0, null],
    ['before the run with a match', ['other', 'good', 'bad', 'good'], 1, null],
    ['in the newest run', ['bad', 'good', 'good'], null, null],
    ['right before both runs with a match', ['good', 'good', 'bad'], 0, 1],
    ['between them', ['good', 'bad', 'good'], 0, null],
    ['far before them', ['good', ...other(2), 'good', ...other(4), 'bad'], 0, 3],
    ['among eight runs, before the match', [...other(4), 'good', ...other(2), 'bad'], 4, null],
    ['among eight runs, after the match', [...other(4), 'bad', ...other(2), 'good'], null, null],
    ['before all matches there are', [...other(3), 'bad'], null, null],
  ])('%s', async ([, newestFirst, latest, previous]) => {
    await using storage = make(temporaryFolder());
    await recorded(storage, newestFirst.toReversed());
    const runs = (await storage.search('*', { runs: 'all' })).map(({ run }) => run);
    const found = (place: number | null): Outcome => (place === null ? 'fails' : [runs[place] as string]);
    expect({ latest: await outcome(storage, 'latest'), previous: await outcome(storage, 'previous') }).toEqual({
      latest: found(latest),
      previous: found(previous),
    });
    expect(await outcome(storage, 'all')).toBe('fails');
  });

  test('is asked about no tag of a run before the one that is found', async () => {
    await using storage = make(temporaryFolder());
    await recorded(storage, ['old', 'older', 'new']);
    const asked = new Set<string>();
    expect(await storage.search('*', { where: ({ content }) => asked.add(content).size > 0 })).toHaveLength(1);
    expect([...asked]).toEqual(['new']);
  });
});
