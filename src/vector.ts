import { binding, DuckDBVector, type DuckDBType, type Vector } from './binding.ts';
import { plain } from './plain.ts';

/** One bit a row, least significant first, 0 where there is no value; null where there is one everywhere. */
export type Validity = Uint8Array | null;

/** @param parent of the vector that this one is a part of: below a null, the memory of what is nested is undefined */
export function validityOf(vector: Vector, count: number, parent: Validity = null): Validity {
  // Null where the vector has never held a null, whatever the declaration says.
  const own = binding.vector_get_validity(vector, Math.ceil(count / 64) * 8) ?? null;
  if (own === null || parent === null) return own ?? parent;
  return Uint8Array.from({ length: (count + 7) >> 3 }, (_, at) => (own[at] as number) & (parent[at] as number));
}

export function isValidIn(validity: Validity): (row: number) => boolean {
  if (validity === null) return () => true;
  return (row) => (((validity[row >> 3] as number) >> (row & 7)) & 1) === 1;
}

/** A copy of the first bytes of a vector, alone in its buffer and so aligned for every type. */
export function bytesOf(vector: Vector, count: number): Uint8Array<ArrayBuffer> {
  if (count === 0) return new Uint8Array(0);
  const bytes = binding.vector_get_data(vector, count);
  return bytes.buffer.byteLength === count ? (bytes as Uint8Array<ArrayBuffer>) : Uint8Array.from(bytes);
}

/** Single values of a vector as `plain` has them, each through an object of DuckDB's: slow. Only for rows that have a value. */
export function itemsOf(vector: Vector, type: DuckDBType, count: number): (row: number) => unknown {
  const items = DuckDBVector.create(vector, count, type);
  return (row) => plain(items.getItem(row));
}
