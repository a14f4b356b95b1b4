import type { Shared } from './connection.ts';
import { type ErrorCode, MarqueError, messageOf, show } from './error.ts';
import { withMarkedPlace } from './sql-place.ts';

/** An internal error stops DuckDB as well, but only the next statement would hear of it. */
export function isFatal(message: string): boolean {
  return /^(?:FATAL|INTERNAL) Error|database has been invalidated/.test(message);
}

/** What DuckDB says of a statement that failed, as our error: `code` where the statement is to blame, else `DATABASE_FAILED`. */
export function databaseFailure(cause: unknown, message: string, text: string, code: ErrorCode): MarqueError {
  const [, memory] = /^Out of Memory Error: (.*)/.exec(message) ?? [];
  if (memory !== undefined) {
    const advice = 'give the storage a higher memoryLimit or fewer threads, or ask for less at a time';
    return new MarqueError('DATABASE_FAILED', `DuckDB is out of memory: ${advice} (${memory})`, { cause });
  }
  if (code === 'SQL_INVALID' && !isOwnFailure(message)) return new MarqueError(code, withMarkedPlace(message, text), { cause });
  return new MarqueError('DATABASE_FAILED', `DuckDB failed on ${show(text, 200)}: ${message}`, { cause });
}

/**
 * Whether DuckDB failed at something else than what the text says. `Invalid Error` is its name for what it has no name for; a file
 * that is not there is one that the text names.
 */
function isOwnFailure(message: string): boolean {
  return /^(?:IO(?! Error: No files found)|Invalid|Serialization|TransactionContext|Connection|Scheduler|INTERRUPT) Error/.test(
    message,
  );
}

/** What every call on a database gives after an error that has stopped it. */
export function invalidated({ label, fatal }: Shared): MarqueError {
  const advice = 'stopped at a fatal error and must be opened again; what was acknowledged is safe';
  return new MarqueError('DATABASE_FAILED', `the database ${label} ${advice}: ${messageOf(fatal)}`, { cause: fatal });
}
