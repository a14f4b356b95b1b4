import type { Texts } from './column.ts';
import type { StringVector } from './string-vector.ts';

/** What would take longer to compare than the texts are worth. */
const mostTries = 256;
const mostBytes = 2 ** 28;

/** Different texts, each kept once and known by its position. */
export class TextDictionary {
  #count = 0;
  #bytes = Buffer.allocUnsafeSlow(1_024);
  #offsets = new Int32Array(64);
  #hashes = new Int32Array(64);
  /** Positions by hash, open addressing; -1 where there is none. Twice as many as texts, at least. */
  #slots = new Int32Array(128).fill(-1);

  get count(): number {
    return this.#count;
  }

  /** The position of a text, which is added if it is new; -1 where it cannot be. */
  keyOf(strings: StringVector, row: number): number {
    const [hash, mask] = [hashOf(strings, row), this.#slots.length - 1];
    for (let tries = 0, slot = hash & mask; tries < mostTries; tries++, slot = (slot + 1) & mask) {
      const key = this.#slots[slot] as number;
      if (key === -1) return this.#add(strings, row, hash, slot);
      if (this.#hashes[key] === hash && this.#equals(key, strings, row)) return key;
    }
    return -1;
  }

  texts(): Texts {
    const offsets = this.#offsets.slice(0, this.#count + 1);
    return { bytes: Uint8Array.from(this.#bytes.subarray(0, offsets[this.#count])), offsets };
  }

  #add(strings: StringVector, row: number, hash: number, slot: number): number {
    const key = this.#count;
    const [from, length] = [this.#offsets[key] as number, strings.length(row)];
    if (from + length > mostBytes) return -1;
    if (from + length > this.#bytes.length) {
      const longer = Buffer.allocUnsafeSlow((from + length) * 2);
      this.#bytes.copy(longer, 0, 0, from);
      this.#bytes = longer;
    }
    const start = strings.start(row);
    strings.source(row).copy(this.#bytes, from, start, start + length);
    if (key + 2 > this.#offsets.length) {
      this.#offsets = longer(this.#offsets);
      this.#hashes = longer(this.#hashes);
    }
    this.#offsets[key + 1] = from + length;
    this.#hashes[key] = hash;
    this.#slots[slot] = key;
    this.#count++;
    if (this.#count * 2 > this.#slots.length) this.#widen();
    return key;
  }

  #widen(): void {
    const slots = new Int32Array(this.#slots.length * 4).fill(-1);
    const mask = slots.length - 1;
    for (let key = 0; key < this.#count; key++) {
      let slot = (this.#hashes[key] as number) & mask;
      while (slots[slot] !== -1) slot = (slot + 1) & mask;
      slots[slot] = key;
    }
    this.#slots = slots;
  }

  #equals(key: number, strings: StringVector, row: number): boolean {
    const [from, to] = [this.#offsets[key] as number, this.#offsets[key + 1] as number];
    const length = strings.length(row);
    if (to - from !== length) return false;
    const [source, start] = [strings.source(row), strings.start(row)];
    if (length > 12) return source.compare(this.#bytes, from, to, start, start + length) === 0;
    for (let at = 0; at < length; at++) if (source[start + at] !== this.#bytes[from + at]) return false;
    return true;
  }
}

function longer(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const twice = new Int32Array(array.length * 2);
  twice.set(array);
  return twice;
}

/** Of a long text, 16 words spread over it. */
function hashOf(strings: StringVector, row: number): number {
  const { words } = strings;
  const length = words[row * 4] as number;
  let hash = length;
  if (length <= 12) {
    for (let word = 1; word < 4; word++) hash = mixed(hash, words[row * 4 + word] as number);
  } else {
    const [source, start] = [strings.source(row), strings.start(row)];
    const step = Math.max(4, (length - 4) / 15);
    for (let at = 0; at <= length - 4; at += step) hash = mixed(hash, word(source, start + Math.floor(at)));
    hash = mixed(hash, word(source, start + length - 4));
  }
  return hash ^ (hash >>> 15);
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

function mixed(hash: number, value: number): number {
  const sum = Math.imul(hash ^ value, 0x9e3779b1);
  return sum ^ (sum >>> 13);
}
