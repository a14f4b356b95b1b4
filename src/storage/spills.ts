import { closeSync, createReadStream, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import type { Mark } from '../recorder.ts';
import type { Batch, BatchId, ParkedBatch, UnwrittenBatch } from '../store.ts';
import { hasCode, namesIn, remove, syncFolder, temporaryBeside, unreadable, writing } from './files.ts';
import { decodeSpill, encodeSpill, UnusableSpill } from './spill.ts';

/** A spilled batch's file. */
export interface SpillFile {
  readonly path: string;
  readonly uuid: string;
  /** `<run uuid>/<epoch>`. */
  readonly writer: string;
  readonly number: number;
}

/** A parked batch's file. */
export interface ParkedFile {
  readonly path: string;
  readonly uuid: string;
}

/**
 * The batches that processes could not store before they ended, in a folder of their own: `<run uuid>-<epoch>-<batch>.jsonl`. A
 * file is there whole or not at all, and never changed. Beside them stand those that live processes have parked, hidden:
 * `.<run uuid>-<epoch>-<batch>.parked`.
 */
export class Spills {
  readonly folder: string;
  readonly #known = new Map<string, Promise<Batch | UnusableSpill | null>>();

  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Writes the batches of one writer, in order, durable when it returns. Synchronous, for a process that ends. The first one that fails
   * ends it, since scopes of a later one may have rows in it. The folder that holds the spills' must be there.
   */
  writeSync(batches: readonly UnwrittenBatch[]): void {
    if (batches.length === 0) return;
    makeFolderSync(this.folder);
    for (const { id, rows } of batches) {
      if ('read' in rows) rows.spill();
      else {
        const temporary = temporaryBeside(this.#pathOf(id));
        writeAndSync(temporary, encodeSpill(id, rows));
        publishSync(temporary, this.#pathOf(id));
      }
    }
    syncFolderSync(this.folder);
  }

  /** Keeps a batch in a hidden file, which nobody else reads. Synchronous. */
  parkSync(id: BatchId, mark: Mark): ParkedBatch {
    makeFolderSync(this.folder);
    const path = join(this.folder, `.${nameOf(id)}.parked`);
    writeAndSync(path, encodeSpill(id, mark));
    return {
      read: () => readParked(path),
      spill: () => renameSync(path, this.#pathOf(id)), // where that fails, the rows are still where they were
      remove: () => remove(path),
    };
  }

  /** The files that are parked here, of processes alive or dead. */
  async parked(): Promise<readonly ParkedFile[]> {
    return (await namesIn(this.folder)).flatMap((name) => {
      const uuid = /^\.([A-Za-z0-9_-]+)-\d+-\d+\.parked$/.exec(name)?.[1];
      return uuid === undefined ? [] : [{ path: join(this.folder, name), uuid }];
    });
  }

  /** The files there are, those of each writer in the order of their numbers. */
  async list(): Promise<readonly SpillFile[]> {
    const files = (await namesIn(this.folder)).flatMap((name) => {
      const [, uuid, epoch, number] = /^([A-Za-z0-9_-]+)-(\d+)-(\d+)\.jsonl$/.exec(name) ?? [];
      if (uuid === undefined) return [];
      return [{ path: join(this.folder, name), uuid, writer: `${uuid}/${epoch}`, number: Number(number) }];
    });
    return files.sort((a, b) => (a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : a.number - b.number));
  }

  /** The batch in a file; null where it has gone. @throws UnusableSpill, and MarqueError STORE_PATH. */
  async read({ path, writer, number }: SpillFile): Promise<Batch | null> {
    try {
      const batch = await decodeSpill(linesOf(path));
      if (batch.id.writer === writer && batch.id.number === number) return batch;
      throw new UnusableSpill('it has been given another name');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw error instanceof UnusableSpill ? error : unreadable(path, error);
    }
  }

  /**
   * All batches that can be used, for a reader who takes the store's own state only afterwards: a file that has gone meanwhile has been
   * stored, and of the `unflushed` ones the reader has the rows. Each is read once; of those that cannot be used, and what their writers have spilled after them, a warning tells.
   */
  async batches(unflushed: readonly Batch[] = []): Promise<readonly Batch[]> {
    const files = await this.list();
    const paths = new Set(files.map(({ path }) => path));
    for (const path of this.#known.keys()) if (!paths.has(path)) this.#known.delete(path);
    const batches: Batch[] = [];
    const known = new Set(unflushed.map(({ id }) => nameOf(id))); // a signal that did not end the process has them spilled as well
    const spoilt = new Set<string>();
    for (const file of files) {
      if (spoilt.has(file.writer) || known.has(nameOf(file))) continue;
      const batch = await this.#knownBatch(file);
      if (batch instanceof UnusableSpill) spoilt.add(file.writer);
      else if (batch !== null) batches.push(batch);
    }
    return batches;
  }

  /**
   * Removes files whose batches have been stored, the last one first: those before it are still there if the process dies meanwhile. The
   * folder stays: a process that ends may be about to write into it.
   */
  async remove(files: readonly { readonly path: string }[]): Promise<void> {
    for (const { path } of files.toReversed()) await remove(path);
    await syncFolder(this.folder);
  }

  /** Keeps files out of everybody's way, under the name `<file>.damaged`. */
  async setAside(files: readonly SpillFile[]): Promise<void> {
    for (const { path } of files) await writing(path, () => rename(path, `${path}.damaged`));
    await syncFolder(this.folder);
  }

  #pathOf(id: BatchId): string {
    return join(this.folder, `${nameOf(id)}.jsonl`);
  }

  #knownBatch(file: SpillFile): Promise<Batch | UnusableSpill | null> {
    let known = this.#known.get(file.path);
    if (known === undefined) {
      known = this.read(file).catch((error: unknown) => {
        if (!(error instanceof UnusableSpill)) {
          this.#known.delete(file.path); // it may be readable the next time
          throw error;
        }
        warnOfSpill(file, error, 'its rows are missing');
        return error;
      });
      this.#known.set(file.path, known);
    }
    return known;
  }
}

/** Tells of a spill that is not used; nobody's call fails for it. */
export function warnOfSpill({ path }: SpillFile, error: UnusableSpill, consequence: string): void {
  const advice = error.isNewer ? 'a newer version of this library can read it' : 'what can still be read of it is text';
  warn(`${show(path, 300)} cannot be used, ${consequence}: ${error.message}; ${advice}`);
}

/** Says something on standard error that no call can report, as a warning of the process. */
export function warn(message: string): void {
  process.emitWarning(message, 'MarqueWarning');
}

function nameOf({ writer, number }: BatchId): string {
  return `${writer.replace('/', '-')}-${number}`;
}

async function readParked(path: string): Promise<Batch> {
  try {
    return await decodeSpill(linesOf(path));
  } catch (error) {
    if (!(error instanceof UnusableSpill)) throw unreadable(path, error);
    throw new MarqueError('STORE_DAMAGED', `rows that waited in ${show(path, 300)} are lost: ${error.message}`, { cause: error });
  }
}

async function* linesOf(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, end)]);
      rest = [];
      start = end + 1;
    }
    rest.push(chunk.subarray(start));
  }
  const unended = Buffer.concat(rest);
  if (unended.length > 0) yield unended;
}

function makeFolderSync(folder: string): void {
  try {
    mkdirSync(folder); // not with its parents: where they have gone, so has the store
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return;
    throw error;
  }
  syncFolderSync(dirname(folder));
}

function writeAndSync(path: string, texts: Iterable<string>): void {
  try {
    const file = openSync(path, 'wx');
    try {
      for (const text of texts) {
        const bytes = Buffer.from(text);
        for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/** Durable with the folder. */
function publishSync(temporary: string, path: string): void {
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function syncFolderSync(folder: string): void {
  if (process.platform === 'win32') return; // folders cannot be opened there; NTFS journals its names
  const file = openSync(folder, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
