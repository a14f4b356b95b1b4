import { release, type Operation, real, watch } from './shim.mjs';

/** What happened to the files below a folder, in the order in which it was done. Paths are absolute. */
export type FileEvent =
  | { readonly kind: 'create' | 'mkdir' | 'remove' | 'syncFolder'; readonly path: string }
  /** The file now has this content; `durable` where that was synced. */
  | { readonly kind: 'content'; readonly path: string; readonly content: Buffer; readonly durable: boolean }
  | { readonly kind: 'rename' | 'link'; readonly path: string; readonly to: string }
  /** What was promised from here on: the number of changes that have been acknowledged. */
  | { readonly kind: 'acknowledged'; readonly changes: number };

export interface Recording {
  readonly events: readonly FileEvent[];
  acknowledge(changes: number): void;
  stop(): void;
}

/**
 * Records what is done to files below a folder. An operation stands where it has ended, since only then is anything promised of it; the
 * content that a sync makes durable is that from before it. A file that DuckDB wrote appears, unsynced, when our code opens it.
 */
export function record(folder: string): Recording {
  const events: FileEvent[] = [];
  const known = new Set(entriesBelow(folder).map(([path]) => path));
  const contents = new Map<number, Buffer>();
  const say = (event: FileEvent) => void events.push(event);
  const isFolder = (path: string) => real.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

  const appear = (path: string) => {
    if (known.has(path) || real.statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return;
    known.add(path);
    say({ kind: 'create', path });
    say({ kind: 'content', path, content: real.readFileSync(path), durable: false });
  };

  const done: Record<string, (operation: Operation) => void> = {
    mkdir: ({ path }) => say({ kind: 'mkdir', path }),
    open: ({ path }) => appear(path),
    sync: ({ path, number }) => {
      const content = contents.get(number);
      say(content === undefined ? { kind: 'syncFolder', path } : { kind: 'content', path, content, durable: true });
    },
    rename: ({ path, to }) => moved('rename', path, to as string),
    link: ({ path, to }) => moved('link', path, to as string),
  };
  const moved = (kind: 'rename' | 'link', path: string, to: string) => {
    if (kind === 'rename') known.delete(path);
    known.add(to);
    say({ kind, path, to });
  };
  const written = ({ path }: Operation) => {
    appear(path);
    say({ kind: 'content', path, content: real.readFileSync(path), durable: false });
  };
  const removed = ({ path }: Operation) => {
    if (known.delete(path) || path.endsWith('/')) say({ kind: 'remove', path });
  };
  for (const name of ['appendFile', 'write', 'writeFile', 'writev', 'truncate']) done[name] = written;
  for (const name of ['rm', 'unlink', 'rmdir']) done[name] = removed;
  const harmless = new Set(['utimes']);

  watch(folder, {
    before: (operation) => {
      const { name, path, number } = operation;
      if ((name === 'rename' || name === 'link' || name === 'sync') && !isFolder(path)) appear(path);
      if (name === 'sync' && !isFolder(path)) contents.set(number, real.readFileSync(path));
      return undefined;
    },
    after: (operation) => {
      const tell = done[operation.name];
      if (tell !== undefined) tell(operation);
      else if (operation.changes && !harmless.has(operation.name)) throw new Error(`the recording knows no ${operation.name}`);
    },
  });
  return { events, acknowledge: (changes) => say({ kind: 'acknowledged', changes }), stop: () => void release() };
}

/** What is below a folder, parents first, and whether it is a file. */
export function entriesBelow(folder: string): [path: string, isFile: boolean][] {
  const entries = real.readdirSync(folder, { recursive: true, withFileTypes: true });
  const found = entries.map((entry): [string, boolean] => [`${entry.parentPath}/${entry.name}`, entry.isFile()]);
  return found.sort(([a], [b]) => (a < b ? -1 : 1));
}
