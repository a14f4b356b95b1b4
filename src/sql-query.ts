import type { Table } from 'apache-arrow';
import type { TableColumn } from './arrow-table.ts';
import { MarqueError, show } from './error.ts';
import { Lazy } from './lazy.ts';
import type { Result, Snapshot, SqlValue, Statement } from './store.ts';

/**
 * One SELECT over a storage's views, run when it is asked for its answer, and again each time it is asked. Await it for rows
 * as objects, iterate it, or turn it into an Arrow table.
 */
export class SqlQuery<Row extends object = Record<string, unknown>> extends Lazy<Row> {
  readonly #open: () => Promise<Snapshot>;
  /** The text with its bound values. */
  readonly statement: Statement;

  constructor(open: () => Promise<Snapshot>, statement: Statement) {
    super();
    this.#open = open;
    this.statement = statement;
  }

  override async *[Symbol.asyncIterator](): AsyncGenerator<Row, void, undefined> {
    const { columns, values, rowCount } = await this.result();
    for (let row = 0; row < rowCount; row++) {
      yield Object.fromEntries(columns.map(({ name }, column) => [name, values[column]?.[row]])) as Row;
    }
  }

  /**
   * The whole result, by column, with the names and DuckDB types of its columns. Of several columns with one name the later ones
   * get a number: `sid`, `sid_1`.
   */
  async result(): Promise<Result> {
    const snapshot = await this.#open();
    try {
      const { columns, ...result } = await snapshot.select(this.statement);
      return { ...result, columns: distinct(columns) };
    } finally {
      await snapshot.release();
    }
  }

  /** The result as an Arrow table. Dates become milliseconds. */
  async toArrow(): Promise<Table> {
    const { columns, values } = await this.result();
    const { tableOf } = await import('./arrow-table.ts');
    return tableOf(columns.map(({ name, type }, column) => ({ name, type: columnType(type), values: values[column] ?? [] })));
  }
}

/** The parts of a tagged template as a statement: every value is bound, none becomes part of the text. */
export function statementOf(strings: TemplateStringsArray, values: readonly unknown[]): Statement {
  if (!Array.isArray(strings) || !('raw' in strings)) {
    throw new MarqueError('SQL_INVALID', `sql is a template tag: write sql\`SELECT …\`, not sql(${show(strings)})`);
  }
  values.forEach(checkSqlValue);
  const text = strings.reduce((sql, part, index) => `${sql}$${index}${part}`);
  return { text, values: values as readonly SqlValue[] };
}

function checkSqlValue(value: unknown, index: number): void {
  const plain = value === null || ['string', 'number', 'bigint', 'boolean'].includes(typeof value);
  if (plain || value instanceof Date || value instanceof Uint8Array || Array.isArray(value)) return;
  throw new MarqueError(
    'SQL_INVALID',
    `value ${index + 1} of the query is ${show(value)}: bind texts, numbers, dates, bytes or lists`,
  );
}

function distinct(columns: Result['columns']): Result['columns'] {
  const taken = new Set<string>();
  return columns.map(({ name, type }) => {
    let free = name;
    for (let copy = 1; taken.has(free); copy++) free = `${name}_${copy}`;
    taken.add(free);
    return { name: free, type };
  });
}

/** The column type that holds a DuckDB type without loss; null for nested and wider types, which follow from the values. */
function columnType(type: string): TableColumn['type'] {
  if (/^(U?TINYINT|U?SMALLINT|INTEGER)$/.test(type)) return 'integer';
  if (/^(UINTEGER|BIGINT)$/.test(type)) return 'bigint';
  if (/^(DOUBLE|FLOAT|DECIMAL\(.*\))$/.test(type)) return 'double';
  if (/^(TIMESTAMP.*|DATE)$/.test(type)) return 'timestamp';
  if (type === 'BLOB') return 'bytes';
  if (type === 'BOOLEAN') return 'boolean';
  return /^(VARCHAR|UUID|ENUM\(.*\)|JSON|TIME.*|INTERVAL)$/.test(type) ? 'text' : null;
}
