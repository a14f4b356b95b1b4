import { MarqueError, show } from '../error.ts';
import type { TableName } from '../schema.ts';
import type { BatchId } from '../store.ts';
import { damagedEntry, type DeltaActions } from './delta-actions.ts';
import { deltaProtocol, formatVersion, type Needs } from './delta-entry.ts';
import { batchOf, type SegmentFile, type Stats } from './segment.ts';

/** A table at one version of its log. It never changes. */
export interface LogState {
  readonly version: number;
  /** The segments that hold the table's rows, in the order in which they were added. */
  readonly segments: readonly Segment[];
  /** Whether a batch has been committed: its writer's batches are, in the order of their numbers. */
  readonly has: (id: BatchId) => boolean;
  /**
   * The versions of other tables that its reader has to have: the highest that any version named, as far as versions were read. Checkpoints
   * do not name any.
   */
  readonly needs: Needs;
}

export interface Segment extends SegmentFile {
  /** The batch whose rows it holds; null where it holds those of several, or none. */
  readonly batch: BatchId | null;
}

/** What a log adds up to, version by version. */
export class TableState {
  /** For messages. */
  readonly #folder: string;
  readonly #segments = new Map<string, Segment>();
  /** The latest batch of each writer stands for those before it. */
  readonly #batches = new Map<string, number>();
  readonly #tombstones = new Map<string, number>();
  #needs: Needs = {};
  #captured: LogState | null = null;
  /** The last version that is in it; -1 before the first. */
  version = -1;
  format = 0;
  metaData: object = {};
  /** The last version, of those that were applied, that says that others were put together anew; -1 where there is none. */
  rebuiltAt = -1;
  /** When that version was committed, in epoch milliseconds, as its writer's clock had it. */
  committedAt = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Segments that were removed, with the time, in epoch milliseconds. */
  get tombstones(): ReadonlyMap<string, number> {
    return this.#tombstones;
  }

  /** The last batch of each writer. */
  get batches(): ReadonlyMap<string, number> {
    return this.#batches;
  }

  has({ writer, number }: BatchId): boolean {
    return number <= (this.#batches.get(writer) ?? 0);
  }

  isLive(name: string): boolean {
    return this.#segments.has(name);
  }

  /**
   * Goes on to the next version. `file` is for messages.
   *
   * @throws MarqueError STORE_FORMAT for a newer format, STORE_PATH for another program's table, STORE_DAMAGED.
   */
  apply(actions: DeltaActions, file: string): void {
    this.#checkFormat(actions);
    if (this.format >= 2 && actions.isOurs && !actions.isSigned) throw damagedEntry(file, 'its checksum is missing');
    this.#take(actions, this.version + 1);
  }

  /** Begins with a checkpoint, which holds everything up to a version. */
  load(actions: DeltaActions, version: number): void {
    this.#checkFormat(actions);
    this.#take(actions, version);
  }

  capture(): LogState {
    if (this.#captured === null) {
      const batches = new Map(this.#batches);
      this.#captured = {
        version: this.version,
        segments: [...this.#segments.values()],
        has: ({ writer, number }) => number <= (batches.get(writer) ?? 0),
        needs: this.#needs,
      };
    }
    return this.#captured;
  }

  #take(actions: DeltaActions, version: number): void {
    for (const { writer, number } of actions.batches) this.#batches.set(writer, Math.max(number, this.#batches.get(writer) ?? 0));
    for (const { name, removedAt } of actions.removed) {
      this.#segments.delete(name);
      this.#tombstones.set(name, removedAt);
    }
    for (const segment of actions.added) {
      this.#segments.set(segment.name, liveSegment(segment));
      this.#tombstones.delete(segment.name);
    }
    for (const [table, needed] of Object.entries(actions.needs) as [TableName, number][]) {
      if (needed > (this.#needs[table] ?? -1)) this.#needs = { ...this.#needs, [table]: needed };
    }
    this.metaData = actions.metaData ?? this.metaData;
    this.committedAt = Math.max(this.committedAt, actions.committedAt ?? 0);
    if (actions.rebuilt.length > 0) this.rebuiltAt = version;
    this.version = version;
    this.#captured = null;
  }

  #checkFormat({ formatVersion: said, protocol }: DeltaActions): void {
    const place = show(this.#folder, 300);
    if (said === null || (this.version === -1 && said === undefined)) {
      throw new MarqueError('STORE_PATH', `${place} is a Delta table of another program: choose another folder for the store`);
    }
    const format = said === undefined ? this.format : Number(said);
    const { reader, writer } = protocol ?? deltaProtocol;
    if (format > formatVersion || reader > deltaProtocol.reader || writer > deltaProtocol.writer) {
      const is = `format ${format}, Delta protocol ${reader}/${writer}`;
      const known = `format ${formatVersion}, protocol ${deltaProtocol.reader}/${deltaProtocol.writer}`;
      throw new MarqueError('STORE_FORMAT', `${place} has ${is}; this version of marque knows ${known}: install a newer version`);
    }
    if (!(format >= 1)) throw new MarqueError('STORE_DAMAGED', `${place} has the format ${show(said)}, which never was`);
    this.format = format;
  }
}

/** Of the thousands of segments of a table a query asks few for more than their names: the rest is worked out for those that it asks. */
function liveSegment(file: SegmentFile): Segment {
  const { name, bytes, rows, checksum } = file;
  let stats: Stats | undefined;
  let batch: BatchId | null | undefined;
  return {
    name,
    bytes,
    rows,
    checksum,
    get stats() {
      return (stats ??= file.stats);
    },
    get batch() {
      if (batch === undefined) batch = batchOf(name);
      return batch;
    },
  };
}
