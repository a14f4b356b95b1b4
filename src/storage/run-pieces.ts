import { columnsOf, type Row, type TableName } from '../schema.ts';
import { sidOf } from '../sid.ts';
import type { Snapshot, SqlValue } from '../store.ts';
import type { TableRowLists } from './row-batch.ts';
import { rowSize } from './scope-windows.ts';

/** Bytes of text and data, roughly, in a piece: what is in memory at a time. */
const pieceBytes = 8 * 2 ** 20;

/** The order of a run's rows: scope by scope, and what belongs to a scope before the scope itself, which makes it visible. */
const ranks = ['artifacts', 'tags', 'logs', 'edges', 'scopes'] as const;

type RunTable = (typeof ranks)[number];

/** Rows of one table within a piece: those from one key to another, both included. */
interface Range {
  readonly table: RunTable;
  readonly from: { readonly sid: number; readonly seq: number };
  readonly to: { readonly sid: number; readonly seq: number };
}

/**
 * All rows of a run, in pieces of about 8 MiB, or of one row where that is larger. A run that has ended gives the same pieces each
 * time. Rows of steps that have never ended are left out.
 */
export async function* runPieces(snapshot: Snapshot, runNumber: number): AsyncGenerator<TableRowLists> {
  for (const piece of await planPieces(snapshot, runNumber)) {
    const rows: Record<string, readonly Row<TableName>[]> = {};
    for (const range of piece) rows[range.table] = await readRange(snapshot, range);
    yield rows;
  }
}

async function planPieces(snapshot: Snapshot, runNumber: number): Promise<readonly (readonly Range[])[]> {
  const keys = ranks.map((table, rank) => {
    return `SELECT sid, ${rank} AS rank, ${seqOf(table)} AS seq, ${rowSize(table)} AS bytes FROM ${visible(table, 'sid BETWEEN $1 AND $2')}`;
  });
  // Rows of one key, such as the edges from one scope to another, stay together: as peers in the order they have the same sum.
  const { values, rowCount } = await snapshot.select({
    text: `WITH
      keys AS (${keys.join('\nUNION ALL ')}),
      running AS (SELECT sid, rank, seq, sum(bytes) OVER (ORDER BY sid, rank, seq) // ${pieceBytes} AS piece FROM keys),
      ends AS (SELECT piece, rank, min({'sid': sid, 'seq': seq}) AS a, max({'sid': sid, 'seq': seq}) AS b FROM running GROUP BY piece, rank)
      SELECT piece, rank, a.sid, a.seq, b.sid, b.seq FROM ends ORDER BY piece, rank`,
    values: [BigInt(sidOf(runNumber, 0)), BigInt(sidOf(runNumber + 1, 0) - 1)],
  });
  const pieces = new Map<number, Range[]>();
  for (let row = 0; row < rowCount; row++) {
    const [piece, rank, fromSid, fromSeq, toSid, toSeq] = values.map((column) => column[row] as number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const range = { table: ranks[rank] as RunTable, from: { sid: fromSid, seq: fromSeq }, to: { sid: toSid, seq: toSeq } };
    pieces.set(piece, [...(pieces.get(piece) ?? []), range]);
  }
  return [...pieces.values()];
}

async function readRange(snapshot: Snapshot, { table, from, to }: Range): Promise<readonly Row<TableName>[]> {
  const columns = columnsOf(table);
  const seq = seqOf(table);
  const bounds: SqlValue[] = [from.sid, to.sid, from.seq, to.seq].map(BigInt);
  const { values, rowCount } = await snapshot.select({
    text: `SELECT ${columns.map(([name]) => name).join(', ')} FROM ${visible(table, 'sid BETWEEN $1 AND $2')}
      WHERE (sid > $1 OR ${seq} >= $3) AND (sid < $2 OR ${seq} <= $4) ORDER BY ${orderOf(table)}`,
    values: bounds,
  });
  return Array.from({ length: rowCount }, (_, row) => {
    return Object.fromEntries(columns.map(([name], column) => [name, plain(values[column]?.[row])])) as Row<TableName>;
  });
}

/** Rows whose scope is there, and those of the run itself. */
function visible(table: RunTable, range: string): string {
  if (table === 'scopes') return `(FROM raw.scopes WHERE ${range})`;
  return `(
    FROM raw.${table} SEMI JOIN (SELECT sid FROM raw.scopes WHERE ${range}) AS s USING (sid) WHERE ${range}
    UNION ALL FROM raw.${table} WHERE ${range} AND sid % 4294967296 = 0
  )`;
}

/** What stands apart the rows that a scope has in a table: it may have millions. */
function seqOf(table: RunTable): string {
  if (table === 'edges') return 'target_sid';
  return table === 'scopes' ? '0' : 'seq';
}

function orderOf(table: RunTable): string {
  if (table === 'edges') return 'sid, target_sid, kind, name';
  return table === 'scopes' ? 'sid' : 'sid, seq';
}

function plain(value: unknown): unknown {
  return value instanceof Date ? value.getTime() : value;
}
