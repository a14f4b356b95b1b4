import { type DuckDBType, DuckDBTypeId, type Vector } from './binding.ts';
import { Bits } from './bits.ts';
import type { ColumnPart, Texts } from './column.ts';
import type { Collected, Collector } from './column-collector.ts';
import { bytesOf, isValidIn, itemsOf, type Validity, validityOf } from './vector.ts';

/** Collects what Arrow has no type for that every reader takes, as DuckDB writes it: UUID, and row by row TIME, INTERVAL and BIT. */
export class SpelledCollector implements Collector {
  readonly #validity = new Bits();
  readonly #parts: ColumnPart[] = [];
  #texts: string[] = [];
  #length = 0;

  add(vector: Vector, type: DuckDBType, count: number, parent: Validity): void {
    const bits = validityOf(vector, count, parent);
    const isValid = isValidIn(bits);
    this.#validity.append(bits, count);
    const item = type.typeId === DuckDBTypeId.UUID ? uuidsOf(vector, count) : itemsOf(vector, type, count);
    for (let row = 0; row < count; row++) {
      const text = isValid(row) ? String(item(row)) : '';
      this.#texts.push(text);
      this.#length += text.length;
    }
  }

  get byteLength(): number {
    return this.#length + this.#texts.length * 4;
  }

  cut(): void {
    const { bytes, isAllOnes } = this.#validity.take();
    const { bytes: values, offsets } = packed(this.#texts);
    this.#parts.push({ rows: this.#texts.length, validity: isAllOnes ? null : bytes, values, offsets });
    this.#texts = [];
    this.#length = 0;
  }

  end(): Collected {
    return { kind: 'text', parts: this.#parts, texts: null, children: [] };
  }
}

/** Texts in UTF-8, one behind the other. */
export function packed(texts: readonly string[]): Texts {
  const offsets = new Int32Array(texts.length + 1);
  texts.forEach((text, index) => (offsets[index + 1] = (offsets[index] as number) + Buffer.byteLength(text)));
  return { bytes: Uint8Array.from(Buffer.from(texts.join(''))), offsets };
}

/** A UUID is a number of 128 bits, the last byte first, whose first bit is inverted so that it sorts as its text does. */
function uuidsOf(vector: Vector, count: number): (row: number) => string {
  const bytes = Buffer.from(bytesOf(vector, count * 16).toReversed().buffer); // and so the last row first
  for (let at = 0; at < bytes.length; at += 16) bytes[at] = (bytes[at] as number) ^ 0x80;
  const digits = bytes.toString('hex');
  return (row) => {
    const at = (count - 1 - row) * 32;
    const part = (from: number, to: number): string => digits.slice(at + from, at + to);
    return `${part(0, 8)}-${part(8, 12)}-${part(12, 16)}-${part(16, 20)}-${part(20, 32)}`;
  };
}
