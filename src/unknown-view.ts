import { MarqueError } from './error.ts';
import { orNear } from './near.ts';
import { views } from './sql.ts';

/** The error for a SELECT from something that is not there, with the names of the views; others as they are. DuckDB would suggest tables of its own. */
export function withViewNames(error: unknown): unknown {
  if (!(error instanceof MarqueError && error.code === 'SQL_INVALID')) return error;
  const message = error.message.replace(
    /^(Catalog Error: Table with name (\S+) does not exist!)(?:\n?Did you mean "[^"]*"\?)?/,
    (_, said: string, name: string) => `${said}${orNear(name, views().keys())}`,
  );
  return message === error.message ? error : new MarqueError(error.code, message, { cause: error.cause });
}
