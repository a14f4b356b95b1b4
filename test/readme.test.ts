import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

test('the README has the table of readers and types that the tests have measured', () => {
  const [, table] = /<!-- readers: begin -->\n([^]*)<!-- readers: end -->/.exec(read('../README.md')) ?? [];
  expect(table?.trim()).toBe(read('interop/table.md').trim());
});

/** Two runs of a sweep whose second step searches, and the names that the blocks use. */
const prelude = `
import { Flow, ParquetStorage, type StepFlow } from 'marque';

function train(flow: StepFlow) {
  const lr = flow.get(Number, 'lr');
  flow.tag('loss', lr * lr);
  flow.tag('a + b');
  flow.keep('model', { lr });
}
async function inspect(flow: StepFlow) {
  for await (const scope of flow.search(train)) flow.log(scope.recall('model'));
}
const storage = new ParquetStorage('history');
const slugs: string[] = [];
for (const [index, lrs] of [[0.1, 0.2], [0.01, 0.1, 0.1]].entries()) {
  const flow = new Flow('sweep', storage, { progress: false, logLevel: 'error' });
  for (const lr of lrs) flow.push(train, { lr, model: { layers: index + 2 } });
  await flow.push(inspect).execute();
  slugs.push(flow.run);
}
const [previous, run] = slugs as [string, string];
const scope = (await storage.search(inspect).first())!;
`;

const root = fileURLToPath(new URL('..', import.meta.url));

test.each(['Searching', 'SQL', 'Analytics'])('the TypeScript under "%s" in the README runs as it stands', async (title) => {
  const section = read('../README.md').split(`\n## ${title}\n`)[1]?.split('\n## ')[0] as string;
  const blocks = Array.from(section.matchAll(/```ts\n([^]*?)```/g), ([, block]) => block as string);
  expect(blocks.length).toBeGreaterThan(0);
  const folder = await mkdtemp(join(tmpdir(), 'marque-readme-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'blocks.mts'), `${prelude}\n${blocks.join('\n')}\nawait storage.close();\nconsole.log('done');\n`);
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), join(folder, 'blocks.mts')],
    { cwd: folder, env: { ...process.env, TSX_TSCONFIG_PATH: join(root, 'tsconfig.json') } },
  );
  expect(stdout).toMatch(/\ndone\n$/);
  expect(stderr).toBe('');
});
