import { Bits } from './bits.ts';
import type { DuckDBType, Vector } from './binding.ts';
import type { ColumnPart, Texts } from './column.ts';
import type { Collected, Collector } from './column-collector.ts';
import { StringVector } from './string-vector.ts';
import { TextDictionary } from './text-dictionary.ts';
import { isValidIn, type Validity, validityOf } from './vector.ts';

/** Before as many different texts it is too early to say that they do not repeat. */
const fewest = 4_096;

/** Offsets have 32 bits. */
const mostBytes = 2 ** 31 - 1;

/**
 * Collects texts, or BLOBs. Texts of a whole column, not those within lists and structs, become a dictionary where at least half of them repeat an earlier one, told vector by vector as well as at the
 * end: a column whose first 4,096 and more are mostly different is none, whatever follows.
 */
export class TextCollector implements Collector {
  readonly #isText: boolean;
  readonly #validity = new Bits();
  #parts: ColumnPart[] = [];
  /** Null once texts are kept one behind the other. */
  #dictionary: TextDictionary | null;
  #keys: Int32Array[] = [];
  #offsets: Int32Array[] = [];
  #bytes = Buffer.alloc(0);
  #length = 0;
  #rows = 0;
  #valid = 0;

  constructor(isText: boolean, isNested: boolean) {
    this.#isText = isText;
    this.#dictionary = isText && !isNested ? new TextDictionary() : null;
  }

  add(vector: Vector, _type: DuckDBType, count: number, parent: Validity): void {
    const bits = validityOf(vector, count, parent);
    const isValid = isValidIn(bits);
    const strings = new StringVector(vector, count, isValid);
    this.#validity.append(bits, count);
    this.#rows += count;
    if (this.#dictionary === null || !this.#addKeys(this.#dictionary, strings, count, isValid)) this.#addBytes(strings, count);
  }

  /** Of what has come since the last cut, also where that is kept as positions: it may have to be spelled out yet. */
  get byteLength(): number {
    return this.#length;
  }

  cut(): void {
    const { bytes, isAllOnes } = this.#validity.take();
    const validity = isAllOnes ? null : bytes;
    if (this.#dictionary !== null) {
      this.#parts.push({ rows: this.#rows, validity, values: joined(this.#keys), offsets: null });
    } else {
      const values = new Uint8Array(this.#length);
      values.set(this.#bytes.subarray(0, this.#length)); // not a Buffer, whose slices would share its memory
      this.#parts.push({ rows: this.#rows, validity, values, offsets: joined([new Int32Array(1), ...this.#offsets]) });
    }
    this.#keys = [];
    this.#offsets = [];
    this.#length = 0;
    this.#rows = 0;
  }

  end(): Collected {
    const dictionary = this.#dictionary;
    if (dictionary !== null && (dictionary.count === 0 || dictionary.count * 2 > this.#valid)) this.#giveUp(dictionary);
    if (this.#dictionary === null)
      return { kind: this.#isText ? 'text' : 'bytes', parts: this.#parts, texts: null, children: [] };
    for (const { values, validity } of this.#parts) if (validity !== null) firstUnderNulls(values as Int32Array);
    return { kind: 'dictionary', parts: this.#parts, texts: this.#dictionary.texts(), children: [] };
  }

  /** False where the texts do not repeat, and nothing has been added. */
  #addKeys(dictionary: TextDictionary, strings: StringVector, count: number, isValid: (row: number) => boolean): boolean {
    const keys = new Int32Array(count).fill(-1);
    let valid = 0;
    for (let row = 0; row < count; row++) {
      if (!isValid(row)) continue;
      valid++;
      const key = dictionary.keyOf(strings, row);
      if (key === -1) return this.#giveUp(dictionary);
      keys[row] = key;
    }
    if (dictionary.count > fewest && dictionary.count * 2 > this.#valid + valid) return this.#giveUp(dictionary);
    this.#valid += valid;
    this.#length += strings.byteLength;
    this.#keys.push(keys);
    return true;
  }

  /** What was a position becomes a text again. */
  #giveUp(dictionary: TextDictionary): false {
    const texts = dictionary.texts();
    this.#parts = this.#parts.map((part) => ({ ...part, ...spelled(part.values as Int32Array, texts) }));
    const { values, offsets } = spelled(joined(this.#keys), texts);
    this.#dictionary = null;
    this.#bytes = Buffer.from(values.buffer, 0, values.length);
    this.#length = values.length;
    this.#offsets = [offsets.subarray(1)];
    return false;
  }

  #addBytes(strings: StringVector, count: number): void {
    const end = this.#length + strings.byteLength;
    if (end > mostBytes) throw tooLong();
    if (end > this.#bytes.length) {
      const longer = Buffer.allocUnsafeSlow(Math.min(end * 2, mostBytes));
      this.#bytes.copy(longer, 0, 0, this.#length);
      this.#bytes = longer;
    }
    const offsets = new Int32Array(count);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let row = 0; row < count; row++) {
      const length = strings.length(row);
      const [source, start] = [strings.source(row), strings.start(row)];
      if (length > 24) source.copy(bytes, at, start, start + length);
      else for (let byte = 0; byte < length; byte++) bytes[at + byte] = source[start + byte] as number;
      at += length;
      offsets[row] = at;
    }
    this.#length = at;
    this.#offsets.push(offsets);
  }
}

/** Texts by their positions, one behind the other; at -1 there is none. */
function spelled(keys: Int32Array, texts: Texts): { values: Uint8Array<ArrayBuffer>; offsets: Int32Array } {
  const start = (key: number): number => (key === -1 ? 0 : (texts.offsets[key] as number));
  const end = (key: number): number => (key === -1 ? 0 : (texts.offsets[key + 1] as number));
  const offsets = new Int32Array(keys.length + 1);
  let length = 0;
  keys.forEach((key, row) => {
    length += end(key) - start(key);
    offsets[row + 1] = length;
  });
  if (length > mostBytes) throw tooLong();
  const values = new Uint8Array(length);
  keys.forEach((key, row) => values.set(texts.bytes.subarray(start(key), end(key)), offsets[row]));
  return { values, offsets };
}

/** Readers may look at a position also where the validity says that it means nothing. */
function firstUnderNulls(keys: Int32Array): void {
  for (let row = 0; row < keys.length; row++) if (keys[row] === -1) keys[row] = 0;
}

function tooLong(): RangeError {
  return new RangeError('texts or BLOBs of more than 2 GiB stand in a few rows: select less of them at a time');
}

function joined(arrays: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}
