import { quoteName } from '../quote.ts';
import { columnsOf, type TableName } from '../schema.ts';
import type { Snapshot, Statement } from '../store.ts';

/** A range of sids, both included. */
export interface SidWindow {
  readonly first: number;
  readonly last: number;
}

/** Bytes of text and data, roughly, that are worked on at a time. */
const windowBytes = 32 * 2 ** 20;

/** What a row costs beyond its texts, roughly, in bytes. */
const rowBytes = 100;

/**
 * The scopes of some runs (null: of all) in ranges of sids, each of about 32 MiB with everything that belongs to them, in the order
 * of their keys. A scope is never divided.
 */
export async function scopeWindows(snapshot: Snapshot, runs: readonly number[] | null): Promise<readonly SidWindow[]> {
  const { values, rowCount } = await snapshot.select(windowsStatement(runs));
  const [first = [], last = []] = values as readonly (readonly number[])[];
  return Array.from({ length: rowCount }, (_, row) => ({ first: first[row] as number, last: last[row] as number }));
}

/** What a row of a table takes, roughly, in bytes, as SQL. */
export function rowSize(table: TableName): string {
  const sizes = columnsOf(table)
    .filter(([name]) => name !== 'flow' && name !== 'run' && name !== 'step')
    .flatMap(([name, type]) => {
      if (type === 'text') return [`coalesce(strlen(${quoteName(name)}), 0)`];
      return type === 'bytes' ? [`coalesce(octet_length(${quoteName(name)}), 0)`] : [];
    });
  return [rowBytes, ...sizes].join(' + ');
}

/** `column` holds the sids of a table; `$1` the numbers of the runs, or null for all. */
export function ofRuns(column: string): string {
  return `($1::BIGINT[] IS NULL OR list_contains($1::BIGINT[], ${column} // 4294967296))`;
}

function windowsStatement(runs: readonly number[] | null): Statement {
  const size = (table: TableName): string => `SELECT sid, ${rowSize(table)} AS bytes FROM raw.${table} WHERE ${ofRuns('sid')}`;
  const sizes = (['scopes', 'tags', 'logs', 'artifacts'] as const).map(size);
  return {
    text: `WITH
      sizes AS (SELECT sid, sum(bytes) AS bytes FROM (${sizes.join('\nUNION ALL ')}) GROUP BY sid),
      running AS (SELECT s.sid, sum(s.bytes) OVER (ORDER BY s.sid) // ${windowBytes} AS number FROM sizes AS s SEMI JOIN raw.scopes AS c ON c.sid = s.sid)
      SELECT min(sid), max(sid) FROM running GROUP BY number ORDER BY number`,
    values: [runs === null ? null : runs.map(BigInt)],
  };
}
