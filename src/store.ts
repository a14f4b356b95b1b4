import type { RecordBatch } from 'apache-arrow';
import type { ColumnarResult } from './column.ts';
import type { Explanation } from './explanation.ts';
import type { Within } from './extent.ts';
import type { TypedColumn } from './portable.ts';
import type { Mark } from './recorder.ts';
import type { TableName } from './schema.ts';
import type { Search } from './search.ts';

/**
 * The narrow interface that every storage body implements. Everything above it (buffering, flush policy, retries of a failed
 * flush, lazy queries, rows not yet flushed) is written once, for all of them.
 */
export interface Store {
  /** For messages and `toString`: what kind, and where. */
  readonly label: string;

  /** The absolute path of its folder or file; absent where it has none. */
  readonly place?: string;

  /** Takes the next run number and a slug, both for ever. Two claims never get the same, whoever makes them. */
  claim(request: ClaimRequest): Promise<Claim>;

  /**
   * Takes on the claim of a run that an earlier attempt to bring it in has left, among the numbers that `mayBe` it: of a process that has
   * ended, or of this one. Null where there is none. A store without it claims the run anew.
   */
  reclaim?(request: ClaimRequest, mayBe: (number: number) => boolean): Promise<Claim | null>;

  /**
   * Stores a batch: durable when it resolves, whole or absent when it does not. The same id is stored once, however often
   * it is written, so a failed write may be tried again. The caller never has two writes under way at once for one writer.
   */
  write(batch: Batch): Promise<void>;

  /**
   * What can be read at this moment: everything written, and those of the `unflushed` batches that have not been written by
   * then. No row is seen twice or missed, even when a batch of the list is being written right now.
   */
  snapshot(unflushed: readonly Batch[]): Promise<Snapshot>;

  /**
   * The last thing a process does for what it has not stored: puts rows where the next one that writes to the store finds them, and stores
   * them under the same ids. Synchronous, whatever is under way, also once the store is closed. `batches` are those of one writer, in
   * order. A store that ends with the process has nothing to do. Throws what the system does.
   */
  spill(batches: readonly UnwrittenBatch[]): void;

  /**
   * Takes a batch that has to wait out of memory. Synchronous as well. Null for a store that has no other place for it. Throws what the
   * system does.
   */
  park(id: BatchId, mark: Mark): ParkedBatch | null;

  /** Lets go of files, locks and memory. Waits for what is under way. Called once. */
  close(): Promise<void>;
}

export interface ClaimRequest {
  readonly uuid: string;
  readonly flow: string;
  /** Draws a two-part slug; called again whenever the one before was taken. */
  drawSlug(): string;
  /** The run number is to be higher than this: for a copy of a store that keeps the numbers. */
  readonly after?: number;
  /**
   * Whether the run begins with this claim: should its process die before it has stored anything, the claim is what tells of it. That of a
   * run which is copied from another store is left to whoever copies it again.
   */
  readonly begins?: boolean;
}

export interface Claim {
  readonly number: number;
  readonly slug: string;
  /**
   * Ends the heartbeat. The number and the slug stay taken. `abandoned` says that the run will never be recorded to have ended, though
   * its process may live on.
   */
  release(end?: { readonly abandoned?: boolean }): Promise<void>;
}

/** Who wrote a batch, and which one of theirs it is: `writer` is `<run uuid>/<epoch>`, `number` counts from 1. */
export interface BatchId {
  readonly writer: string;
  readonly number: number;
}

/** Rows on their way into the store: Arrow record batches by table, absent where there are none. */
export interface Batch {
  readonly id: BatchId;
  readonly tables: Readonly<Partial<Record<TableName, RecordBatch>>>;
}

/** A batch as the engine's own columns, for when there is no time to make record batches of them. */
export interface UnwrittenBatch {
  readonly id: BatchId;
  readonly rows: Mark | ParkedBatch;
}

/** A batch that waits outside of memory. It dies with its process, unless that spills it. */
export interface ParkedBatch {
  read(): Promise<Batch>;
  /** Makes a spill of it. Synchronous. */
  spill(): void;
  remove(): Promise<void>;
}

/** A value that SQL text refers to as `$1`, `$2`, … Numbers bind as DOUBLE, bigints as BIGINT, lists as lists of those. */
export type SqlValue =
  | null
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | readonly (string | null)[]
  | readonly (number | null)[]
  | readonly (bigint | null)[]
  | readonly (boolean | null)[]
  | readonly (Date | null)[];

/** SQL text with the values it binds, in order. */
export interface Statement {
  readonly text: string;
  readonly values: readonly SqlValue[];
  /** For a statement of ours that is about some scopes only, where the text does not tell: other rows need not be read. */
  readonly within?: Within;
}

/**
 * A result in memory. Integers that are safe are numbers, larger ones bigints; timestamps are `Date`, BLOBs `Uint8Array`, lists
 * arrays, structs objects.
 */
export interface Result {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** One array a column, equally long. */
  readonly values: readonly (readonly unknown[])[];
  readonly rowCount: number;
}

/** Which artifacts of a scope are fetched: those with these names, all (true), or none. Their names always are. */
export type ArtifactChoice = boolean | readonly string[];

