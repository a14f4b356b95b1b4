import { basename, dirname } from 'node:path';
import type { FileEvent } from './recording.ts';

/** What a machine may find on its disk after it has lost power. */
export interface CrashState {
  /** Operations that had ended. */
  readonly prefix: number;
  /** Changes that had been acknowledged by then. */
  readonly acknowledged: number;
  /** By path. A folder has no content. */
  readonly entries: ReadonlyMap<string, Buffer | null>;
}

interface File {
  readonly kind: 'file';
  /** Content that is certain to be on the disk, and that which was written last. */
  synced: Buffer;
  latest: Buffer;
}

interface Folder {
  readonly kind: 'folder';
  readonly durable: Map<string, Entry>;
  /** What was done to its names since it was synced, oldest first. */
  pending: NameChange[];
}

type Entry = File | Folder;

/** `from` is a name of the same folder that goes away in the same step. */
interface NameChange {
  readonly name: string;
  readonly entry: Entry | null;
  readonly from?: string;
}

/** A number from 0 inclusive to 1 exclusive, the same on each execution. */
export type Draw = () => number;

/**
 * A disk that does what POSIX promises and nothing more. The content of a file is certain once the file was synced, the names in a folder
 * once the folder was; what came after may be there in part. Journals of real file systems keep more order than this.
 */
export class CrashModel {
  readonly #root: string;
  readonly #tree: Folder = emptyFolder();
  /** The tree as the living process sees it. */
  readonly #live = new Map<string, Entry>();
  #prefix = 0;
  #acknowledged = 0;

  /** `files` are there from the start, and durable. */
  constructor(root: string, files: ReadonlyMap<string, Buffer | null>) {
    this.#root = root;
    this.#live.set(root, this.#tree);
    for (const [path, content] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const entry: Entry = content === null ? emptyFolder() : { kind: 'file', synced: content, latest: content };
      this.#live.set(path, entry);
      this.#folder(dirname(path)).durable.set(basename(path), entry);
    }
  }

  apply(event: FileEvent): void {
    this.#prefix++;
    switch (event.kind) {
      case 'acknowledged':
        this.#acknowledged = event.changes;
        return;
      case 'create':
        return this.#name(event.path, { kind: 'file', synced: Buffer.alloc(0), latest: Buffer.alloc(0) });
      case 'mkdir':
        return this.#name(event.path, emptyFolder());
      case 'content': {
        const file = this.#file(event.path);
        file.latest = event.content;
        if (event.durable) file.synced = event.content;
        return;
      }
      case 'syncFolder': {
        if (dirname(this.#root) === event.path) return; // outside of what is looked at
        const folder = this.#folder(event.path);
        applyChanges(folder.durable, folder.pending, () => true);
        folder.pending = [];
        return;
      }
      case 'link':
        return this.#name(event.to, this.#file(event.path));
      case 'remove':
        this.#live.delete(event.path);
        this.#folder(dirname(event.path)).pending.push({ name: basename(event.path), entry: null });
        return;
      case 'rename': {
        const { path, to } = event;
        const entry = this.#live.get(path);
        if (entry === undefined || dirname(path) !== dirname(to))
          throw new Error(`the model knows no rename of ${path} to ${to}`);
        for (const below of [...this.#live.keys()].filter((one) => one === path || one.startsWith(`${path}/`))) {
          this.#live.set(`${to}${below.slice(path.length)}`, this.#live.get(below) as Entry);
          this.#live.delete(below);
        }
        this.#folder(dirname(to)).pending.push({ name: basename(to), entry, from: basename(path) });
      }
    }
  }

  /**
   * What may be found now. `kept` draws what survives of that which nobody had synced: each folder has all, none, the first few or any of
   * its changes; each file its latest content, that of its last sync, a part of it, or zeros.
   */
  crash(draw: Draw): CrashState {
    const entries = new Map<string, Buffer | null>();
    const contents = new Map<File, Buffer>();
    const walk = (folder: Folder, path: string): void => {
      const names = new Map(folder.durable);
      applyChanges(names, folder.pending, survivors(folder.pending.length, draw));
      for (const [name, entry] of names) {
        const place = `${path}/${name}`;
        if (entry.kind === 'folder') {
          entries.set(place, null);
          walk(entry, place);
        } else {
          const content = contents.get(entry) ?? contentOf(entry, draw); // a file of two names has one content
          contents.set(entry, content);
          entries.set(place, content);
        }
      }
    };
    walk(this.#tree, this.#root);
    return { prefix: this.#prefix, acknowledged: this.#acknowledged, entries };
  }

  #name(path: string, entry: Entry): void {
    this.#live.set(path, entry);
    this.#folder(dirname(path)).pending.push({ name: basename(path), entry });
  }

  #folder(path: string): Folder {
    const entry = this.#live.get(path);
    if (entry?.kind !== 'folder') throw new Error(`the model knows no folder ${path}`);
    return entry;
  }

  #file(path: string): File {
    const entry = this.#live.get(path);
    if (entry?.kind !== 'file') throw new Error(`the model knows no file ${path}`);
    return entry;
  }
}

function emptyFolder(): Folder {
  return { kind: 'folder', durable: new Map(), pending: [] };
}

/** A change whose own name depends on one that was lost is lost with it. */
function applyChanges(names: Map<string, Entry>, changes: readonly NameChange[], survives: (index: number) => boolean): void {
  changes.forEach(({ name, entry, from }, index) => {
    if (!survives(index)) return;
    if (from !== undefined && names.get(from) !== entry) return;
    if (from !== undefined) names.delete(from);
    if (entry === null) names.delete(name);
    else names.set(name, entry);
  });
}

function survivors(count: number, draw: Draw): (index: number) => boolean {
  const kind = draw();
  if (kind < 0.25) return () => true;
  if (kind < 0.5) return () => false;
  if (kind < 0.75) {
    const first = Math.floor(draw() * (count + 1));
    return (index) => index < first;
  }
  const kept = Array.from({ length: count }, () => draw() < 0.5);
  return (index) => kept[index] === true;
}

function contentOf({ synced, latest }: File, draw: Draw): Buffer {
  if (latest.equals(synced)) return latest;
  const kind = draw();
  if (kind < 0.25) return latest;
  if (kind < 0.5) return synced;
  if (kind < 0.75) return latest.subarray(0, Math.floor(draw() * latest.length));
  return Buffer.alloc(latest.length);
}
