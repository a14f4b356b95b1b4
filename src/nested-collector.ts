import { binding, type DuckDBType, type Vector } from './binding.ts';
import { Bits } from './bits.ts';
import type { Column, ColumnPart } from './column.ts';
import type { Collected, Collector } from './column-collector.ts';
import { gathered, rangesOf } from './gather.ts';
import { bytesOf, isValidIn, type Validity, validityOf } from './vector.ts';

/** Where the items of a list are, among those of its vector. */
type Range = readonly [from: number, to: number];

/** What lists have in common: their items one behind the other, and where those of each list begin. */
abstract class ItemsCollector implements Collector {
  readonly #kind: 'list' | 'map';
  readonly #items: Collector;
  readonly #itemType: DuckDBType;
  readonly #validity = new Bits();
  readonly #parts: ColumnPart[] = [];
  /** Which items the lists of a part have, where not simply all of them in order. */
  readonly #picked: (Int32Array | null)[] = [];
  #ranges: Range[] = [];
  #itemCount = 0;

  constructor(kind: 'list' | 'map', items: Collector, itemType: DuckDBType) {
    this.#kind = kind;
    this.#items = items;
    this.#itemType = itemType;
  }

  abstract add(vector: Vector, type: DuckDBType, count: number, parent: Validity): void;

  /** @param ranges of the lists within `items` */
  protected append(validity: Validity, ranges: readonly Range[], items: Vector, count: number, itemsParent: Validity): void {
    const before = this.#itemCount;
    for (const [from, to] of ranges) this.#ranges.push([before + from, before + to]);
    this.#validity.append(validity, ranges.length);
    this.#items.add(items, this.#itemType, count, itemsParent);
    this.#itemCount += count;
  }

  get byteLength(): number {
    return this.#items.byteLength + this.#ranges.length * 16;
  }

