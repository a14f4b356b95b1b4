import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hostname } from 'node:os';
import { promisify } from 'node:util';

/** Where and from what a run was started; recorded once, when it starts. */
export interface RunOrigin {
  readonly host: string;
  readonly pid: number;
  readonly cwd: string;
  readonly argv: readonly string[];
  readonly node: string;
  readonly platform: string;
  /** Versions of packages that decide what is recorded. */
  readonly versions: Readonly<Record<string, string>>;
  /** The commit of the working folder, or null where it is no git repository or git is not there. */
  readonly git: { readonly commit: string; readonly dirty: boolean } | null;
}

/** Git is asked for at most this long: a run must not hang on a network mount. Milliseconds. */
const gitPatience = 2_000;

/** The packages that decide what a store holds. */
const recorded = ['@duckdb/node-api', 'apache-arrow', 'superjson'];

let git: Promise<RunOrigin['git']> | null = null;
let gitFolder = '';

/** Describes this process. Asks git once per working folder. */
export async function runOrigin(): Promise<RunOrigin> {
  const cwd = process.cwd();
  if (git === null || gitFolder !== cwd) {
    gitFolder = cwd;
    git = askGit(cwd);
  }
  return {
    host: hostname(),
    pid: process.pid,
    cwd,
    argv: process.argv,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    versions: { marque: version(), ...Object.fromEntries(recorded.map((name) => [name, versionOf(name)])) },
    git: await git,
  };
}

/** This package's version. */
export function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The installed version of a dependency, which need not be the one that this package was tested with. */
function versionOf(name: string): string {
  const entry = createRequire(import.meta.url).resolve(name);
  const folder = entry.slice(0, entry.lastIndexOf(name) + name.length);
  return (JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as { version: string }).version;
}

async function askGit(cwd: string): Promise<RunOrigin['git']> {
  const ask = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)('git', args, { cwd, timeout: gitPatience, maxBuffer: 64 * 2 ** 20 });
    return stdout.trim();
  };
  try {
    const [commit, changes] = await Promise.all([ask('rev-parse', 'HEAD'), ask('status', '--porcelain')]);
    return { commit, dirty: changes !== '' };
  } catch {
    return null; // no git, no repository, no commit yet, or too slow: a run is as good without
  }
}
