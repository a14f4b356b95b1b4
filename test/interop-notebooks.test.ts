import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { tableFromIPC } from 'apache-arrow';
import { beforeAll, describe, expect, test } from 'vitest';
import { Flow, ParquetStorage, type StepFlow } from '../src/index.ts';
import { suiteFolder } from './folders.ts';
import { isLarge } from './size.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const [chdb, python, spark] = ['MARQUE_CHDB', 'MARQUE_PYTHON', 'MARQUE_SPARK'].map((name) => process.env[name] ?? '');

interface Block {
  /** The heading that it stands under. */
  readonly heading: string;
  readonly language: string;
  readonly code: string;
}

const blocks = blocksOf(readFileSync(new URL('../notebooks/README.md', import.meta.url), 'utf8'));

/** Where the blocks are run: a folder with a store in `history`, in which their packages are found. */
const place = suiteFolder();
/** How many rows the blocks find. */
const [scopes, settings] = [12, 4];

beforeAll(async () => {
  await using storage = new ParquetStorage(join(place, 'history'), { threads: 1 });
  const validate = (flow: StepFlow): void => {
    flow.tag('mean accuracy', 1 / flow.get(Number, 'neighbours'));
  };
  const flow = new Flow('knn', storage).tag('mean accuracy'); // a tag of the run
  for (let index = 0; index < scopes; index++) flow.push(validate, { neighbours: 1 + (index % settings) });
  await flow.execute();

  mkdirSync(join(place, 'node_modules'));
  const packages = ['apache-arrow', 'hyparquet', 'hyparquet-compressors'].map((name) => [name, root] as const);
  for (const [name, home] of [...packages, ['chdb', chdb as string] as const]) {
    symlinkSync(join(home, 'node_modules', name), join(place, 'node_modules', name));
  }
  await nodeRuns(blocks.find(({ code }) => code.includes('storage.export(')) as Block);
});

describe('a block of notebooks/README.md', () => {
  test('of TypeScript is a data loader that gives a stream of Arrow batches', async () => {
    const loader = blocks.find(({ heading, language }) => heading === 'Observable' && language === 'ts') as Block;
    expect(tableFromIPC(await nodeRuns(loader)).numRows).toBe(scopes + 1); // with the tag of the run
  });

  test('of JavaScript reads an export', async () => {
    const block = blocks.find(({ heading, language }) => heading === 'An export' && language === 'js') as Block;
    expect((await nodeRuns(block)).toString().trim()).toBe(String(scopes));
  });

  // Which readers are left out, and why, is what interop.test.ts says.
  if (chdb !== '')
    test('of ClickHouse counts scopes', async () => {
      const [block] = blocks.filter(({ heading }) => heading === 'ClickHouse') as [Block];
      expect((await nodeRuns(block)).toString()).toMatch(new RegExp(`validate.*ok.*\\b${scopes}\\b`));
    });

  if (python !== '')
    test('of Python finds all scopes, whatever it uses', async () => {
      const found = await pythonRuns(
        python as string,
        blocks.filter(({ language, heading }) => language === 'python' && heading !== 'Spark'),
      );
      expect(found).toEqual({
        DuckDB: [1, settings, null],
        Polars: [scopes, scopes, scopes],
        'pandas, pyarrow': [scopes, scopes],
        DataFusion: [scopes],
        'An export': [scopes, scopes, scopes, scopes],
        Observable: [null],
      });
    });

  if (spark !== '' && isLarge)
    test('of Spark finds all scopes', { timeout: 300_000 }, async () => {
      expect(
        await pythonRuns(
          spark as string,
          blocks.filter(({ heading }) => heading === 'Spark'),
        ),
      ).toEqual({ Spark: [scopes] });
    });
});

function blocksOf(markdown: string): Block[] {
  const found: Block[] = [];
  let heading = '';
  for (const [, title, language, code] of markdown.matchAll(/^#+ (.*)$|^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    else found.push({ heading, language: language as string, code: code as string });
  }
  return found;
}

/** What a block prints. */
async function nodeRuns({ language, code }: Block): Promise<Buffer> {
  const file = join(place, `block.m${language}`);
  writeFileSync(file, code);
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), file], {
    cwd: place,
    env: { ...process.env, TSX_TSCONFIG_PATH: join(root, 'tsconfig.json') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return await buffer(child.stdout);
}

/** How many rows each block finds, by heading. */
async function pythonRuns(command: string, run: readonly Block[]): Promise<Record<string, (number | null)[]>> {
  const script = fileURLToPath(new URL('interop/blocks.py', import.meta.url));
  const child = spawn(command, [script], { cwd: place, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(run.map(({ code }) => code.replaceAll('/mnt/results/history', join(place, 'history')))));
  const rows = JSON.parse(await text(child.stdout)) as (number | null)[];
  const found: Record<string, (number | null)[]> = {};
  for (const [index, { heading }] of run.entries()) (found[heading] ??= []).push(rows[index] as number | null);
  return found;
}