  cut(): void {
    const { bytes, isAllOnes } = this.#validity.take();
    this.#items.cut();
    const offsets = new Int32Array(this.#ranges.length + 1);
    let end = 0;
    let isInOrder = true;
    this.#ranges.forEach(([from, to], row) => {
      if (to > from && from !== end) isInOrder = false;
      offsets[row + 1] = end += to - from;
    });
    if (end > mostItems) throw new RangeError('lists of more than 2^31 items stand in a few rows: select less of them at a time');
    this.#parts.push({ rows: this.#ranges.length, validity: isAllOnes ? null : bytes, values: none, offsets });
    this.#picked.push(isInOrder && end === this.#itemCount ? null : rangesOf(this.#ranges));
    this.#ranges = [];
    this.#itemCount = 0;
  }

  end(): Collected {
    const collected: Column = { name: 'item', type: this.#itemType.toString(), ...this.#items.end() };
    const items = this.#picked.reduce((column, rows, part) => (rows === null ? column : gathered(column, part, rows)), collected);
    return { kind: this.#kind, parts: this.#parts, texts: null, children: [items] };
  }
}

/** Collects lists, or maps as lists of their entries. Where DuckDB has one list for many rows, its items stand there once. */
export class ListCollector extends ItemsCollector {
  override add(vector: Vector, _type: DuckDBType, count: number, parent: Validity): void {
    const validity = validityOf(vector, count, parent);
    const isValid = isValidIn(validity);
    const entries = new BigUint64Array(bytesOf(vector, count * 16).buffer);
    const ranges = Array.from({ length: count }, (_, row): Range => {
      if (!isValid(row)) return [0, 0];
      const from = Number(entries[row * 2]);
      return [from, from + Number(entries[row * 2 + 1])];
    });
    this.append(validity, ranges, binding.list_vector_get_child(vector), binding.list_vector_get_size(vector), null);
  }
}

/** Collects arrays of one length as lists. */
export class ArrayCollector extends ItemsCollector {
  readonly #length: number;

  constructor(items: Collector, itemType: DuckDBType, length: number) {
    super('list', items, itemType);
    this.#length = length;
  }

  override add(vector: Vector, _type: DuckDBType, count: number, parent: Validity): void {
    const length = this.#length;
    const validity = validityOf(vector, count, parent);
    const isValid = isValidIn(validity);
    const ranges = Array.from({ length: count }, (_, row): Range => [row * length, (row + 1) * length]);
    const ofItems = validity && bitsOf(count * length, (item) => isValid(Math.floor(item / length)));
    this.append(validity, ranges, binding.array_vector_get_child(vector), count * length, ofItems);
  }
}

/** Collects structs, field by field. */
export class StructCollector implements Collector {
  readonly #fields: readonly Collector[];
  readonly #types: readonly DuckDBType[];
  readonly #names: readonly string[];
  readonly #validity = new Bits();
  readonly #parts: ColumnPart[] = [];
  #rows = 0;

  constructor(fields: readonly Collector[], types: readonly DuckDBType[], names: readonly string[]) {
    this.#fields = fields;
    this.#types = types;
    this.#names = names;
  }

  add(vector: Vector, _type: DuckDBType, count: number, parent: Validity): void {
    const validity = validityOf(vector, count, parent);
    this.#validity.append(validity, count);
    this.#rows += count;
    this.#fields.forEach((field, index) =>
      field.add(binding.struct_vector_get_child(vector, index), this.#types[index] as DuckDBType, count, validity),
    );
  }

  get byteLength(): number {
    return this.#fields.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  cut(): void {
    const { bytes, isAllOnes } = this.#validity.take();
    for (const field of this.#fields) field.cut();
    this.#parts.push({ rows: this.#rows, validity: isAllOnes ? null : bytes, values: none, offsets: null });
    this.#rows = 0;
  }

  end(): Collected {
    const isTuple = this.#names.every((name) => name === '');
    const names = isTuple ? this.#names.map((_, index) => String(index + 1)) : this.#names;
    const kind = isTuple ? 'tuple' : 'struct';
    return { kind, parts: this.#parts, texts: null, children: childrenOf(this.#fields, this.#types, names) };
  }
}

/** Collects unions: which member each row holds, and all members, of which the others have no value there. */
export class UnionCollector implements Collector {
  readonly #members: readonly Collector[];
  readonly #types: readonly DuckDBType[];
  readonly #names: readonly string[];
  readonly #validity = new Bits();
  readonly #parts: ColumnPart[] = [];
  #tags: Uint8Array[] = [];

  constructor(members: readonly Collector[], types: readonly DuckDBType[], names: readonly string[]) {
    this.#members = members;
    this.#types = types;
    this.#names = names;
  }

  add(vector: Vector, _type: DuckDBType, count: number, parent: Validity): void {
    const validity = validityOf(vector, count, parent);
    const isValid = isValidIn(validity);
    this.#validity.append(validity, count);
    // A union is a struct whose first field numbers the member; the other members of a row are undefined memory.
    const tags = bytesOf(binding.struct_vector_get_child(vector, 0), count).map((tag, row) => (isValid(row) ? tag : 0));
    this.#tags.push(tags);
    this.#members.forEach((member, tag) => {
      const isHeld = bitsOf(count, (row) => tags[row] === tag && isValid(row));
      member.add(binding.struct_vector_get_child(vector, tag + 1), this.#types[tag] as DuckDBType, count, isHeld);
    });
  }

  get byteLength(): number {
    return this.#members.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  cut(): void {
    const { bytes, isAllOnes } = this.#validity.take();
    for (const member of this.#members) member.cut();
    const values = Uint8Array.from(Buffer.concat(this.#tags));
    this.#parts.push({ rows: values.length, validity: isAllOnes ? null : bytes, values, offsets: null });
    this.#tags = [];
  }

  end(): Collected {
    return { kind: 'union', parts: this.#parts, texts: null, children: childrenOf(this.#members, this.#types, this.#names) };
  }
}

/** Positions have 32 bits. */
const mostItems = 2 ** 31 - 1;

const none = new Uint8Array();

function childrenOf(collectors: readonly Collector[], types: readonly DuckDBType[], names: readonly string[]): readonly Column[] {
  return collectors.map((collector, index) => ({
    name: names[index] as string,
    type: (types[index] as DuckDBType).toString(),
    ...collector.end(),
  }));
}

function bitsOf(count: number, isSet: (row: number) => boolean): Uint8Array {
  const bits = new Uint8Array((count + 7) >> 3);
  for (let row = 0; row < count; row++) if (isSet(row)) bits[row >> 3] = (bits[row >> 3] as number) | (1 << (row & 7));
  return bits;
}
