import {
  binding,
  DuckDBArrayType,
  DuckDBListType,
  DuckDBMapType,
  DuckDBStructType,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBUnionType,
  DuckDBVector,
  type Vector,
} from './binding.ts';
import { safe } from './column.ts';
import { plain } from './plain.ts';
import { StringVector } from './string-vector.ts';

/** One byte a row, 0 where there is no value; null where there is one everywhere. */
type Mask = Uint8Array | null;

/**
 * The values of one vector: integers as numbers where they are safe, else bigints; dates and timestamps as `Date`, a BLOB as
 * `Uint8Array`, a LIST as array, a STRUCT as object (as array if unnamed), a MAP as `Map`, a UNION as the value that it holds.
 * The rest is `plain`. Read from raw memory: the layer above makes a bigint or an object of every value, and drops a leading
 * U+FEFF from every text. Below a null of the parent nothing is read, since the memory there is undefined.
 */
export function readVector(vector: Vector, type: DuckDBType, count: number, parent: Mask): unknown[] {
  const mask = maskOf(vector, count, parent);
  const values = readValid(vector, type, count, mask);
  if (mask !== null) for (let row = 0; row < count; row++) if (mask[row] === 0) values[row] = null;
  return values;
}

/** One bit a row, least significant first, 0 where there is no value; null where there is one everywhere. */
export function validityOf(vector: Vector, count: number): Uint8Array | null {
  // Null where the vector has never held a null, whatever the declaration says.
  return binding.vector_get_validity(vector, Math.ceil(count / 64) * 8) ?? null;
}

function maskOf(vector: Vector, count: number, parent: Mask): Mask {
  const bits = validityOf(vector, count);
  if (bits === null) return parent;
  const mask = new Uint8Array(count);
  for (let row = 0; row < count; row++) {
    const valid = ((bits[row >> 3] as number) >> (row & 7)) & 1;
    mask[row] = parent === null ? valid : valid & (parent[row] as number);
  }
  return mask;
}

function readValid(vector: Vector, type: DuckDBType, count: number, mask: Mask): unknown[] {
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return Array.from(bytesOf(vector, count), (byte) => byte !== 0);
    case DuckDBTypeId.TINYINT:
      return Array.from(new Int8Array(bytesOf(vector, count).buffer));
    case DuckDBTypeId.UTINYINT:
      return Array.from(bytesOf(vector, count));
    case DuckDBTypeId.SMALLINT:
      return Array.from(new Int16Array(bytesOf(vector, count * 2).buffer));
    case DuckDBTypeId.USMALLINT:
      return Array.from(new Uint16Array(bytesOf(vector, count * 2).buffer));
    case DuckDBTypeId.INTEGER:
      return Array.from(new Int32Array(bytesOf(vector, count * 4).buffer));
    case DuckDBTypeId.UINTEGER:
      return Array.from(new Uint32Array(bytesOf(vector, count * 4).buffer));
    case DuckDBTypeId.FLOAT:
      return Array.from(new Float32Array(bytesOf(vector, count * 4).buffer));
    case DuckDBTypeId.DOUBLE:
      return Array.from(new Float64Array(bytesOf(vector, count * 8).buffer));
    case DuckDBTypeId.BIGINT:
      return Array.from(new BigInt64Array(bytesOf(vector, count * 8).buffer), safe);
    case DuckDBTypeId.UBIGINT:
      return Array.from(new BigUint64Array(bytesOf(vector, count * 8).buffer), safe);
    case DuckDBTypeId.VARCHAR:
      return strings(vector, count, mask, (bytes) => bytes.toString('utf8'));
    case DuckDBTypeId.BLOB:
      return strings(vector, count, mask, (bytes) => Uint8Array.from(bytes));
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.MAP:
    case DuckDBTypeId.ARRAY:
    case DuckDBTypeId.STRUCT:
    case DuckDBTypeId.UNION:
      return readNested(vector, type, count, mask);
    default: {
      const rest = DuckDBVector.create(vector, count, type);
      return Array.from({ length: count }, (_, row) => (mask === null || mask[row] === 1 ? plain(rest.getItem(row)) : null));
    }
  }
}

