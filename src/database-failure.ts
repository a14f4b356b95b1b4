import type { Shared } from './connection.ts';
import { type ErrorCode, MarqueError, messageOf, show } from './error.ts';
import { withMarkedPlace } from './sql-place.ts';

/**
 * Whether DuckDB refuses everything from now on; it says so in a FATAL error again and again. An internal error stops it as well, but only the
 * next statement would hear of it. Only how a message begins tells: behind that, it quotes what stands in the query or in its data.
 */
export function isFatal(message: string): boolean {
  return /^(?:FATAL|INTERNAL) Error:/.test(message);
}

/** What keeps DuckDB from giving the tree of a text, for people. It looks for the values of a PIVOT with a statement of its own, unless they are given. */
export function unparsable(message: string, text: string): string {
  if (!message.startsWith('Only SELECT')) return message;
  if (!/\bpivot\b/i.test(text)) return `${show(text.trim(), 100)} is something else`;
  return `a PIVOT has to name its values, as in PIVOT tags ON content IN ('loss', 'accuracy') USING max(value)`;
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
