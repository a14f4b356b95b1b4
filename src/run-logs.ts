import { Lazy } from './lazy.ts';
import type { LogEntry, LogLevel } from './log.ts';
import type { Storage } from './storage/storage.ts';

/** What was logged in one run, by time: the lines of its scopes and its own. Await it for an array, or iterate it. */
export class RunLogs extends Lazy<LogEntry> {
  readonly #storage: Storage;
  readonly #runNumber: number;

  constructor(storage: Storage, runNumber: number) {
    super();
    this.#storage = storage;
    this.#runNumber = runNumber;
  }

  override async *[Symbol.asyncIterator](): AsyncGenerator<LogEntry, void, undefined> {
    yield* this.#storage.sql<{ level: LogLevel; message: string; at: Date; id: string | null }>`
      SELECT logs.level AS level, logs.message AS message, logs.logged_at AS at, scopes.id AS id
      FROM logs LEFT JOIN scopes ON scopes.sid = logs.sid
      WHERE logs.sid BETWEEN ${BigInt(this.#runNumber) << 32n} AND ${(BigInt(this.#runNumber + 1) << 32n) - 1n}
      ORDER BY logs.logged_at, logs.sid, logs.seq`;
  }
}
