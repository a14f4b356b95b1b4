import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MarqueError, messageOf, show } from '../error.ts';
import type { TableName } from '../schema.ts';
import type { BatchId } from '../store.ts';
import { Anchor } from './anchor.ts';
import {
  appendEntry,
  type DeltaEntry,
  deltaProtocol,
  firstEntry,
  formatVersion,
  parseEntry,
  type SegmentFile,
} from './delta-entry.ts';
import { hasCode, makeFolder, putIfAbsent, syncFolder } from './files.ts';

/** A table at one version of its log. It never changes. */
export interface LogState {
  readonly version: number;
  /** The segments that hold the table's rows, in the order in which they were added. */
  readonly segments: readonly Segment[];
  /** Whether a batch has been committed: its writer's batches are, in the order of their numbers. */
  readonly has: (id: BatchId) => boolean;
}

export interface Segment {
  /** File name in the table's folder. */
  readonly name: string;
  /** The batch whose rows it holds; null where it holds those of several, or none. */
  readonly batch: BatchId | null;
}

/** Versions read at once while catching up. */
const mostAtOnce = 32;

/** The transaction log of one table: which segments make it up, and which batches they hold. Many processes may append. */
export class DeltaLog {
  /** The table's folder, which holds its segments and the folder `_delta_log`. */
  readonly folder: string;
  readonly #anchor: Anchor;
  #version = -1;
  #segments = new Map<string, BatchId | null>();
  #batches = new Map<string, number>();
  #state: LogState | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(folder: string) {
    this.folder = folder;
    this.#anchor = new Anchor(this.#pathOf(0), dirname(folder));
  }

  /** @throws MarqueError STORE_PATH where the log that was read before has gone, or another has taken its place. */
  async checkPlace(): Promise<void> {
    await this.#anchor.check();
  }

  /** Whether there is a log, made by us. Raises STORE_PATH for one of another program, STORE_FORMAT for one of a newer format. */
  async exists(): Promise<boolean> {
    return (await this.#read(0)) !== null;
  }

  /** Creates the folders, then a segment without rows, then version 0, unless somebody else has. */
  async create(table: TableName, writeEmpty: () => Promise<SegmentFile>): Promise<void> {
    await makeFolder(dirname(this.#pathOf(0)));
    await putIfAbsent(this.#pathOf(0), firstEntry(table, await writeEmpty(), Date.now()));
  }

  /** The table as it is after this call began. Only versions that have not been read yet are read. */
  async refresh(): Promise<LogState> {
    return await this.#inTurn(async () => {
      await this.#catchUp();
      return this.#capture();
    });
  }

  /**
   * Appends a batch, with its rows or without, and returns a version that holds it. Durable when it resolves. A batch that is
   * in the log already is not appended again, so this may be tried again after any failure.
   *
   * @throws MarqueError STORE_PATH as {@link checkPlace} does, STORE_UNWRITABLE.
   */
  async append(id: BatchId, segment: SegmentFile | null, needs: Readonly<Record<string, number>> = {}): Promise<number> {
    return await this.#inTurn(async () => {
      const text = appendEntry(id, segment, needs, Date.now());
      for (;;) {
        await this.#catchUp();
        if (has(this.#batches, id)) {
          await syncFolder(dirname(this.#pathOf(0))); // the attempt before may have failed on exactly this
          return this.#version;
        }
        const version = this.#version + 1;
        await this.#anchor.check();
        if (await putIfAbsent(this.#pathOf(version), text)) {
          this.#apply(parseEntry(text, this.#pathOf(version)));
          return version;
        }
      }
    });
  }

  async #catchUp(): Promise<void> {
    if (this.#version === -1) await this.#anchor.hold();
    // A version that is missing from the middle must not pass for the end of the log.
    const known = this.#version === -1 ? await this.#highestVersion() : this.#version;
    for (let count = Math.max(1, known - this.#version); ; count *= 2) {
      const next = this.#version + 1;
      const versions = Array.from({ length: Math.min(count, mostAtOnce) }, (_, index) => next + index);
      const entries = await Promise.all(versions.map((version) => this.#read(version)));
      for (const entry of entries) {
        if (entry !== null) this.#apply(entry);
        else if (this.#version >= known) return;
        else throw new MarqueError('STORE_DAMAGED', `the log entry ${show(this.#pathOf(this.#version + 1), 300)} is missing`);
      }
    }
  }

  async #read(version: number): Promise<DeltaEntry | null> {
    const path = this.#pathOf(version);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
      throw unreadable(path, error);
    }
    const entry = parseEntry(text, path);
    checkFormat(entry, this.folder, version);
    return entry;
  }

  #apply({ added, removed, batches }: DeltaEntry): void {
    for (const { writer, number } of batches) this.#batches.set(writer, Math.max(number, this.#batches.get(writer) ?? 0));
    for (const name of removed) this.#segments.delete(name);
    for (const name of added) this.#segments.set(name, batches.find((id) => segmentName(id) === name) ?? null);
    this.#version++;
    this.#state = null;
  }

  #capture(): LogState {
    if (this.#state === null) {
      const segments = Array.from(this.#segments, ([name, batch]) => ({ name, batch }));
      const batches = new Map(this.#batches);
      this.#state = { version: this.#version, segments, has: (id) => has(batches, id) };
    }
    return this.#state;
  }

  async #highestVersion(): Promise<number> {
    const folder = dirname(this.#pathOf(0));
    const names = await readdir(folder).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return [];
      throw unreadable(folder, error);
    });
    return names.reduce((highest, name) => Math.max(highest, Number(/^(\d{20})\.json$/.exec(name)?.[1] ?? 0)), 0);
  }

  #pathOf(version: number): string {
    return join(this.folder, '_delta_log', `${String(version).padStart(20, '0')}.json`);
  }

  /** One job after another: what has been read so far is shared. */
  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(job, job);
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }
}

/** The latest batch of each writer stands for those before it. */
function has(batches: ReadonlyMap<string, number>, { writer, number }: BatchId): boolean {
  return number <= (batches.get(writer) ?? 0);
}

/** The name of the segment that holds a batch: ASCII, and the same on each attempt to write it. */
export function segmentName({ writer, number }: BatchId): string {
  return `${writer.replace('/', '-')}-${number}.parquet`;
}

function unreadable(path: string, cause: unknown): MarqueError {
  return new MarqueError('STORE_PATH', `${show(path, 300)} cannot be read: ${messageOf(cause)}`, { cause });
}

function checkFormat(entry: DeltaEntry, folder: string, version: number): void {
  const place = show(folder, 300);
  if (entry.formatVersion === null || (version === 0 && entry.formatVersion === undefined)) {
    throw new MarqueError('STORE_PATH', `${place} is a Delta table of another program: choose another folder for the store`);
  }
  const format = entry.formatVersion === undefined ? formatVersion : Number(entry.formatVersion);
  const { reader, writer } = entry.protocol ?? deltaProtocol;
  if (format > formatVersion || reader > deltaProtocol.reader || writer > deltaProtocol.writer) {
    const is = `format ${format}, Delta protocol ${reader}/${writer}`;
    const known = `format ${formatVersion}, protocol ${deltaProtocol.reader}/${deltaProtocol.writer}`;
    throw new MarqueError('STORE_FORMAT', `${place} has ${is}; this version of marque knows ${known}: install a newer version`);
  }
  if (!(format >= 1))
    throw new MarqueError('STORE_DAMAGED', `${place} has the format ${show(entry.formatVersion)}, which never was`);
}
