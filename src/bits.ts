/** Bits, one a row, least significant first, as Arrow has them; grown vector by vector. */
export class Bits {
  #bytes = new Uint8Array(256);
  #length = 0;
  #isAllOnes = true;

  /** `bits` null stands for all of them set. */
  append(bits: Uint8Array | null, count: number): void {
    const end = this.#length + count;
    if (end > this.#bytes.length * 8 - 8) {
      const longer = new Uint8Array((end >> 2) + 8);
      longer.set(this.#bytes);
      this.#bytes = longer;
    }
    const shift = this.#length & 7;
    const bytes = this.#bytes;
    let target = this.#length >> 3;
    for (let left = count, from = 0; left > 0; left -= 8, from++, target++) {
      const mask = left >= 8 ? 255 : (1 << left) - 1; // what DuckDB has behind the last row is undefined
      const eight = (bits === null ? 255 : (bits[from] as number)) & mask;
      if (eight !== mask) this.#isAllOnes = false;
      bytes[target] = (bytes[target] as number) | ((eight << shift) & 255);
      if (shift !== 0) bytes[target + 1] = eight >> (8 - shift);
    }
    this.#length = end;
  }

  /** What was appended since the last time. */
  take(): { readonly bytes: Uint8Array; readonly isAllOnes: boolean } {
    const taken = { bytes: this.#bytes.slice(0, (this.#length + 7) >> 3), isAllOnes: this.#isAllOnes };
    this.#bytes.fill(0);
    this.#length = 0;
    this.#isAllOnes = true;
    return taken;
  }
}
