import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { MarqueError, show } from '../error.ts';
import type { TableName } from '../schema.ts';
import type { BatchId } from '../store.ts';
import { Anchor } from './anchor.ts';
import { checkpointEvery, lastCheckpoint, lastCheckpointVersion, lastPacked, writeCheckpoint } from './checkpoint.ts';
import { type DeltaActions, parseActions } from './delta-actions.ts';
import {
  appendEntry,
  firstEntry,
  formatVersion,
  type Needs,
  replaceEntry,
  type Replacement,
  upgradeEntry,
} from './delta-entry.ts';
import { isThere, makeFolder, putIfAbsent, syncFolder } from './files.ts';
import { LogEntries } from './log-entries.ts';
import type { SegmentFile } from './segment.ts';
import { type LogState, TableState } from './table-state.ts';

/** What turns checkpoints, which are Parquet, into the JSON lines of their actions, and back. */
export interface CheckpointFormat {
  readCheckpoint(path: string): Promise<string>;
  writeCheckpoint(lines: string, parquet: string): Promise<void>;
}

/** For how long reading versions holds the event loop at most, about, in milliseconds. */
const longestTurn = 3;

/** The transaction log of one table: which segments make it up, and which batches they hold. Many processes may append. */
export class DeltaLog {
  /** The table's folder, which holds its segments and the folder `_delta_log`. */
  readonly folder: string;
  readonly table: TableName;
  readonly #entries: LogEntries;
  readonly #anchor: Anchor;
  readonly #checkpoints: Pick<CheckpointFormat, 'readCheckpoint'>;
  #state: TableState;
  /** The highest version that is known to have been committed: one that is missing below it never passes for the end of the log. */
  #highest = -1;
  /** Whether the folder was looked through before something was committed. */
  #hasLooked = false;
  /** The version of the last checkpoint that was seen; -1 where none was. */
  #checkpointed = -1;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(table: TableName, folder: string, checkpoints: Pick<CheckpointFormat, 'readCheckpoint'>) {
    this.table = table;
    this.folder = folder;
    this.#entries = new LogEntries(table, join(folder, '_delta_log'));
    this.#checkpoints = checkpoints;
    this.#state = new TableState(folder);
    this.#anchor = new Anchor(this.pathOf(0), dirname(folder));
  }

  /** @throws MarqueError STORE_PATH where the log that was read before has gone, or another has taken its place. */
  async checkPlace(): Promise<void> {
    await this.#anchor.check();
  }

  /** Whether there is a log, made by us. Raises STORE_PATH for one of another program, STORE_FORMAT for one of a newer format. */
  async exists(): Promise<boolean> {
    const first = await this.read(0);
    if (first !== null) new TableState(this.folder).apply(first, this.pathOf(0));
    return first !== null;
  }

  /** Creates the folders, then a segment without rows, then version 0, unless somebody else has. */
  async create(writeEmpty: () => Promise<SegmentFile>): Promise<void> {
    await makeFolder(this.#entries.folder);
    await putIfAbsent(this.pathOf(0), firstEntry(this.table, await writeEmpty(), Date.now()));
  }

  /** Whether the table has an older format than ours, as far as it was read. */
  get isOld(): boolean {
    return this.#state.format < formatVersion;
  }

  /**
   * The table as it is after this call began. Only versions that have not been read yet are read.
   *
   * @param atLeast a version that another table says was committed
   * @throws MarqueError STORE_DAMAGED, naming the entry, where one up to `atLeast`, or below one that was ever seen, is missing.
   */
  async refresh(atLeast = -1): Promise<LogState> {
    return await this.#inTurn(async () => {
      this.#highest = Math.max(this.#highest, atLeast);
      await this.#catchUp();
      return this.#state.capture();
    });
  }

  /** The table as it was at a version, from the versions themselves. Rejects with OPTION_INVALID where there is none of that number. */
  async at(version: number): Promise<LogState> {
    return (await this.replay(version)).capture();
  }

  /** What the versions up to one add up to, whatever checkpoints say. Nothing that this object knows is used or changed. */
  async replay(upTo = Number.POSITIVE_INFINITY): Promise<TableState> {
    const state = new TableState(this.folder);
    await this.#replayInto(state, Math.min(upTo, await this.highestVersion()), upTo);
    if (Number.isFinite(upTo) && state.version < upTo) {
      throw new MarqueError(
        'OPTION_INVALID',
        `${show(this.folder, 300)} has no version ${upTo}: the last one is ${state.version}`,
      );
    }
    return state;
  }

  /** The last version that was committed at a time (epoch milliseconds) or before; null where the table is younger. */
  async versionAt(time: number): Promise<number | null> {
    return await this.#entries.versionAt(time);
  }

  /** When a version was committed, in epoch milliseconds. */
  async committedAt(version: number): Promise<number> {
    return await this.#entries.committedAt(version);
  }

  /**
   * Appends a batch, with its rows or without, and returns a version that holds it. Durable when it resolves. A batch that is
   * in the log already is not appended again, so this may be tried again after any failure.
   *
   * @throws MarqueError STORE_PATH as {@link checkPlace} does, STORE_UNWRITABLE.
   */
  async append(id: BatchId, segment: SegmentFile | null, needs: Needs = {}): Promise<number> {
    const committed = await this.#commit(
      (state, now) => (state.has(id) ? null : appendEntry(this.table, id, segment, needs, now)),
      segment === null ? [] : [segment],
    );
    if (committed === null) await syncFolder(this.#entries.folder); // the attempt before may have failed on exactly this
    return committed ?? this.#state.version;
  }

  /**
   * Replaces segments by others in one version, and returns it; null, with nothing done, where one of those to be removed is not part
   * of the table any more. Durable when it resolves. A crash, or an error, may leave it done.
   */
  async replace(change: Replacement, needs: Needs = {}): Promise<number | null> {
    return await this.#commit(
      (state, now) =>
        change.removed.every(({ name }) => state.isLive(name)) ? replaceEntry(this.table, change, needs, now) : null,
      change.added,
    );
  }

  /** Raises a table of an older format to ours, so that programs that know only that one do not write it any more. */
  async upgrade(): Promise<void> {
    await this.#commit((state, now) => (state.format < formatVersion ? upgradeEntry(state.metaData, now) : null), []);
  }

  /** Writes a checkpoint where the last one is many versions back, or there is none. */
  async checkpoint(format: CheckpointFormat): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#checkpointIsRecent) return;
      this.#checkpointed = await lastCheckpointVersion(this.#entries.folder);
      if (this.#checkpointIsRecent) return;
      await this.#catchUp(); // what is known may be from before a repair
      const { version } = this.#state;
      await writeCheckpoint(this.#entries.folder, this.table, this.#state, (lines, parquet) =>
        format.writeCheckpoint(lines, parquet),
      );
      this.#checkpointed = version;
    });
  }

  /** What one version says; null where there is none of that number. */
  async read(version: number): Promise<DeltaActions | null> {
    return await this.#entries.read(version);
  }

  /** The highest version there is; -1 where there is no log. */
  async highestVersion(): Promise<number> {
    return await this.#entries.highestVersion();
  }

  pathOf(version: number): string {
    return this.#entries.pathOf(version);
  }

  /**
   * Commits what `make` gives for the state before it, as the next version; null, with nothing done, where it gives null. Where somebody
   * else was faster it is asked again, with what they did. `added` are the segments that it names.
   */
  async #commit(make: (state: TableState, now: number) => string | null, added: readonly SegmentFile[]): Promise<number | null> {
    return await this.#inTurn(async () => {
      for (;;) {
        await this.#catchUp();
        await this.#lookOnce();
        const state = this.#state;
        const text = make(state, Math.max(Date.now(), state.committedAt)); // clocks jump, but versions have an order
        if (text === null) return null;
        const path = this.pathOf(state.version + 1);
        await this.#anchor.check();
        for (const { name } of added) await this.#checkPresent(name);
        if (!(await putIfAbsent(path, text))) continue;
        state.apply(parseActions(this.table, text, path), path);
        return state.version;
      }
    });
  }

  /** A process that has slept since it wrote a file must not name it when a vacuum has taken it for a leftover. */
  async #checkPresent(name: string): Promise<void> {
    const path = join(this.folder, name);
    if (await isThere(path)) return;
    throw new MarqueError('STORE_UNWRITABLE', `${show(path, 300)} has gone before it became part of the store: try again`);
  }

  async #catchUp(): Promise<void> {
    if (this.#state.version === -1) {
      await this.#anchor.hold();
      this.#highest = Math.max(this.#highest, await this.highestVersion());
      await this.#startFromCheckpoint(this.#highest);
    }
    await this.#goOn();
    if (this.#state.version === -1) throw this.#entries.missing(0);
  }

  /**
   * Entries may have gone after the first look, and others stand after them: what is committed must not take their place. Once is enough,
   * for from here on each version is read in its turn, or committed.
   */
  async #lookOnce(): Promise<void> {
    if (this.#hasLooked) return;
    this.#highest = Math.max(this.#highest, await this.highestVersion());
    await this.#goOn();
    this.#hasLooked = true;
  }

  /**
   * Applies the versions that have come. Where one says that a repair has replaced a version that is applied already, all of them are read
   * again: what is known rests on what is not true any more. Until the repair is done, that fails.
   */
  async #goOn(): Promise<void> {
    if (await this.#replayInto(this.#state, this.#highest)) return;
    this.#highest = Math.max(this.#highest, this.#state.version);
    this.#state = new TableState(this.folder);
    await this.#replayInto(this.#state, this.#highest);
  }

  /** One from before a repair does not count: whoever begins with it has to read all versions after all. */
  get #checkpointIsRecent(): boolean {
    if (this.#checkpointed < this.#state.rebuiltAt) return false;
    return this.#checkpointed !== -1 && this.#state.version - this.#checkpointed < checkpointEvery;
  }

  /** Where reading the checkpoint fails, all versions are there to be read. */
  async #startFromCheckpoint(known: number): Promise<void> {
    if (known < checkpointEvery) return;
    const state = new TableState(this.folder);
    try {
      const said = (await lastPacked(this.#entries.folder)) ?? (await this.#readCheckpoint());
      if (said === null || said.version > known) return;
      state.load(said.actions, said.version);
    } catch {
      return;
    }
    this.#state = state;
  }

  async #readCheckpoint(): Promise<{ readonly version: number; readonly actions: DeltaActions } | null> {
    const checkpoint = await lastCheckpoint(this.#entries.folder);
    if (checkpoint === null) return null;
    const { version, path } = checkpoint;
    const actions = parseActions(this.table, await this.#checkpoints.readCheckpoint(path), path);
    // Says what a checkpoint does not. Without it the checkpoint is as good as before.
    const own = await this.read(version).catch(() => null);
    return { version, actions: { ...actions, committedAt: own?.committedAt ?? null, needs: own?.needs ?? {} } };
  }

  /**
   * Applies the versions that follow: at least to `known`, at most to `upTo`. The log ends where the next two are missing. False, and the
   * state is of no use, where a version that it began with has been replaced since. One that is read here has been replaced before: what
   * is damaged cannot be read.
   */
  async #replayInto(state: TableState, known: number, upTo = Number.POSITIVE_INFINITY): Promise<boolean> {
    const begin = state.version;
    let turn = performance.now();
    while (state.version < upTo) {
      const next = state.version + 1;
      const entry = this.#entries.readNow(next) ?? (await this.#entries.readLater(next, known));
      if (entry === null) return true;
      if (entry.rebuilt.some((version) => version <= begin)) return false;
      state.apply(entry, this.pathOf(next));
      if (performance.now() - turn < longestTurn) continue;
      await setImmediate();
      turn = performance.now();
    }
    return true;
  }

  /** One job after another: what has been read so far is shared. */
  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(job, job);
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }
}
