import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import { Anchor } from './anchor.ts';
import { hasCode, makeFolder, putIfAbsent } from './files.ts';
import { type FileContent, readContent } from './json-layout.ts';
import { inLanes } from './lanes.ts';
import { decodeRun, decodeScope, type RunRows } from './scope-file.ts';
import type { ScopeRows } from './scope-rows.ts';

const formatVersion = 1;
const marker = { format: 'json', formatVersion };

/** A run's folder at one moment. */
export interface RunFolder {
  readonly path: string;
  readonly run: RunRows;
  /** Of the scopes that have a file. */
  readonly ordinals: readonly number[];
}

/**
 * The files of a JSON store: `marque.json`, which makes the folder a store, and `<flow>/<run>/<ordinal>.json`, where `0.json` is
 * the run itself. Hidden files are on their way to be written, or somebody else's, and not looked at.
 */
export class JsonFolder {
  readonly path: string;
  readonly #runs = new Map<string, { readonly stamp: string; readonly run: RunRows }>();
  readonly #anchor: Anchor;
  #isStore = false;

  constructor(path: string) {
    this.path = path;
    this.#anchor = new Anchor(this.#markerPath, path);
  }

  /**
   * Makes sure that this is a store, and the one that it was before: a missing or empty folder becomes one if `create` says so.
   *
   * @throws MarqueError STORE_PATH, STORE_FORMAT, STORE_DAMAGED, STORE_UNWRITABLE.
   */
  async open(create: boolean): Promise<void> {
    await this.#anchor.check();
    while (!this.#isStore) {
      const text = await this.#markerText();
      if (text !== null) {
        checkMarker(this.path, text);
        await this.#anchor.hold();
        this.#isStore = true;
      } else {
        const visible = (await this.#names()).filter((name) => !name.startsWith('.'));
        const name = show(this.path, 300);
        // A folder that has just become a store may show its first content, but not its marker, to the listing.
        if (visible.length > 0 && (await this.#markerText()) === null) {
          throw new MarqueError(
            'STORE_PATH',
            `${name} holds ${show(visible[0])} and is no store of this library: choose an empty or a new folder`,
          );
        }
        if (!create) throw new MarqueError('STORE_PATH', `there is no store at ${name}: run a flow that writes to it first`);
        await makeFolder(this.path);
        await putIfAbsent(this.#markerPath, `${JSON.stringify(marker)}\n`);
      }
    }
  }

  pathOf(flow: string, run: string): string {
    return join(this.path, flow, run);
  }

  /** Every run, with the scopes that have a file by now. */
  async list(): Promise<readonly RunFolder[]> {
    const found: RunFolder[] = [];
    for (const flow of await foldersIn(this.path)) {
      for (const run of await foldersIn(flow)) {
        const folder = await this.#look(run);
        if (folder !== null) found.push(folder);
      }
    }
    const late = lateRuns(found.map(({ run }) => run));
    return found.filter(({ run }) => !late.has(run));
  }

  /** What the runs' own files hold. */
  async runs(): Promise<readonly RunRows[]> {
    const runs: RunRows[] = [];
    for (const flow of await foldersIn(this.path)) {
      await inLanes(await foldersIn(flow), async (folder) => {
        const run = await this.readRun(folder);
        if (run !== null) runs.push(run);
      });
    }
    const late = lateRuns(runs);
    return runs.filter((run) => !late.has(run));
  }

  /** What a run's own file holds; null where there is none. Read again only when it has been replaced. */
  async readRun(folder: string): Promise<RunRows | null> {
    const path = scopePath(folder, 0);
    try {
      const { ino, size, mtimeMs } = await stat(path);
      const stamp = `${ino} ${size} ${mtimeMs}`;
      const known = this.#runs.get(path);
      if (known?.stamp === stamp) return known.run;
      const run = await readAs(path, decodeRun);
      this.#runs.set(path, { stamp, run });
      return run;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw error;
    }
  }

  async readScope(folder: string, ordinal: number): Promise<ScopeRows> {
    const path = scopePath(folder, ordinal);
    try {
      return await readAs(path, (content) => decodeScope(content, ordinal));
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
      throw new MarqueError('STORE_DAMAGED', `${show(path, 300)} was there and has gone`, { cause: error });
    }
  }

  /** The run first: it may name its end, and then all of its scopes must be seen. */
  async #look(path: string): Promise<RunFolder | null> {
    const before = await this.readRun(path);
    const ordinals = (await readdir(path)).flatMap((name) => (/^[1-9]\d*\.json$/.test(name) ? Number.parseInt(name, 10) : []));
    const run = before ?? (await this.readRun(path));
    if (run !== null) return { path, run, ordinals };
    if (ordinals.length === 0) return null; // a process died, or is at this moment, right after it had made the folder
    throw new MarqueError(
      'STORE_DAMAGED',
      `${show(scopePath(path, 0), 300)} is missing: it names the run of the scopes beside it`,
    );
  }

  get #markerPath(): string {
    return join(this.path, 'marque.json');
  }

  async #markerText(): Promise<string | null> {
    try {
      return await readFile(this.#markerPath, 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw this.#noFolder(error);
    }
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.path);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [];
      throw this.#noFolder(error);
    }
  }

  #noFolder(error: unknown): MarqueError {
    const what = hasCode(error, 'ENOTDIR')
      ? 'is a file, or below one, and a folder is needed'
      : `cannot be read: ${messageOf(error)}`;
    return new MarqueError('STORE_PATH', `${show(this.path, 300)} ${what}`, { cause: error });
  }
}