/** How a query is answered. */
export interface Asking {
  /** When it aborts, what is under way rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How what is found is given page by page. */
export interface PageAsking extends Asking {
  /** Whether nobody will stop half way: the pages are then large from the first on. */
  readonly wantsAll?: boolean;
}

/** Scopes, in the order of a search, and `flow.step.run.path` of each. */
export interface Identified {
  readonly sids: readonly number[];
  readonly ids: readonly string[];
}

/** How scopes are read. */
export interface ReadAsking extends Asking {
  /** All of them by default. */
  readonly artifacts?: ArtifactChoice;
  /**
   * About how many bytes of artifacts are read at most, where a storage has to fetch them: then it gives only as many of the first scopes,
   * and at least one. No limit by default.
   */
  readonly bytes?: number;
}

/** How a SELECT of a user is answered. */
export interface SqlAsking extends Asking {
  /**
   * Told ten times a second which part of the work is done, above 0 and up to 1, null where DuckDB does not know, and for how many
   * milliseconds it has been worked on. Where it throws, or rejects, the query rejects with that.
   */
  readonly onProgress?: ((fraction: number | null, elapsedMs: number) => unknown) | undefined;
}

/** One consistent state of all tables. It stays readable, and the same, until it is released. */
export interface Snapshot {
  /** The sids of the scopes that a search finds, in its order, its limit applied. */
  find(search: Search, asking?: Asking): Promise<readonly number[]>;

  /** The same in pages of some hundred to some hundred thousand, each found when it is asked for. None is empty. */
  pages(search: Search, asking?: PageAsking): AsyncGenerator<readonly number[], void, undefined>;

  /** How many they are. */
  count(search: Search, asking?: Asking): Promise<number>;

  /** The scopes with these sids, in this order; sids that are not there are left out. */
  read(sids: readonly number[], asking?: ReadAsking): Promise<readonly ScopeRecord[]>;

  /** The same as `pages`, with the ids. */
  ids(search: Search, asking?: PageAsking): AsyncGenerator<Identified, void, undefined>;

  /** The slugs of all runs, also of those without any scope, and without those that were deleted. */
  slugs(): Promise<readonly string[]>;

  /**
   * The highest number of a run that may have scopes within, as far as is known at once: -1 where there is none, null where nobody knows.
   * There may be later runs without scopes.
   */
  newestRun(within: Within): number | null;

  /** How a search, or a SELECT over the views, would be answered. Nothing of it is run. */
  explain(what: Search | Statement): Promise<Explanation>;

  /** Runs one SELECT over the views of `sql/views.sql`. Anything else is refused. */
  select(statement: Statement): Promise<Result>;

  /** The same with the result as columns, which takes a fraction of the time and memory where it is large. */
  query(statement: Statement, asking?: SqlAsking): Promise<ColumnarResult>;

  /** The scopes with these sids, in this order, with the columns of `scopeColumns` and no children; sids that are not there are left out. */
  table(sids: readonly number[], asking?: Asking): Promise<ColumnarResult>;

  /**
   * Writes what one SELECT gives to a new Parquet file in its database's temporary folder, with the columns of portable.ts. Whoever asked
   * removes it; the end of the database does as well. Refused and stopped like `select`.
   */
  stage(statement: Statement): Promise<Staged>;

  /** Waits for what `find` and `read` have under way; a `select` is stopped and rejects with STORE_CLOSED. Idempotent. */
  release(): Promise<void>;
}

/** A Parquet file with the rows of a SELECT. */
export interface Staged {
  readonly path: string;
  readonly rows: number;
  /** As they are in the file, where they are called `c0`, `c1`, …: no name that somebody gave gets in the way of reading it. */
  readonly columns: readonly TypedColumn[];
  /** What the SELECT calls them. */
  readonly names: readonly string[];
}

/** `retried` is a failed attempt that another followed; `skipped` a step that was not run. */
export type Status = 'ok' | 'error' | 'retried' | 'skipped';

/** One scope with its children as plain data, as read back from any storage. Times are epoch milliseconds. */
export interface ScopeRecord {
  readonly sid: number;
  readonly flow: string;
  readonly run: string;
  readonly step: string;
  readonly path: string;
  readonly attempt: number;
  readonly parentSid: number | null;
  readonly refSid: number | null;
  readonly status: Status;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly errorMessage: string | null;
  readonly errorStack: string | null;
  /** Canonical JSON, or null where nothing plain was pushed with the step. */
  readonly params: string | null;
  readonly tags: readonly { readonly content: string; readonly value: number | null }[];
  readonly logs: readonly { readonly level: string; readonly message: string; readonly at: number }[];
  readonly artifacts: readonly (EncodedArtifact | UnreadArtifact)[];
}

/** An artifact of which nothing but the name was fetched. */
export interface UnreadArtifact {
  readonly name: string;
  readonly codec: null;
  readonly text: null;
  readonly bytes: null;
}

/** An artifact as it is stored: `codec` says how to read `text` or `bytes` back. */
export interface EncodedArtifact {
  readonly name: string;
  readonly codec: string;
  readonly text: string | null;
  readonly bytes: Uint8Array | null;
}
