import { createHash } from 'node:crypto';
import type { TableColumns } from '../batch.ts';
import { ConstantColumn, ListColumn, NumberColumn } from '../columns.ts';
import type { Mark } from '../recorder.ts';
import { columnsOf, type ColumnType, type TableName, tableNames } from '../schema.ts';
import type { Batch, BatchId } from '../store.ts';

/**
 * A batch as text, for the moment when a process ends and only synchronous code still runs: no Arrow, no DuckDB. Lines of JSON:
 *
 * - `{"format":"marque-spill","version":1,"writer":"<uuid>/0","number":3,"rows":{"tags":2}}` comes first
 * - `{"table":"tags","column":"content","values":["a","b"]}`: the next values of a column; its lines follow each other
 * - `{"table":"tags","column":"flow","constant":"sweep","rows":2}`: the same value so many times
 * - `{"table":"tags","column":"content","part":"…"}`: the beginning of the value that comes next, which is too long for one line
 * - `{"sha256":"…"}` comes last: of everything before it
 *
 * Numbers that JSON does not have are texts (`"NaN"`, `"-Infinity"`, `"-0"`), bytes are base64, times epoch milliseconds.
 */
const format = 'marque-spill';
const version = 1;

/** A value of more characters or bytes than this is written in parts. A multiple of three: base64 then joins without a seam. */
const longest = 3 * 2 ** 18;
/** Values and characters of a line, more or less. */
const lineValues = 16_384;
const lineLength = 2 ** 20;

/** A spill that cannot be used. `isNewer` where a newer version of the library can use it. */
export class UnusableSpill extends Error {
  readonly isNewer: boolean;

  constructor(message: string, isNewer = false, options?: ErrorOptions) {
    super(message, options);
    this.isNewer = isNewer;
  }
}

interface Header {
  readonly writer: string;
  readonly number: number;
  readonly rows: Readonly<Partial<Record<TableName, number>>>;
}

/** The lines of a batch. */
export function* encodeSpill({ writer, number }: BatchId, mark: Mark): Generator<string> {
  const hash = createHash('sha256');
  const hashed = (line: object): string => {
    const text = `${JSON.stringify(line)}\n`;
    hash.update(text);
    return text;
  };
  const rows = tableNames.flatMap((table) => {
    const count = mark.rows[table] ?? 0;
    return count === 0 ? [] : [[table, count] as const];
  });
  yield hashed({ format, version, writer, number, rows: Object.fromEntries(rows) });
  for (const [table, count] of rows) {
    for (const [column] of columnsOf(table)) {
      for (const line of columnLines(table, column, mark.tables[table]?.[column], count))
        yield hashed({ table, column, ...line });
    }
  }
  yield `${JSON.stringify({ sha256: hash.digest('hex') })}\n`;
}

function* columnLines(
  table: TableName,
  name: string,
  column: TableColumns[string] | undefined,
  count: number,
): Generator<object> {
  if (column === undefined) throw new RangeError(`table ${table} has ${count} rows, and no column ${name}`);
  if (column instanceof ConstantColumn) return yield { constant: column.value, rows: count };
  let values: unknown[] = [];
  let length = 0;
  for (let row = 0; row < count; row++) {
    let value = column instanceof NumberColumn ? numberAt(column, row) : (column.values[row] ?? null);
    if (values.length === lineValues || length > lineLength) {
      yield { values };
      values = [];
      length = 0;
    }
    if (typeof value !== 'number' && value !== null && value.length > longest) {
      if (values.length > 0) yield { values };
      values = [];
      for (; value.length > longest; value = value.slice(longest)) yield { part: written(value.slice(0, longest)) };
    }
    values.push(written(value));
    if (typeof value !== 'number') length += value?.length ?? 0;
  }
  if (values.length > 0) yield { values };
}

function numberAt({ values, valid }: NumberColumn, row: number): number | null {
  return valid[row] === 1 ? (values[row] as number) : null;
}

