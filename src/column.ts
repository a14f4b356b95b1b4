import type { Result } from './store.ts';

/**
 * The columns of a result, laid out as Arrow does: a buffer of values, one of validity bits, and for texts and bytes one of offsets. Rows are
 * read out of them when somebody asks.
 */
export interface Column {
  readonly name: string;
  /** DuckDB's. */
  readonly type: string;
  /**
   * What the values of a part are: `integer` an Int32Array, `bigint` and `time` (milliseconds, UTC) a BigInt64Array, `unsigned` a
   * BigUint64Array, `huge` and `unsigned-huge` the same with two elements a row, the lower first, `double` a Float64Array, `boolean` bits,
   * `text` and `bytes` bytes between offsets, `dictionary` an Int32Array of positions in `texts`, `union` a Uint8Array of positions in
   * `children`. A `list` has nothing but offsets into its only child, a `map` into one with a `key` and a `value`; a `struct`, or a `tuple`,
   * whose fields have no names of their own, has only children. `values` are plain values.
   */
  readonly kind: Kind;
  /** In order. All columns of a result have theirs of the same lengths. */
  readonly parts: readonly ColumnPart[];
  /** Each text of a `dictionary` once. */
  readonly texts: Texts | null;
  /** Of what is nested, with as many parts. Under a null of the parent they have none either, or nothing points to them. */
  readonly children: readonly Column[];
}

type Kind = ScalarKind | NestedKind;
type ScalarKind =
  | 'integer'
  | 'bigint'
  | 'unsigned'
  | 'huge'
  | 'unsigned-huge'
  | 'double'
  | 'boolean'
  | 'time'
  | 'text'
  | 'bytes'
  | 'dictionary'
  | 'values';
type NestedKind = 'list' | 'map' | 'struct' | 'tuple' | 'union';

export interface ColumnPart {
  readonly rows: number;
  /** Least significant bit first, 1 where there is a value; null where there is one everywhere. */
  readonly validity: Uint8Array | null;
  readonly values: Int32Array | BigInt64Array | BigUint64Array | Float64Array | Uint8Array | readonly unknown[];
  /** One more than there are rows, of `text`, `bytes`, `list` and `map`. */
  readonly offsets: Int32Array | null;
}

/** Texts in UTF-8, one behind the other. */
export interface Texts {
  readonly bytes: Uint8Array;
  /** One more than there are texts. */
  readonly offsets: Int32Array;
}

/** A result whose columns are buffers. */
export interface ColumnarResult {
  readonly columns: readonly Column[];
  readonly rowCount: number;
}

/**
 * All values of a column: integers as numbers where they are safe, times as `Date`, bytes as `Uint8Array`, a list or tuple as array, a struct as
 * object, a map as `Map`, a union as the value that it holds.
 */
export function valuesOf(column: Column): unknown[] {
  return [...eachOf(column)];
}

/** The same, one by one. */
export function* eachOf(column: Column): Generator<unknown, void, undefined> {
  for (const { rows, at } of readersOf(column)) for (let row = 0; row < rows; row++) yield at(row);
}

/** The values of all columns at once. */
export function plainResult({ columns, rowCount }: ColumnarResult): Result {
  return { columns: columns.map(({ name, type }) => ({ name, type })), values: columns.map(valuesOf), rowCount };
}

/** The rows of a result as objects, each made when it is asked for. */
export function* rowsOf({ columns }: ColumnarResult): Generator<Record<string, unknown>, void, undefined> {
  const names = columns.map(({ name }) => name);
  const readers = columns.map(readersOf);
  const parts = columns[0]?.parts ?? [];
  for (let part = 0; part < parts.length; part++) {
    const each = readers.map((reader) => (reader[part] as Reader).at);
    for (let row = 0; row < (parts[part] as ColumnPart).rows; row++)
      yield Object.fromEntries(each.map((at, column) => [names[column] as string, at(row)])); // `__proto__` is a name as any other
  }
}

interface Reader {
  readonly rows: number;
  readonly at: (row: number) => unknown;
}

function readersOf(column: Column): readonly Reader[] {
  const { kind, texts, children, parts } = column;
  const text = texts === null ? null : textReader(texts.bytes, texts.offsets);
  const known: string[] = []; // a text that repeats is decoded once
  const readers = children.map(readersOf);
  return parts.map((part, index) => {
    const inner = readers.map((each) => (each[index] as Reader).at);
    const read =
      text === null
        ? (nestedReader(column, part, inner) ?? valueReader(kind, part))
        : (row: number) => {
            const key = (part.values as Int32Array)[row] as number;
            return (known[key] ??= text(key));
          };
    const { rows, validity } = part;
    if (validity === null) return { rows, at: read };
    return { rows, at: (row) => (((validity[row >> 3] as number) >> (row & 7)) & 1 ? read(row) : null) };
  });
}

function valueReader(kind: Kind, { values, offsets }: ColumnPart): (row: number) => unknown {
  switch (kind) {
    case 'bigint':
    case 'unsigned':
      return (row) => safe((values as BigInt64Array | BigUint64Array)[row] as bigint);
    case 'huge':
    case 'unsigned-huge':
      return (row) => safe(hugeAt(values as BigInt64Array | BigUint64Array, row));
    case 'time':
      return (row) => new Date(Number((values as BigInt64Array)[row]));
    case 'boolean':
      return (row) => ((((values as Uint8Array)[row >> 3] as number) >> (row & 7)) & 1) === 1;
    case 'text':
      return textReader(values as Uint8Array, offsets as Int32Array);
    case 'bytes':
      return (row) => (values as Uint8Array).slice((offsets as Int32Array)[row], (offsets as Int32Array)[row + 1]);
    default:
      return (row) => values[row];
  }
}

type Inner = readonly ((row: number) => unknown)[];

function nestedReader(
  { kind, children }: Column,
  { values, offsets }: ColumnPart,
  inner: Inner,
): ((row: number) => unknown) | null {
  const items = (row: number): unknown[] => {
    const [from, to] = [(offsets as Int32Array)[row] as number, (offsets as Int32Array)[row + 1] as number];
    return Array.from({ length: to - from }, (_, index) => inner[0]?.(from + index));
  };
  switch (kind) {
    case 'list':
      return items;
    case 'map':
      return (row) => new Map((items(row) as { key: unknown; value: unknown }[]).map(({ key, value }) => [key, value]));
    case 'tuple':
      return (row) => inner.map((at) => at(row));
    case 'struct':
      return (row) => Object.fromEntries(inner.map((at, field) => [children[field]?.name as string, at(row)]));
    case 'union':
      return (row) => inner[values[row] as number]?.(row);
    default:
      return null;
  }
}

/** The number of 128 bits in two elements, of which the upper tells the sign. */
export function hugeAt(values: BigInt64Array | BigUint64Array, row: number): bigint {
  return ((values[row * 2 + 1] as bigint) << 64n) | BigInt.asUintN(64, values[row * 2] as bigint);
}

/** Not a `TextDecoder`, which drops a leading U+FEFF. */
function textReader({ buffer, byteOffset, byteLength }: Uint8Array, offsets: Int32Array): (row: number) => string {
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  return (row) => bytes.toString('utf8', offsets[row], offsets[row + 1]);
}

/** A number where it is exact, else the bigint itself. */
export function safe(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
