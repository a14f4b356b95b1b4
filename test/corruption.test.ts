import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as marque from '../src/index.ts';
import { buildInto } from './faults/built.ts';
import { drawDamage } from './faults/damage.ts';
import { start } from './faults/program.ts';
import { entriesBelow } from './faults/recording.ts';
import { scratchFolder } from './faults/scratch.ts';
import { fillLog, openStore } from './faults/store.ts';
import { heldBy, workFlow } from './faults/work.mjs';
import { isLarge } from './size.ts';

const scratch = scratchFolder();
const times = isLarge ? 10 : 1;

/** Files of a Parquet store by what they are, and how many of them are damaged. */
const parts: readonly (readonly [part: string, pattern: RegExp, count: number])[] = [
  ['segments', /^\w+\/[^/]+\.parquet$/, 90],
  ['log entries', /_delta_log\/\d{20}\.json$/, 60],
  ['checkpoints', /_delta_log\/.*\.checkpoint.*\.parquet$/, 30],
  ['_last_checkpoint', /_last_checkpoint$/, 20],
];

describe('a damaged Parquet store', () => {
  const base = join(scratch, 'history');

  test('gives the right answer or says which file is damaged', async () => {
    await fillLog(marque, base, 98);
    {
      await using storage = openStore(base);
      for (const label of ['a', 'b', 'c']) await workFlow(marque, storage, label, 3).execute();
      await storage.compact();
      await storage.vacuum({ retention: 0 }); // what nobody reads any more would be no test
      for (const label of ['d', 'e', 'f']) await workFlow(marque, storage, label, 3).execute();
    }
    const right = await answers(openStore(base));
    const files = filesOf(base);
    const random = new marque.Random(3);
    const [found, wrong] = [[] as string[], [] as string[]];
    for (const [part, pattern, count] of parts) {
      const candidates = files.filter((file) => pattern.test(file));
      expect(candidates.length, part).toBeGreaterThan(0);
      for (let index = 0; index < count * times; index++) {
        const file = random.choice(candidates);
        const damage = drawDamage(() => random.number(), readFileSync(join(base, file)).length);
        const folder = join(scratch, `damaged-${part}-${index}`);
        linkAll(base, folder, files);
        replace(join(folder, file), damage.apply(readFileSync(join(base, file))));
        const what = await verdict(() => openStore(folder), right, basename(file));
        if (what === 'found') found.push(part);
        else if (what !== 'harmless') wrong.push(`${file}, ${damage.words}: ${what}`);
        rmSync(folder, { recursive: true });
      }
    }
    expect(wrong).toEqual([]);
    for (const part of ['segments', 'log entries']) expect(found, part).toContain(part);
  }, 3_600_000);
});

describe('a damaged DuckDB file', () => {
  test('gives the right answer or says that it is damaged', async () => {
    const entry = buildInto(scratch);
    const base = join(scratch, 'base', 'history.duckdb');
    mkdirSync(dirname(base));
    const program = start('idle-duckdb.mjs', [entry, base, '8']);
    await program.until(1);
    program.process.kill('SIGKILL');
    expect(await program.ended).toMatchObject({ errors: '', signal: 'SIGKILL' });
    const files = filesOf(dirname(base));
    expect(files).toEqual(expect.arrayContaining([basename(base), `${basename(base)}.wal`]));

    const copy = (name: string, file: string | null, damage: (content: Buffer) => Buffer): string => {
      const folder = join(scratch, name);
      for (const one of files) {
        mkdirSync(dirname(join(folder, one)), { recursive: true });
        const content = readFileSync(join(dirname(base), one)); // DuckDB writes in place: no links here
        writeFileSync(join(folder, one), one === file ? damage(content) : content);
      }
      return join(folder, basename(base));
    };
    const open = (path: string) => new marque.DuckDBStorage(path, { threads: 1 });
    const right = await answers(open(copy('right', null, (content) => content)));
    const random = new marque.Random(5);
    const [found, wrong] = [[] as string[], [] as string[]];
    for (const [file, count] of [
      [basename(base), 50],
      [`${basename(base)}.wal`, 50],
    ] as const) {
      for (let index = 0; index < count * times; index++) {
        const damage = drawDamage(() => random.number(), readFileSync(join(dirname(base), file)).length);
        const path = copy(`damaged-${file}-${index}`, file, (content) => damage.apply(content));
        const what = await verdict(() => open(path), right, basename(base));
        if (what === 'found') found.push(file);
        else if (what !== 'harmless') wrong.push(`${file}, ${damage.words}: ${what}`);
        rmSync(dirname(path), { recursive: true });
      }
    }
    expect(wrong).toEqual([]);
    expect(new Set(found).size).toBe(2);
  }, 3_600_000);
});

/** The answers of a store to three questions, as one text. Rejects with the first that fails. */
async function answers(storage: marque.ParquetStorage | marque.DuckDBStorage): Promise<string> {
  await using open = storage;
  const keys = await heldBy(open);
  const runs = await open.sql`SELECT slug, state, scopes FROM runs ORDER BY run_number`;
  const means = await open.sql`SELECT run, count(*) AS n, avg(value) AS mean FROM tags GROUP BY run ORDER BY run`;
  return JSON.stringify([keys, runs, means]);
}

/** Whether damage was `found` and reported with the file, was `harmless`, or else what is wrong. */
async function verdict(
  open: () => marque.ParquetStorage | marque.DuckDBStorage,
  right: string,
  file: string,
): Promise<'found' | 'harmless' | (string & {})> {
  try {
    const given = await answers(open());
    return given === right ? 'harmless' : `the answer is ${given.slice(0, 2_000)}`;
  } catch (error) {
    if (!(error instanceof marque.MarqueError)) return `it fails with ${String(error)}`;
    if (!['STORE_DAMAGED', 'STORE_FORMAT', 'STORE_PATH'].includes(error.code))
      return `it fails with ${error.code}: ${error.message}`;
    return error.message.includes(file) ? 'found' : `it does not name the file: ${error.message}`;
  }
}

function filesOf(folder: string): string[] {
  return entriesBelow(folder).flatMap(([path, isFile]) => (isFile ? [relative(folder, path)] : []));
}

/** A store of links to the files of another: whatever is not damaged is never written again. */
function linkAll(from: string, to: string, files: readonly string[]): void {
  for (const file of files) {
    mkdirSync(dirname(join(to, file)), { recursive: true });
    linkSync(join(from, file), join(to, file));
  }
}

function replace(path: string, content: Buffer): void {
  rmSync(path);
  writeFileSync(path, content);
}