function written(value: string | Uint8Array | number | null): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64');
  if (typeof value !== 'number' || (Number.isFinite(value) && !Object.is(value, -0))) return value;
  return Object.is(value, -0) ? '-0' : String(value);
}

/**
 * The batch that lines say.
 *
 * @throws UnusableSpill where one of them is not as it was written, or the last ones are missing.
 */
export async function decodeSpill(lines: AsyncIterable<Buffer>): Promise<Batch> {
  const hash = createHash('sha256');
  let columns: SpilledColumns | null = null;
  let last: Line = {};
  let lastText: Buffer | null = null;
  for await (const text of lines) {
    if (lastText !== null) {
      hash.update(lastText).update('\n');
      if (columns === null) columns = new SpilledColumns(headerOf(last));
      else columns.add(last);
    }
    last = parsed(text);
    lastText = text;
  }
  if (columns === null || last.sha256 !== hash.digest('hex')) throw damaged('its checksum does not fit');
  return await columns.batch();
}

type Line = Readonly<Record<string, unknown>>;

function parsed(text: Buffer): Line {
  try {
    return JSON.parse(text.toString('utf8')) as Line;
  } catch (cause) {
    throw damaged('a line of it is no JSON', cause);
  }
}

function headerOf(line: Line): Header {
  if (line.format !== format) throw damaged('it does not begin like a spill');
  if (line.version !== version) throw new UnusableSpill(`it has version ${String(line.version)}, and ${version} is known`, true);
  return line as unknown as Header;
}

function damaged(what: string, cause?: unknown): UnusableSpill {
  return new UnusableSpill(`${what}: it is damaged or cut off`, false, { cause });
}

type SpilledColumn = NumberColumn | ListColumn<string> | ListColumn<Uint8Array>;

/** Lines on their way to columns. A line that was altered may pass here: the checksum tells in the end. */
class SpilledColumns {
  readonly #header: Header;
  readonly #tables = new Map<TableName, ReadonlyMap<string, readonly [type: ColumnType, column: SpilledColumn]>>();
  #parts: string[] = [];

  constructor(header: Header) {
    this.#header = header;
    for (const table of tableNames) {
      if (header.rows?.[table] === undefined) continue;
      const columns = columnsOf(table).map(([name, type]) => [name, [type, emptyColumn(type)]] as const);
      this.#tables.set(table, new Map(columns));
    }
  }

  add({ table, column: name, values, part, constant, rows }: Line): void {
    const [type, column] = this.#tables.get(table as TableName)?.get(name as string) ?? [];
    if (type === undefined || column === undefined) throw damaged('a line of it has no place');
    if (typeof part === 'string') this.#parts.push(part);
    else if (Array.isArray(values)) {
      for (const value of values as readonly unknown[]) column.push(this.#read(type, value) as never);
    } else for (let row = 0; row < (rows as number); row++) column.push(constant as never);
  }

  async batch(): Promise<Batch> {
    const { recordBatch } = await import('../batch.ts');
    const { writer, number, rows } = this.#header;
    const tables = Array.from(this.#tables, ([table, columns]) => {
      const named = Array.from(columns, ([name, [, column]]) => [name, column] as const);
      return [table, recordBatch(table, Object.fromEntries(named), rows[table] as number)] as const;
    });
    return { id: { writer, number }, tables: Object.fromEntries(tables) };
  }

  #read(type: ColumnType, value: unknown): unknown {
    if (value === null) return null;
    if (type !== 'text' && type !== 'bytes') return Number(value);
    const parts = [...this.#parts, value as string];
    this.#parts = [];
    if (type === 'text') return parts.length === 1 ? value : parts.join('');
    return new Uint8Array(Buffer.concat(parts.map((text) => Buffer.from(text, 'base64'))));
  }
}

function emptyColumn(type: ColumnType): SpilledColumn {
  return type === 'text' || type === 'bytes' ? new ListColumn<string>() : new NumberColumn();
}
