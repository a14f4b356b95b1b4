import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { type Consumer, installPacked, readmeExample } from './packed.ts';

/** What a program of a user looks like to the type checker: every kind of export once. */
const program = `
import { Flow, MarqueError, MemoryStorage, Random, step, type Scope, type StepFlow, type Tag } from 'marque';

const train = step('train', { lr: Number, random: Random }, (flow, { lr, random }) => flow.tag('loss', lr * random.number()));
function report(flow: StepFlow) {
  const [lr, again] = flow.get(Number, ['lr', 'lr']);
  flow.log(\`\${lr.toFixed(1)} \${again.toFixed(1)}\`);
}

// @ts-expect-error nobody has put lr and random
if (process.argv.length > 9) new Flow('incomplete').push(train);

await using storage = new MemoryStorage();
const last: Scope | undefined = await new Flow('typed', storage).put({ lr: 0.1, random: new Random(1) }).push([train, report]).execute();
const tags: readonly Tag[] = await storage.search('*.train.*').then((scopes) => scopes.flatMap((scope) => scope.tags));
if (last instanceof MarqueError) throw last;
console.log(last?.step, tags.map((tag) => tag.content).join());
`;

let consumer: Consumer;
beforeAll(() => {
  consumer = installPacked();
}, 180_000);
afterAll(() => consumer?.remove());

test('the tarball holds the code, the SQL and four documents', () => {
  const documents = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
  expect(consumer.files.filter((file) => !/^dist\/.+\.(js|d\.ts)$|^sql\/.+\.sql$/.test(file))).toEqual(documents);
  const sql = readdirSync(new URL('../sql', import.meta.url), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.sql'),
  );
  expect(consumer.files.filter((file) => file.startsWith('sql/'))).toEqual(sql.map((file) => `sql/${file}`).sort());
});

test("the README's example, compiled and run from the tarball, prints what the README says", () => {
  const { code, output } = readmeExample();
  consumer.write('example.ts', code);
  consumer.run('npx', '--no', '--', 'tsc');
  const printed = consumer.run(process.execPath, 'example.js');
  // The README shows one run's slug; every run draws another.
  const [slug] = readdirSync(join(consumer.folder, 'history', '_runs')).flatMap(
    (file) => /^([a-z]+-[a-z]+)\.json$/.exec(file)?.[1] ?? [],
  );
  expect(printed.replaceAll(slug as string, 'brave-otters')).toBe(output);
});

test('the SQL files are found from the tarball', () => {
  expect(existsSync(join(consumer.folder, 'history', 'open.sql'))).toBe(true); // written by the example, from a template of the package
});

test('a strict TypeScript program compiles against the declarations and runs', () => {
  consumer.write('program.ts', program);
  consumer.run('npx', '--no', '--', 'tsc');
  expect(consumer.run(process.execPath, 'program.js')).toBe('report loss\n');
});

test('npx marque --version prints the version of the package', () => {
  expect(consumer.run('npx', '--no', '--', 'marque', '--version').trim()).toBe(manifest.version);
});
