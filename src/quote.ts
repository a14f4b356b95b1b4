import { MarqueError, show } from './error.ts';

/** A name as an SQL identifier, whatever it contains. */
export function quoteName(name: string): string {
  return `"${refuseNul(name).replaceAll('"', '""')}"`;
}

/** A text as an SQL literal, for the few places where DuckDB takes no parameter (ATTACH, SET). Bind it everywhere else. */
export function quoteText(text: string): string {
  return `'${refuseNul(text).replaceAll("'", "''")}'`;
}

/** @throws MarqueError `OPTION_INVALID`: to DuckDB, SQL text and paths end at a NUL, and the rest would be dropped in silence. */
export function refuseNul(text: string): string {
  if (text.includes('\0'))
    throw new MarqueError('OPTION_INVALID', `${show(text)} contains a NUL character, where DuckDB would stop reading`);
  return text;
}
