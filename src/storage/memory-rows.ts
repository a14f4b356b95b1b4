import type { RecordBatch } from 'apache-arrow';
import type { Candidate } from '../evaluate.ts';
import { buffersOf, type ColumnBuffers, valueAt } from '../record-rows.ts';
import { columnsOf, type ColumnType, type Row, type TableName } from '../schema.ts';
import type { Batch, Status } from '../store.ts';
import type { Tag } from '../tag.ts';
import { type ChildRows, type ChildTable, joinChildren, noChildren } from './scope-rows.ts';

/**
 * Record batches seen as rows, for the storages that answer without a database. Each record batch is indexed when it is first
 * asked for a sid, once, whoever looks at it.
 */
export class MemoryRows {
  readonly #batches: readonly Batch[];
  readonly #tables = new Map<TableName, readonly TableRows<TableName>[]>();

  constructor(batches: readonly Batch[]) {
    this.#batches = batches;
  }

  /** Every scope, for `evaluateSearch`: columns are read as they are looked at. */
  *candidates(): Generator<Candidate> {
    for (const rows of this.#table('scopes')) {
      for (let index = 0; index < rows.length; index++) yield new RowCandidate(this, rows, index);
    }
  }

  /** The row of a scope, or null where it is not among these. */
  scope(sid: number): Row<'scopes'> | null {
    return this.#rowsOf('scopes', sid)[0] ?? null;
  }

  /** `flow.step.run.path` of a scope, or null where it is not among these. */
  id(sid: number): string | null {
    for (const rows of this.#table('scopes')) {
      if (rows.mayHold(sid)) for (const index of rows.indexesOf(sid)) return rows.id(index);
    }
    return null;
  }

  /** The slugs of runs with scopes or events. */
  slugs(): Set<string> {
    const slugs = new Set<string>();
    for (const [table, column] of [
      ['scopes', 'run'],
      ['runs', 'slug'],
    ] as const) {
      for (const rows of this.#table(table))
        for (let index = 0; index < rows.length; index++) slugs.add(rows.value(column, index) as string);
    }
    return slugs;
  }

  /** How many rows a table has. */
  count(table: TableName): number {
    return this.#table(table).reduce((sum, rows) => sum + rows.length, 0);
  }

  /** Everything that belongs to a scope, or with ordinal 0 to a run, whether or not that is there itself. */
  children(sid: number): ChildRows {
    const own = {
      artifacts: this.#rowsOf('artifacts', sid),
      tags: this.#rowsOf('tags', sid),
      logs: this.#rowsOf('logs', sid),
      edges: this.#rowsOf('edges', sid),
    };
    return joinChildren(noChildren, own);
  }

  tags(sid: number): readonly Tag[] {
    return this.#rowsOf('tags', sid)
      .sort((a, b) => (a.seq as number) - (b.seq as number))
      .map(({ content, value }) => ({ content: content as string, value }));
  }

  /** The distinct sids of a table. */
  sids(table: 'scopes' | ChildTable): Set<number> {
    const sids = new Set<number>();
    for (const rows of this.#table(table)) for (let index = 0; index < rows.length; index++) sids.add(rows.sid(index));
    return sids;
  }

  /** All rows of a table. */
  *all<T extends TableName>(table: T): Generator<Row<T>> {
    for (const rows of this.#table(table)) for (let index = 0; index < rows.length; index++) yield rows.row(index);
  }

  #rowsOf<T extends 'scopes' | ChildTable>(table: T, sid: number): Row<T>[] {
    const found: Row<T>[] = [];
    for (const rows of this.#table(table)) {
      if (rows.mayHold(sid)) for (const index of rows.indexesOf(sid)) found.push(rows.row(index));
    }
    return found;
  }

  #table<T extends TableName>(table: T): readonly TableRows<T>[] {
    let all = this.#tables.get(table);
    if (all === undefined) {
      const batches = this.#batches.flatMap(({ tables }) => tables[table] ?? []);
      all = batches.filter((batch) => batch.numRows > 0).map((batch) => tableRows(table, batch));
      this.#tables.set(table, all);
    }
    return all as readonly TableRows<T>[];
  }
}

const known = new WeakMap<RecordBatch, TableRows<TableName>>();

function tableRows<T extends TableName>(table: T, batch: RecordBatch): TableRows<T> {
  let rows = known.get(batch) as TableRows<T> | undefined;
  if (rows === undefined) known.set(batch, (rows = new TableRows(table, batch)));
  return rows;
}

/** One table of one batch: rows by position, and by the sid in their first column. */
class TableRows<T extends TableName> {
  readonly length: number;
  readonly #columns: ReadonlyMap<string, readonly [type: ColumnType, buffers: ColumnBuffers]>;
  #sids: Float64Array | undefined;
  #order: Uint32Array | undefined;

  constructor(table: T, batch: RecordBatch) {
    this.length = batch.numRows;
    this.#columns = new Map(columnsOf(table).map(([name, type], column) => [name, [type, buffersOf(batch, column)]]));
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

  /** Of a scope. */
  id(index: number): string {
    return ['flow', 'step', 'run', 'path'].map((column) => this.value(column, index)).join('.');
  }

  sid(index: number): number {
    this.#sids ??= Float64Array.from(this.#columns.get('sid')?.[1].values as BigInt64Array, Number);
    return this.#sids[index] as number;
  }

  /** False for most batches of a long history, and cheap. */
  mayHold(sid: number): boolean {
    const order = this.#sorted();
    return sid >= this.sid(order[0] as number) && sid <= this.sid(order[this.length - 1] as number);
  }

  /** Where the rows of a sid are, in ascending order, by binary search. */
  *indexesOf(sid: number): Generator<number> {
    const order = this.#sorted();
    let low = 0;
    for (let high = this.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.sid(order[middle] as number) < sid) low = middle + 1;
      else high = middle;
    }
    for (; low < this.length && this.sid(order[low] as number) === sid; low++) yield order[low] as number;
  }

  /** The positions of the rows, by sid. */
  #sorted(): Uint32Array {
    this.#order ??= Uint32Array.from({ length: this.length }, (_, index) => index).sort(
      (a, b) => this.sid(a) - this.sid(b) || a - b,
    );
    return this.#order;
  }
}

class RowCandidate implements Candidate {
  readonly #all: MemoryRows;
  readonly #rows: TableRows<'scopes'>;
  readonly #index: number;

  constructor(all: MemoryRows, rows: TableRows<'scopes'>, index: number) {
    this.#all = all;
    this.#rows = rows;
    this.#index = index;
  }

  get sid(): number {
    return this.#rows.sid(this.#index);
  }

  get flow(): string {
    return this.#rows.value('flow', this.#index) as string;
  }

  get step(): string {
    return this.#rows.value('step', this.#index) as string;
  }

  get run(): string {
    return this.#rows.value('run', this.#index) as string;
  }

  get path(): string {
    return this.#rows.value('path', this.#index) as string;
  }

  get status(): Status {
    return this.#rows.value('status', this.#index) as Status;
  }

  get params(): string | null {
    return this.#rows.value('params', this.#index) as string | null;
  }

  get startedAt(): number {
    return this.#rows.value('started_at', this.#index) as number;
  }

  get durationMs(): number {
    return this.#rows.value('duration_ms', this.#index) as number;
  }

  tags(): readonly Tag[] {
    return this.#all.tags(this.sid);
  }
}
