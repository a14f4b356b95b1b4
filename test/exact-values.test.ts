import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DuckDBStorage, Flow, JsonStorage, ParquetStorage, type Storage, step } from '../src/index.ts';
import { temporaryFolder } from './folders.ts';

const storages: readonly (readonly [name: string, make: () => () => Storage])[] = [
  ['ParquetStorage', reopened((folder) => new ParquetStorage(folder, { threads: 2 }))],
  ['DuckDBStorage', reopened((folder) => new DuckDBStorage(`${folder}.duckdb`, { threads: 2 }))],
  ['JsonStorage', reopened((folder) => new JsonStorage(folder))],
];

/** Gives, for a new place, what opens a storage there. */
function reopened(open: (folder: string) => Storage): () => () => Storage {
  return () => {
    const folder = join(temporaryFolder(), 'history');
    return () => open(folder);
  };
}

const odd = [
  `it's "quoted"; DROP TABLE scopes; --`,
  'lines\nand\r\nreturns\u2028',
  'nul \0 within\0',
  '😀 astral 𝕏, combined e\u0301, right-to-left \u202Eabc',
  '\uFEFFwith a byte order mark\uFEFF',
  ' spaces ',
  '\u0001\u001f\u007f\u0085\uffff',
  '%s {} $1 ?',
];

describe.each(storages)('%s gives back exactly', (_name, make) => {
  test('texts of every kind, in tags, logs, artifacts, errors and params, under names of 255 bytes', async () => {
    const open = make();
    const name = 'ä'.repeat(127) + 'b';
    const storage = open();
    const flow = new Flow(name, storage, { logLevel: 'silent' }).push(
      step(name, (handle) => {
        for (const [index, text] of odd.entries()) {
          handle.tag(text, index);
          handle.log(text);
          handle.keep(text, { [text]: [text] });
        }
        throw new Error(odd.join('|'));
      }),
      { params: odd },
    );
    await flow.execute();
    await storage.close();
    await using reader = open();
    const scope = await reader.search('*', { runs: 'all' }).first();
    expect(scope?.id).toBe(`${name}.${name}.${flow.run}.0-0`);
    expect(scope?.tags).toEqual(odd.map((content, value) => ({ content, value })));
    expect(scope?.logs.map(({ message }) => message).slice(0, odd.length)).toEqual(odd);
    for (const text of odd) expect(scope?.recall(text)).toEqual({ [text]: [text] });
    expect(scope?.error?.message).toBe(odd.join('|'));
    expect(scope?.params).toEqual({ params: odd });
  });
});

// One JSON file a scope makes these possible, but slow.
describe.each(storages.filter(([name]) => name !== 'JsonStorage'))('%s gives back exactly', (_name, make) => {
  test('a text of 100 MB in a tag, a log and an artifact', async () => {
    const open = make();
    const text = 'ü23456789'.repeat(10_000_000);
    const storage = open();
    await new Flow('large', storage, { logLevel: 'silent' })
      .push(
        step('large', (handle) => {
          handle.tag(text, 1);
          handle.log(text);
          handle.keep('text', text);
        }),
      )
      .execute();
    await storage.close();
    await using reader = open();
    const scope = await reader.search('*').first();
    // Not toBe: where they differ, it would print them.
    expect([scope?.tags[0]?.content === text, scope?.logs[0]?.message === text, scope?.recall('text') === text]).toEqual([
      true,
      true,
      true,
    ]);
  }, 120_000);

  test('a million tags on one scope', async () => {
    const open = make();
    const storage = open();
    await new Flow('many', storage)
      .push(
        step('many', (handle) => {
          for (let index = 0; index < 1_000_000; index++) handle.tag('loss', index);
        }),
      )
      .execute();
    await storage.close();
    await using reader = open();
    const scope = await reader.search('*').first();
    expect(scope?.tags).toHaveLength(1_000_000);
    expect(scope?.tags.every(({ content, value }, index) => content === 'loss' && value === index)).toBe(true);
  }, 120_000);
});
