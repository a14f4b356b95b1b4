import { MarqueError, show } from '../error.ts';

/**
 * What DuckDB could not write, as STORE_UNWRITABLE: in DuckDB's words, without the SQL that it was given. Any other error is given
 * back as it is.
 */
export function unwritable(place: string, error: unknown): unknown {
  if (!(error instanceof MarqueError && error.cause instanceof Error) || error.code === 'STORE_LOCKED') return error;
  const reason = /^(?:IO Error: |TransactionContext Error: Failed to commit: (?=Could not))(.*)/.exec(error.cause.message)?.[1];
  if (reason === undefined) return error;
  const advice = 'The rows are kept, and flush() tries again';
  return new MarqueError('STORE_UNWRITABLE', `${show(place, 300)} cannot be written: ${reason}. ${advice}`, {
    cause: error.cause,
  });
}
