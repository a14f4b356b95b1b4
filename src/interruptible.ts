import type { DuckDBConnection } from './binding.ts';

/** That a query was given up: no failure of its own. The reason, which may be anything, is what its caller gets. */
export class GivenUp extends Error {
  readonly reason: unknown;

  constructor(reason: unknown) {
    super('the query was given up');
    this.reason = reason;
  }
}

/**
 * Runs a query that is given up when the signal aborts, and then rejects with a `GivenUp`. For what only reads: an interrupted COMMIT is reported
 * as failed although it is durable.
 */
export async function interruptible<T>(
  connection: DuckDBConnection,
  signal: AbortSignal | undefined,
  query: () => Promise<T>,
): Promise<T> {
  let again: NodeJS.Timeout | undefined;
  // Again and again: DuckDB forgets an interrupt that comes before the query has begun.
  const interrupt = (): void => {
    again = setInterval(() => connection.interrupt(), 10);
  };
  if (signal?.aborted) throw new GivenUp(signal.reason);
  signal?.addEventListener('abort', interrupt, { once: true });
  try {
    return await query();
  } catch (error) {
    throw signal?.aborted ? new GivenUp(signal.reason) : error;
  } finally {
    clearInterval(again);
    signal?.removeEventListener('abort', interrupt);
  }
}

/** How often somebody is told how far a query is, in milliseconds. */
const interval = 100;

/**
 * Is told which part of the work is done, above 0 and up to 1, null where DuckDB does not know, and how long it has taken so far. It may be async.
 */
export type OnProgress = (fraction: number | null, elapsedMs: number) => unknown;

/**
 * The same, and tells from time to time which part of the work is done, never less than before. What `onProgress` throws, or
 * rejects with, gives the query up, too. DuckDB counts only where it is told to, which costs nothing that could be measured, and prints unless it is told not to.
 */
export async function observed<T>(
  connection: DuckDBConnection,
  signal: AbortSignal | undefined,
  onProgress: OnProgress,
  query: () => Promise<T>,
): Promise<T> {
  const failed = new AbortController();
  const begun = performance.now();
  let latest = 0;
  const tell = (): void => {
    // Below 0 where it is not known, and 0 to the end where it counts nothing, as for the branches of a UNION ALL.
    latest = Math.max(latest, Math.min(connection.progress.percentage / 100, 1));
    try {
      const told = onProgress(latest > 0 ? latest : null, performance.now() - begun);
      if (told instanceof Promise) told.catch((error: unknown) => failed.abort(error));
    } catch (error) {
      failed.abort(error);
    }
  };
  await connection.run('SET enable_progress_bar_print = false; SET enable_progress_bar = true');
  const timer = setInterval(tell, interval);
  try {
    const stop = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
    return await interruptible(connection, stop, query);
  } finally {
    clearInterval(timer);
    await connection.run('SET enable_progress_bar = false');
  }
}