function readNested(vector: Vector, type: DuckDBType, count: number, mask: Mask): unknown[] {
  if (type instanceof DuckDBListType) {
    const items = readVector(binding.list_vector_get_child(vector), type.valueType, binding.list_vector_get_size(vector), null);
    return lists(vector, count, mask, (start, end) => items.slice(start, end));
  }
  if (type instanceof DuckDBMapType) {
    const size = binding.list_vector_get_size(vector);
    const entry = binding.list_vector_get_child(vector);
    const keys = readVector(binding.struct_vector_get_child(entry, 0), type.keyType, size, null);
    const values = readVector(binding.struct_vector_get_child(entry, 1), type.valueType, size, null);
    return lists(
      vector,
      count,
      mask,
      (start, end) => new Map(keys.slice(start, end).map((key, index) => [key, values[start + index]])),
    );
  }
  if (type instanceof DuckDBArrayType) {
    const { length, valueType } = type;
    const parent = mask && Uint8Array.from({ length: count * length }, (_, index) => mask[Math.floor(index / length)] as number);
    const items = readVector(binding.array_vector_get_child(vector), valueType, count * length, parent);
    return Array.from({ length: count }, (_, row) => items.slice(row * length, (row + 1) * length));
  }
  if (type instanceof DuckDBStructType) {
    const { entryNames } = type;
    const fields = type.entryTypes.map((field, index) =>
      readVector(binding.struct_vector_get_child(vector, index), field, count, mask),
    );
    const rows = Array.from({ length: count }, (_, row) => fields.map((field) => field[row]));
    if (entryNames.every((name) => name === '')) return rows;
    return rows.map((row) => Object.fromEntries(row.map((value, index) => [entryNames[index], value])));
  }
  const union = type as DuckDBUnionType;
  // A union is a struct whose first field numbers the member; the other members of a row are undefined memory.
  const tags = bytesOf(binding.struct_vector_get_child(vector, 0), count);
  const members = union.memberTypes.map((member, tag) => {
    const own = Uint8Array.from(tags, (each, row) => (each === tag && (mask === null || mask[row] === 1) ? 1 : 0));
    return readVector(binding.struct_vector_get_child(vector, tag + 1), member, count, own);
  });
  return Array.from(tags, (tag, row) => members[tag]?.[row] ?? null);
}

function lists<T>(vector: Vector, count: number, mask: Mask, slice: (start: number, end: number) => T): (T | null)[] {
  const entries = new BigUint64Array(bytesOf(vector, count * 16).buffer);
  return Array.from({ length: count }, (_, row) => {
    if (mask !== null && mask[row] === 0) return null;
    const start = Number(entries[row * 2]);
    return slice(start, start + Number(entries[row * 2 + 1]));
  });
}

function strings<T>(vector: Vector, count: number, mask: Mask, read: (bytes: Buffer) => T): (T | null)[] {
  const all = new StringVector(vector, count, (row) => mask === null || mask[row] === 1);
  return Array.from({ length: count }, (_, row) => {
    if (mask !== null && mask[row] === 0) return null;
    const start = all.start(row);
    return read(all.source(row).subarray(start, start + all.length(row)));
  });
}

/** A copy of the first bytes of a vector, alone in its buffer and so aligned for every type. */
export function bytesOf(vector: Vector, count: number): Uint8Array<ArrayBuffer> {
  if (count === 0) return new Uint8Array(0);
  const bytes = binding.vector_get_data(vector, count);
  return bytes.buffer.byteLength === count ? (bytes as Uint8Array<ArrayBuffer>) : Uint8Array.from(bytes);
}
