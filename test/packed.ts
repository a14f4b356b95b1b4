import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import manifest from '../package.json' with { type: 'json' };

/** An empty project that has installed the tarball which `npm publish` would upload. */
export interface Consumer {
  /** Its folder. */
  readonly folder: string;
  /** The tarball's files, relative to the package, sorted. */
  readonly files: readonly string[];
  /** Runs a command there; what it prints on standard output. What it prints on standard error becomes part of the error. */
  run(command: string, ...args: readonly string[]): string;
  write(file: string, text: string): void;
  remove(): void;
}

/** What a package is made of. Building happens in a copy, so that nobody's dist/ changes under a running test. */
const ingredients = [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'src',
  'sql',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
];

/** The compiler options of a strict consumer. It checks our declarations too, and refuses syntax that Node cannot strip. */
const strict = {
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  skipLibCheck: false,
};

export function installPacked(): Consumer {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const temporary = mkdtempSync(join(tmpdir(), 'marque-package-'));
  const source = join(temporary, 'source');
  const folder = join(temporary, 'consumer');
  mkdirSync(folder);
  for (const name of ingredients) cpSync(join(root, name), join(source, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(source, 'node_modules'), 'junction');

  const packed = JSON.parse(run(source, 'npm', ['pack', '--json', '--pack-destination', temporary])) as
    | readonly Packed[]
    | Readonly<Record<string, Packed>>; // npm 12 answers by package name
  const { filename, files } = Object.values(packed)[0] as Packed;

  const write = (file: string, text: string) => writeFileSync(join(folder, file), text);
  write('package.json', JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  write('tsconfig.json', JSON.stringify({ compilerOptions: strict }));
  const tools = (['typescript', '@types/node'] as const).map((name) => `${name}@${manifest.devDependencies[name]}`);
  run(folder, 'npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', join(temporary, filename), ...tools]);

  return {
    folder,
    files: files.map(({ path }) => path).sort(),
    run: (command, ...args) => run(folder, command, args),
    write,
    remove: () => rmSync(temporary, { recursive: true, force: true }),
  };
}

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

function run(cwd: string, command: string, args: readonly string[]): string {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'))); // of the npm that runs us
  try {
    return execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')} failed in ${cwd}:\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}

/** The README's first TypeScript block, and what it prints: the first `text` block after it. */
export function readmeExample(): { readonly code: string; readonly output: string } {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, code, output] = /^```ts\n(.*?)^```$.*?^```text\n(.*?)^```$/ms.exec(readme) ?? [];
  if (code === undefined || output === undefined) throw new Error('README.md has no ```ts block that a ```text block follows');
  return { code, output };
}