/** Where a scope, or with ordinal 0 the run itself, stands in its run's folder. */
export function scopePath(folder: string, ordinal: number): string {
  return join(folder, `${ordinal}.json`);
}

/**
 * Runs that two began to bring in at once have a file each, one of which gets the rows: that which has come further, or else that of the
 * lower number. The others are none.
 */
function lateRuns(runs: readonly RunRows[]): ReadonlySet<RunRows> {
  const first = new Map<string | null, RunRows>();
  const late = new Set<RunRows>();
  for (const run of runs.toSorted((a, b) => Number(isOnlyBegun(a)) - Number(isOnlyBegun(b)) || a.number - b.number)) {
    const uuid = run.events[0]?.uuid;
    if (uuid === undefined) continue;
    if (isOnlyBegun(run) && first.has(uuid)) late.add(run);
    else first.set(uuid, run);
  }
  return late;
}

function isOnlyBegun({ events }: RunRows): boolean {
  return events.every(({ event }) => event === 'merging');
}

function checkMarker(path: string, text: string): void {
  const name = show(join(path, 'marque.json'), 300);
  const { format, formatVersion: version } = parsed(text);
  if (format !== marker.format && typeof format === 'string') {
    throw new MarqueError('STORE_PATH', `${show(path, 300)} is a store of another kind, ${show(format)}`);
  }
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1)
    throw new MarqueError('STORE_DAMAGED', `${name} does not name a format: ${show(text)}`);
  if (version > formatVersion) {
    throw new MarqueError(
      'STORE_FORMAT',
      `${name} says format ${version}, and this version of the library knows ${formatVersion}: install a newer one`,
    );
  }
}

function parsed(text: string): { format?: unknown; formatVersion?: unknown } {
  try {
    return (JSON.parse(text) as object | null) ?? {};
  } catch {
    return {};
  }
}

async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map((entry) => join(path, entry.name));
}

async function readAs<T>(path: string, decode: (content: FileContent) => T): Promise<T> {
  const content = await readContent(path);
  try {
    return decode(content);
  } catch (cause) {
    throw new MarqueError('STORE_DAMAGED', `${show(path, 300)} is not what this library wrote: ${messageOf(cause)}`, { cause });
  }
}
