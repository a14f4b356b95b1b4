import {
  DuckDBArrayType,
  DuckDBListType,
  DuckDBMapType,
  DuckDBStructType,
  type DuckDBType,
  DuckDBTypeId,
  DuckDBUnionType,
  type Vector,
} from './binding.ts';
import { Bits } from './bits.ts';
import type { Column, ColumnPart, Texts } from './column.ts';
import { type Convert, fixedKinds, type FixedValues } from './fixed-values.ts';
import { ArrayCollector, ListCollector, StructCollector, UnionCollector } from './nested-collector.ts';
import { packed, SpelledCollector } from './spelled-collector.ts';
import { TextCollector } from './text-collector.ts';
import { bytesOf, isValidIn, itemsOf, type Validity, validityOf } from './vector.ts';

/** A column that is put together from the vectors of a result. */
export interface Collector {
  /**
   * Copies all that it needs: the chunk may go afterwards.
   * @param parent of what the vector is a part of: where that has no value, this has none
   */
  add(vector: Vector, type: DuckDBType, count: number, parent: Validity): void;
  /** Of what has come since the last cut. */
  readonly byteLength: number;
  /** Ends a part. */
  cut(): void;
  /** After the last cut. */
  end(): Collected;
}

export type Collected = Pick<Column, 'kind' | 'parts' | 'texts' | 'children'>;

/**
 * What collects the values of a type. It alone tells the kind of the column, but that a column of texts may be a dictionary. Buffers are copied, but
 * of TIME, INTERVAL, BIT, BIGNUM and VARIANT, whose values DuckDB's bindings read one by one.
 */
export function collectorOf(type: DuckDBType, isNested = false): Collector {
  const nested = nestedCollectorOf(type);
  if (nested !== null) return nested;
  switch (type.typeId) {
    case DuckDBTypeId.VARCHAR:
      return new TextCollector(true, isNested);
    case DuckDBTypeId.BLOB:
    case DuckDBTypeId.GEOMETRY:
      return new TextCollector(false, isNested);
    case DuckDBTypeId.BOOLEAN:
      return new BooleanCollector();
    case DuckDBTypeId.BIGNUM:
    case DuckDBTypeId.VARIANT:
      return new ValuesCollector();
    default: {
      const fixed = fixedKinds[type.typeId];
      if (fixed === undefined) return new SpelledCollector();
      const texts = type.typeId === DuckDBTypeId.ENUM ? packed(type.values) : null;
      return new FixedCollector(...fixed, texts);
    }
  }
}

function nestedCollectorOf(type: DuckDBType): Collector | null {
  const inner = (one: DuckDBType): Collector => collectorOf(one, true);
  if (type instanceof DuckDBListType) return new ListCollector('list', inner(type.valueType), type.valueType);
  if (type instanceof DuckDBArrayType) return new ArrayCollector(inner(type.valueType), type.valueType, type.length);
  if (type instanceof DuckDBMapType) {
    const entry = new DuckDBStructType(['key', 'value'], [type.keyType, type.valueType]);
    return new ListCollector('map', inner(entry), entry);
  }
  if (type instanceof DuckDBStructType) return new StructCollector(type.entryTypes.map(inner), type.entryTypes, type.entryNames);
  if (type instanceof DuckDBUnionType) return new UnionCollector(type.memberTypes.map(inner), type.memberTypes, type.memberTags);
  return null;
}

class FixedCollector implements Collector {
  readonly #kind: Column['kind'];
  readonly #convert: Convert;
  readonly #texts: Texts | null;
  readonly #validity = new Bits();
  readonly #parts: ColumnPart[] = [];
  #pieces: FixedValues[] = [];
  #rows = 0;

  constructor(kind: Column['kind'], convert: Convert, texts: Texts | null) {
    this.#kind = kind;
    this.#convert = convert;
    this.#texts = texts;
  }

  add(vector: Vector, type: DuckDBType, count: number, parent: Validity): void {
    const bits = validityOf(vector, count, parent);
    const isValid = isValidIn(bits);
    this.#validity.append(bits, count);
    const values = this.#convert(vector, count, type, isValid);
    if (bits !== null) clearNulls(values, count, isValid);
    this.#pieces.push(values);
    this.#rows += count;
  }

  get byteLength(): number {
    return this.#pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  cut(): void {
    const { bytes, isAllOnes } = this.#validity.take();
    this.#parts.push({ rows: this.#rows, validity: isAllOnes ? null : bytes, values: joined(this.#pieces), offsets: null });
    this.#pieces = [];
    this.#rows = 0;
  }

  end(): Collected {
    return { kind: this.#kind, parts: this.#parts, texts: this.#texts, children: [] };
  }
}

class BooleanCollector implements Collector {
  readonly #validity = new Bits();
  readonly #values = new Bits();
  readonly #parts: ColumnPart[] = [];
  #rows = 0;

  add(vector: Vector, _type: DuckDBType, count: number, parent: Validity): void {
    const bits = new Uint8Array((count + 7) >> 3);
    const validity = validityOf(vector, count, parent);
    bytesOf(vector, count).forEach((byte, row) => {
      if (byte !== 0) bits[row >> 3] = (bits[row >> 3] as number) | (1 << (row & 7));
    });
    if (validity !== null) bits.forEach((eight, at) => (bits[at] = eight & (validity[at] as number)));
    this.#validity.append(validity, count);
    this.#values.append(bits, count);
    this.#rows += count;
  }

  get byteLength(): number {
    return this.#rows >> 2;
  }

  cut(): void {
    const { bytes, isAllOnes } = this.#validity.take();
    this.#parts.push({ rows: this.#rows, validity: isAllOnes ? null : bytes, values: this.#values.take().bytes, offsets: null });
    this.#rows = 0;
  }

  end(): Collected {
    return { kind: 'boolean', parts: this.#parts, texts: null, children: [] };
  }
}

class ValuesCollector implements Collector {
  readonly #parts: ColumnPart[] = [];
  #values: unknown[] = [];

  add(vector: Vector, type: DuckDBType, count: number, parent: Validity): void {
    const isValid = isValidIn(validityOf(vector, count, parent));
    const item = itemsOf(vector, type, count);
    for (let row = 0; row < count; row++) this.#values.push(isValid(row) ? item(row) : null);
  }

  /** About. */
  get byteLength(): number {
    return this.#values.length * 16;
  }

  cut(): void {
    this.#parts.push({ rows: this.#values.length, validity: null, values: this.#values, offsets: null });
    this.#values = [];
  }

  end(): Collected {
    return { kind: 'values', parts: this.#parts, texts: null, children: [] };
  }
}

/** What stands there is left over from other queries: nobody is to see it, or to take it for a value. */
function clearNulls(values: FixedValues, count: number, isValid: (row: number) => boolean): void {
  const zero = values instanceof BigInt64Array || values instanceof BigUint64Array ? 0n : 0;
  const width = count === 0 ? 0 : values.length / count; // 2 where a value has 128 bits
  for (let row = 0; row < count; row++) if (!isValid(row)) (values as Int32Array).fill(zero as 0, row * width, (row + 1) * width);
}

function joined(pieces: readonly FixedValues[]): FixedValues {
  const [first = new Int32Array()] = pieces;
  if (pieces.length <= 1) return first;
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const all = new (first.constructor as new (length: number) => FixedValues)(length);
  let at = 0;
  for (const piece of pieces) {
    (all as Int32Array).set(piece as Int32Array, at); // all of them are of one kind
    at += piece.length;
  }
  return all;
}
