import { MarqueError, show } from '../error.ts';
import type { Snapshot } from '../store.ts';
import { compact, type CompactedTable, type CompactOptions } from './compact.ts';
import { type DeletedRun, deletedRunOf, deleteRuns } from './delete-runs.ts';
import { chooseRuns, refuseActive, type RunsToDelete } from './doomed-runs.ts';
import { History } from './history.ts';
import { ParquetStore } from './parquet-store.ts';
import { checkPoint, type StoreVersion, storeVersions } from './past-states.ts';
import type { Repaired } from './repair.ts';
import { Storage, type StorageOptions } from './storage.ts';
import { type Vacuumed, type VacuumOptions, vacuum } from './vacuum.ts';
import type { Verified } from './verify.ts';

/**
 * Keeps the history as a folder of Delta Lake tables: Parquet segments with a transaction log, which DuckDB, Polars and delta-rs
 * read as they are, also while a run is writing, and which several processes may write at once. The folder is made on first use.
 *
 * A flush leaves a small segment in each table; a run that has ended merges its own. What else keeps a store in shape is below: all of
 * it may run while flows write, and may be killed at any moment.
 */
export class ParquetStorage extends Storage {
  readonly #store: ParquetStore;

  constructor(folder: string, options: StorageOptions = {}) {
    const store = new ParquetStore(folder, options);
    super(store, options);
    this.#store = store;
  }

  /**
   * Merges small segments, so that queries have fewer files to open, and says what became of each table. The files that were merged stay,
   * for queries that have begun before and for `asOf`, until a `vacuum`. Also finishes deletions of runs that were interrupted.
   *
   * @throws MarqueError `STORE_DAMAGED` where a segment is not as it was written, `STORE_UNWRITABLE`, `STORE_PATH` where there is no store.
   */
  async compact(options: CompactOptions = {}): Promise<readonly CompactedTable[]> {
    const { segmentBytes } = options;
    if (segmentBytes !== undefined && !(typeof segmentBytes === 'number' && segmentBytes >= 1)) {
      throw new MarqueError('OPTION_INVALID', `segmentBytes is ${show(segmentBytes)}: give a number of bytes`);
    }
    return await this.#store.maintain((tables) => compact(tables, options));
  }

  /**
   * Removes files that left the tables longer than `retention` ago, by default seven days, and what processes that died have left. A query
   * that has been reading for longer than that fails, and `asOf` reaches back no further.
   *
   * ```ts
   * await storage.vacuum({ retention: '12h', dryRun: true }); // { files: 120, bytes: 48193024 }
   * ```
   *
   * @throws MarqueError `OPTION_INVALID`, `STORE_DAMAGED` where a log cannot be read, `STORE_UNWRITABLE`, `STORE_PATH`.
   */
  async vacuum(options: VacuumOptions = {}): Promise<Vacuumed> {
    return await this.#store.inspect((folder, logs) => vacuum(folder, logs, options));
  }

  /**
   * Reads everything there is and says what is wrong with it: segments, by their checksums; logs; checkpoints; claims of runs; spills. It goes
   * on after each problem, works on a store that otherwise refuses to open, and changes nothing.
   *
   * @throws MarqueError `STORE_PATH` where there is no store, `STORE_FORMAT` for one of a newer version.
   */
  async verify(): Promise<Verified> {
    const { verify } = await import('./verify.ts');
    return await this.#store.apart((folder, limits) => verify(folder, limits));
  }

  /**
   * Makes a damaged store usable, and says what is lost; each run concerned gets that as a line of its log, too. Damaged files are kept in
   * the store's folder `_damaged`. A version of a log that was lost is put together again from what is certain. Where it was stopped, the
   * next call goes on. Processes that have the store open learn of it, and go on from what the repair has made; those that cannot,
   * since the first version of a log was lost, say so.
   *
   * @throws MarqueError `STORE_PATH`, `STORE_FORMAT`, `STORE_UNWRITABLE`, `STORE_LOCKED` while another repair is under way.
   */
  async repair(): Promise<Repaired> {
    const { lockRepairs, repairLogs, repairSegments } = await import('./repair.ts');
    const lock = await this.#store.apart((folder) => lockRepairs(folder));
    try {
      const logs = await this.#store.apart((folder, limits) => repairLogs(folder, limits));
      this.#store.forget();
      return await this.#store.maintain((tables) => repairSegments(tables, logs));
    } finally {
      await lock.release();
    }
  }

  /**
   * Deletes runs, with everything that belongs to them: by slug, by several, or by what a function says of each row of the view `runs`.
   *
   * ```ts
   * await storage.deleteRuns((run) => run.state === 'aborted' && run.scopes < 10);
   * ```
   *
   * They are gone for readers at once; their files, and what `asOf` shows of them, with a `vacuum`. The view `runs` goes on to name them, as
   * `deleted`: neither number nor slug is given again.
   *
   * @throws MarqueError `RUN_ACTIVE`, naming them, where some may still be writing, and `RUN_UNKNOWN`: then nothing is deleted;
   * `STORE_LOCKED`, where another process stays busy with what dead ones have left of them; `OPTION_INVALID`, `STORE_DAMAGED`,
   * `STORE_UNWRITABLE`, `STORE_PATH`.
   */
  async deleteRuns(which: RunsToDelete, { dryRun = false }: { readonly dryRun?: boolean } = {}): Promise<readonly DeletedRun[]> {
    const choose = async () => {
      const snapshot = await this.#store.snapshot([]);
      try {
        const runs = await chooseRuns(snapshot, which);
        await this.#store.inspect((folder) => refuseActive(folder, runs));
        return runs;
      } finally {
        await snapshot.release();
      }
    };
    if (dryRun) return (await choose()).map(deletedRunOf);
    return await this.#store.maintain(async (tables) => await deleteRuns(tables, await choose()));
  }

  /**
   * The history as it was at a version, or at a time: to be searched and asked as the storage itself, which has to stay open.
   *
   * ```ts
   * const yesterday = storage.asOf(new Date(Date.now() - 86_400_000));
   * await yesterday.search('*.train.*');
   * ```
   *
   * What was not flushed by then is not part of it.
   *
   * @throws MarqueError `OPTION_INVALID` at once; `VERSION_UNKNOWN`, where it is asked, for a version that never was, a time before the
   * first, and what a vacuum has removed.
   */
  asOf(point: number | Date): History {
    checkPoint(point);
    return new Past(async () => await this.ending(await this.#store.past(point)), `${this} as of ${nameOf(point)}`);
  }

  /** The versions that `asOf` takes, newest first. */
  async versions(): Promise<readonly StoreVersion[]> {
    return await this.#store.inspect((_folder, logs) => storeVersions(logs));
  }
}

class Past extends History {
  readonly #open: () => Promise<Snapshot>;
  readonly #label: string;

  constructor(open: () => Promise<Snapshot>, label: string) {
    super();
    this.#open = open;
    this.#label = label;
  }

  override toString(): string {
    return this.#label;
  }

  protected override openSnapshot(): Promise<Snapshot> {
    return this.#open();
  }
}

function nameOf(point: number | Date): string {
  return typeof point === 'number' ? `version ${point}` : point.toISOString();
}
