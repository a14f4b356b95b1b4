import { binding, type Vector } from './binding.ts';

/** Both ends of such a gap are memory of the process, and no page fits between them: it can be read across. */
const gap = 4_096;

/**
 * The texts or BLOBs of one vector as bytes. DuckDB has 16 bytes for each: its length, then up to 12 bytes of it, or 4 bytes and a pointer to
 * all. A call for each pointer would cost more than all the rest, so what lies together is fetched together. Valid for as long as
 * it is referenced: everything is copied.
 */
export class StringVector {
  /** Four for each row: the first is its length; where that is at most 12, the other three are its bytes, then zeros. */
  readonly words: Uint32Array;
  readonly #sources: Buffer[];
  readonly #sourceOf: Uint32Array;
  readonly #startOf: Int32Array;

  /** @param isValid what is not is empty, and its pointer never followed: it may lead anywhere */
  constructor(vector: Vector, count: number, isValid: (row: number) => boolean) {
    const raw = Uint8Array.from(count === 0 ? [] : binding.vector_get_data(vector, count * 16));
    this.words = new Uint32Array(raw.buffer);
    this.#sources = [Buffer.from(raw.buffer)];
    this.#sourceOf = new Uint32Array(count);
    this.#startOf = new Int32Array(count);
    const long: number[] = [];
    for (let row = 0; row < count; row++) {
      if (!isValid(row)) this.words[row * 4] = 0;
      this.#startOf[row] = row * 16 + 4;
      if (this.length(row) > 12) long.push(row);
    }
    if (long.length > 0) this.#fetch(raw.buffer, long);
  }

  /** In bytes. */
  length(row: number): number {
    return this.words[row * 4] as number;
  }

  /** What holds the bytes of a row, from `start` of the row on. */
  source(row: number): Buffer {
    return this.#sources[this.#sourceOf[row] as number] as Buffer;
  }

  start(row: number): number {
    return this.#startOf[row] as number;
  }

  /** The bytes of all rows together. */
  get byteLength(): number {
    let sum = 0;
    for (let at = 0; at < this.words.length; at += 4) sum += this.words[at] as number;
    return sum;
  }

  #fetch(memory: ArrayBuffer, rows: number[]): void {
    const pointers = new Float64Array(this.#startOf.length); // user space ends at 2^47: exact
    for (const row of rows) pointers[row] = (this.words[row * 4 + 2] as number) + (this.words[row * 4 + 3] as number) * 2 ** 32;
    const pointer = (row: number): number => pointers[row] as number;
    if (rows.some((row, index) => index > 0 && pointer(row) < pointer(rows[index - 1] as number)))
      rows.sort((a, b) => pointer(a) - pointer(b));
    for (let from = 0; from < rows.length;) {
      const first = rows[from] as number;
      let end = pointer(first) + this.length(first);
      let to = from + 1;
      for (; to < rows.length; to++) {
        const row = rows[to] as number;
        if (pointer(row) - end >= gap) break;
        end = Math.max(end, pointer(row) + this.length(row));
      }
      const { buffer, byteOffset, length } = binding.get_data_from_pointer(memory, first * 16 + 8, end - pointer(first));
      this.#sources.push(Buffer.from(buffer, byteOffset, length));
      for (const row of rows.slice(from, to)) {
        this.#sourceOf[row] = this.#sources.length - 1;
        this.#startOf[row] = pointer(row) - pointer(first);
      }
      from = to;
    }
  }
}
