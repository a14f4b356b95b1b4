import { inspect } from 'node:util';
import type { TableName } from './schema.ts';
import type { Statement } from './store.ts';

/** How much of a table an answer reads. */
export interface TableReading {
  readonly table: TableName;
  /** The files that are read, of those there are: the others can hold nothing that counts, by their statistics. Null without files. */
  readonly segments: { readonly read: readonly string[]; readonly all: number } | null;
  /** Rows in those files; DuckDB leaves out some of them again, by the statistics of row groups. Null where it is not known. */
  readonly rows: { readonly read: number; readonly all: number } | null;
  /** Rows that are not flushed yet, which are read as well. */
  readonly unflushed: number;
}

/** How a query is answered, as plain data. Nothing of the query was run. `console.log` shows it as text. */
export class Explanation {
  /** In `DuckDB`, or row by row in this process's `memory`. */
  readonly engine: 'DuckDB' | 'memory';
  /** What DuckDB runs; a JavaScript `where` is no part of it. Null in memory. */
  readonly statement: Statement | null;
  /** What is read of the tables that the answer can depend on. */
  readonly tables: readonly TableReading[];
  /** Whether a JavaScript `where` is called, on distinct tags of the scopes that match otherwise. */
  readonly javascript: boolean;
  /** Of a search for a recent run: looks at runs with this number or a higher one, and at older ones while it has found nothing. */
  readonly oldestRun: number | null;
  /** DuckDB's plan, as it draws it. Null in memory. */
  readonly plan: string | null;

  constructor(parts: Partial<Omit<Explanation, 'toString'>> & Pick<Explanation, 'engine'>) {
    this.engine = parts.engine;
    this.statement = parts.statement ?? null;
    this.tables = parts.tables ?? [];
    this.javascript = parts.javascript ?? false;
    this.oldestRun = parts.oldestRun ?? null;
    this.plan = parts.plan ?? null;
  }

  toString(): string {
    const { statement, tables, plan } = this;
    const values = (statement?.values ?? []).map(
      (value, index) => `$${index + 1} = ${inspect(value, { breakLength: Infinity })}`,
    );
    return [
      ...(statement === null ? [] : [statement.text, ...values, '']),
      ...tables.map(describe),
      ...(this.javascript ? ['A JavaScript predicate judges tags of the scopes that match otherwise.'] : []),
      ...(this.oldestRun === null ? [] : [`Older runs than number ${this.oldestRun} are looked at only while nothing is found.`]),
      ...(this.engine === 'memory' ? ['Evaluated row by row in memory.'] : []),
      ...(plan === null ? [] : ['', plan.trimEnd()]),
    ].join('\n');
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

function describe({ table, segments, rows, unflushed }: TableReading): string {
  const parts = [
    ...(segments === null ? [] : [`${count(segments.read.length)} of ${count(segments.all)} segments`]),
    ...(rows === null
      ? []
      : [rows.read === rows.all ? `${count(rows.all)} rows` : `${count(rows.read)} of ${count(rows.all)} rows`]),
    ...(unflushed === 0 ? [] : [`${count(unflushed)} rows not flushed yet`]),
  ];
  return `${table}: ${parts.join(', ')}`;
}

function count(many: number): string {
  return many.toLocaleString('en-US');
}
