import type { Column, ColumnPart } from './column.ts';

/** A column whose part has its rows at these positions instead, in this order, any of them any number of times; the other parts stay. */
export function gathered(column: Column, index: number, rows: Int32Array): Column {
  const part = column.parts[index] as ColumnPart;
  const validity = part.validity && bitsAt(part.validity, rows);
  const replaced = (made: Pick<ColumnPart, 'values' | 'offsets'>): readonly ColumnPart[] =>
    column.parts.map((each, at) => (at === index ? { rows: rows.length, validity, ...made } : each));
  switch (column.kind) {
    case 'boolean':
      return { ...column, parts: replaced({ values: bitsAt(part.values as Uint8Array, rows), offsets: null }) };
    case 'text':
    case 'bytes': {
      const offsets = offsetsAt(part.offsets as Int32Array, rows);
      return { ...column, parts: replaced({ values: bytesAt(part, rows, offsets), offsets }) };
    }
    case 'list':
    case 'map': {
      const offsets = part.offsets as Int32Array;
      const items = rangesOf(Array.from(rows, (row) => [offsets[row] as number, offsets[row + 1] as number]));
      const children = column.children.map((child) => gathered(child, index, items));
      return { ...column, parts: replaced({ values: part.values, offsets: offsetsAt(offsets, rows) }), children };
    }
    case 'struct':
    case 'tuple':
    case 'union': {
      const children = column.children.map((child) => gathered(child, index, rows));
      const values = column.kind === 'union' ? elementsAt(part, rows) : part.values;
      return { ...column, parts: replaced({ values, offsets: null }), children };
    }
    default:
      return { ...column, parts: replaced({ values: elementsAt(part, rows), offsets: null }) };
  }
}

/** All positions of some ranges, one behind the other. */
export function rangesOf(ranges: readonly (readonly [from: number, to: number])[]): Int32Array {
  const all = new Int32Array(ranges.reduce((sum, [from, to]) => sum + to - from, 0));
  let at = 0;
  for (const [from, to] of ranges) for (let position = from; position < to; position++) all[at++] = position;
  return all;
}

function elementsAt({ values, rows: before }: ColumnPart, rows: Int32Array): ColumnPart['values'] {
  if (Array.isArray(values)) return Array.from(rows, (row) => (values as readonly unknown[])[row]);
  const all = values as Float64Array; // or another of its kind
  const width = before === 0 ? 1 : all.length / before; // 2 where a value has 128 bits
  const some = new (all.constructor as new (length: number) => Float64Array)(rows.length * width);
  rows.forEach((row, at) => {
    for (let element = 0; element < width; element++) some[at * width + element] = all[row * width + element] as number;
  });
  return some;
}

function bitsAt(bits: Uint8Array, rows: Int32Array): Uint8Array {
  const some = new Uint8Array((rows.length + 7) >> 3);
  rows.forEach((row, at) => {
    if (((bits[row >> 3] as number) >> (row & 7)) & 1) some[at >> 3] = (some[at >> 3] as number) | (1 << (at & 7));
  });
  return some;
}

function offsetsAt(offsets: Int32Array, rows: Int32Array): Int32Array {
  const some = new Int32Array(rows.length + 1);
  let end = 0;
  rows.forEach((row, at) => (some[at + 1] = end += (offsets[row + 1] as number) - (offsets[row] as number)));
  if (end > 2 ** 31 - 1)
    throw new RangeError('lists of more than 2^31 items or bytes stand in a few rows: select less of them at a time');
  return some;
}

function bytesAt({ values, offsets }: ColumnPart, rows: Int32Array, ends: Int32Array): Uint8Array {
  const some = new Uint8Array(ends.at(-1) as number);
  const bytes = values as Uint8Array;
  rows.forEach((row, at) => {
    some.set(bytes.subarray((offsets as Int32Array)[row], (offsets as Int32Array)[row + 1]), ends[at]);
  });
  return some;
}
