import type { RecordBatch } from 'apache-arrow';
import { buffersOf, type ColumnBuffers, valueAt } from '../record-rows.ts';
import { columnsOf, type ColumnType, type Row, type TableName } from '../schema.ts';
import { sidOf } from '../sid.ts';

const known = new WeakMap<RecordBatch, TableRows<TableName>>();

/** The rows of a record batch, which is indexed once, whoever looks at it. */
export function tableRows<T extends TableName>(table: T, batch: RecordBatch): TableRows<T> {
  let rows = known.get(batch) as TableRows<T> | undefined;
  if (rows === undefined) known.set(batch, (rows = new TableRows(table, batch)));
  return rows;
}

/** One table of one batch: rows by position, and by the sid in their first column. */
export class TableRows<T extends TableName> {
  readonly length: number;
  readonly #columns: ReadonlyMap<string, readonly [type: ColumnType, buffers: ColumnBuffers]>;
  /** The sids in halves, the lower one first: the upper one is the number of the run. A BIGINT costs ten times as much to look at. */
  readonly #halves: Uint32Array;
  #runs: readonly number[] | undefined;
  #order: Uint32Array | undefined;

  constructor(table: T, batch: RecordBatch) {
    this.length = batch.numRows;
    this.#columns = new Map(columnsOf(table).map(([name, type], column) => [name, [type, buffersOf(batch, column)]]));
    const { buffer, byteOffset } = buffersOf(batch, 0).values;
    this.#halves = new Uint32Array(buffer, byteOffset, 2 * this.length);
  }

  value(column: string, index: number): string | number | Uint8Array | null {
    const [type, buffers] = this.#columns.get(column) as readonly [ColumnType, ColumnBuffers];
    return valueAt(type, buffers, index);
  }

  row(index: number): Row<T> {
    return Object.fromEntries(
      Array.from(this.#columns, ([name, [type, buffers]]) => [name, valueAt(type, buffers, index)]),
    ) as Row<T>;
  }

  sid(index: number): number {
    return (this.#halves[2 * index + 1] as number) * 2 ** 32 + (this.#halves[2 * index] as number);
  }

  /** The numbers of the runs that there are rows of: mostly one. */
  get runs(): readonly number[] {
    if (this.#runs === undefined) {
      const runs = new Set<number>();
      let last = -1;
      for (let half = 1; half < this.#halves.length; half += 2) {
        const run = this.#halves[half] as number;
        if (run !== last) runs.add((last = run));
      }
      this.#runs = [...runs];
    }
    return this.#runs;
  }

  /** Where the rows of a sid are, in ascending order. */
  *indexesOf(sid: number): Generator<number> {
    for (let rank = this.rankOf(sid); rank < this.length && this.sid(this.indexAt(rank)) === sid; rank++)
      yield this.indexAt(rank);
  }

  /** How many rows have a lesser sid, by binary search. */
  rankOf(sid: number): number {
    let low = 0;
    for (let high = this.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.sid(this.indexAt(middle)) < sid) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The position of the row that comes at this place by sid. */
  indexAt(rank: number): number {
    this.#order ??= this.#sorted();
    return this.#order[rank] as number;
  }

  /** The positions of the rows, by sid. They mostly are so already. */
  #sorted(): Uint32Array {
    const order = Uint32Array.from({ length: this.length }, (_, index) => index);
    for (let index = 1; index < this.length; index++) {
      if (this.sid(index) < this.sid(index - 1)) return order.sort((a, b) => this.sid(a) - this.sid(b) || a - b);
    }
    return order;
  }
}

/** Goes through the rows that a batch has of one run, by sid. */
export class Cursor {
  readonly rows: TableRows<'scopes'>;
  readonly #step: 1 | -1;
  #rank: number;
  #left: number;

  constructor(rows: TableRows<'scopes'>, run: number, order: 'newest' | 'oldest') {
    const [begin, end] = [rows.rankOf(sidOf(run, 0)), rows.rankOf(sidOf(run + 1, 0))];
    this.rows = rows;
    this.#step = order === 'newest' ? -1 : 1;
    this.#rank = order === 'newest' ? end - 1 : begin;
    this.#left = end - begin;
  }

  get isAtEnd(): boolean {
    return this.#left === 0;
  }

  get index(): number {
    return this.rows.indexAt(this.#rank);
  }

  /** Less than that of whatever is to come later. */
  get key(): number {
    return this.#step * this.rows.sid(this.index);
  }

  next(): void {
    this.#rank += this.#step;
    this.#left--;
  }
}

/** Where cursors are, each in turn as long as it comes first: they overlap only where steps ran at the same time. */
export function* merged(cursors: readonly Cursor[]): Generator<Cursor> {
  for (let rest = cursors; rest.length > 0; rest = rest.filter(({ isAtEnd }) => !isAtEnd)) {
    let first = rest[0] as Cursor;
    let second = Number.POSITIVE_INFINITY;
    for (const cursor of rest.slice(1)) {
      if (cursor.key < first.key) [first, second] = [cursor, first.key];
      else second = Math.min(second, cursor.key);
    }
    do {
      yield first;
      first.next();
    } while (!first.isAtEnd && first.key < second);
  }
}
