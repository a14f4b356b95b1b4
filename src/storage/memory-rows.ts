import type { Candidate } from '../evaluate.ts';
import type { Row, TableName } from '../schema.ts';
import { runNumberOf } from '../sid.ts';
import type { Batch, Status } from '../store.ts';
import type { Tag } from '../tag.ts';
import { type ChildRows, type ChildTable, joinChildren, noChildren } from './scope-rows.ts';
import { Cursor, merged, type TableRows, tableRows } from './table-rows.ts';

/**
 * Record batches seen as rows, for the storages that answer without a database. Each record batch is indexed when it is first
 * asked for a sid, once, whoever looks at it.
 */
export class MemoryRows {
  readonly #batches: readonly Batch[];
  readonly #tables = new Map<TableName, readonly TableRows<TableName>[]>();
  readonly #byRun = new Map<TableName, Map<number, TableRows<TableName>[]>>();

  constructor(batches: readonly Batch[]) {
    this.#batches = batches;
  }

  /** The scopes of the runs that are asked for, by sid, for `evaluateSearch`: columns are read as they are looked at. */
  *candidates(order: 'newest' | 'oldest' = 'oldest', isAsked: (run: number) => boolean = () => true): Generator<RowCandidate> {
    const byRun = this.#ofRuns('scopes');
    const runs = [...byRun.keys()].filter(isAsked).sort((a, b) => (order === 'newest' ? b - a : a - b));
    for (const run of runs) {
      const pieces = (byRun.get(run) as readonly TableRows<'scopes'>[]).map((rows) => new Cursor(rows, run, order));
      for (const { rows, index } of merged(pieces)) yield new RowCandidate(this, rows, index);
    }
  }

  /** One of them, or null where it is not among these. */
  candidate(sid: number): RowCandidate | null {
    const [place] = this.#placesOf('scopes', sid);
    return place === undefined ? null : new RowCandidate(this, ...place);
  }

  /** The row of a scope, or null where it is not among these. */
  scope(sid: number): Row<'scopes'> | null {
    return this.#rowsOf('scopes', sid)[0] ?? null;
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
    const places = this.#placesOf('tags', sid);
    const seqOf = ([rows, index]: (typeof places)[number]) => rows.value('seq', index) as number;
    if (places.length > 1) places.sort((a, b) => seqOf(a) - seqOf(b));
    return places.map(([rows, index]) => ({
      content: rows.value('content', index) as string,
      value: rows.value('value', index) as number | null,
    }));
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
    return this.#placesOf(table, sid).map(([rows, index]) => rows.row(index));
  }

  /** Where the rows of a sid are, batch by batch. */
  #placesOf<T extends 'scopes' | ChildTable>(table: T, sid: number): [rows: TableRows<T>, index: number][] {
    const found: [TableRows<T>, number][] = [];
    for (const rows of this.#ofRuns(table).get(runNumberOf(sid)) ?? []) {
      for (const index of rows.indexesOf(sid)) found.push([rows, index]);
    }
    return found;
  }

  /** The record batches by the number of the run that they are of. */
  #ofRuns<T extends 'scopes' | ChildTable>(table: T): ReadonlyMap<number, readonly TableRows<T>[]> {
    let byRun = this.#byRun.get(table);
    if (byRun === undefined) {
      byRun = new Map();
      for (const rows of this.#table(table)) {
        for (const run of rows.runs) {
          const others = byRun.get(run);
          if (others === undefined) byRun.set(run, [rows]);
          else others.push(rows);
        }
      }
      this.#byRun.set(table, byRun);
    }
    return byRun as ReadonlyMap<number, readonly TableRows<T>[]>;
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

  get attempt(): number {
    return this.#rows.value('attempt', this.#index) as number;
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
