/** Growable columns: what the engine writes into while steps run. Appending allocates nothing but the column's own growth. */

/** Numbers that may be null, as 8 bytes and one flag a row. NaN and null stay apart. */
export class NumberColumn {
  values = new Float64Array(256);
  valid = new Uint8Array(256);
  length = 0;

  push(value: number | null): void {
    if (this.length === this.values.length) this.#grow();
    if (value !== null) {
      this.values[this.length] = value;
      this.valid[this.length] = 1;
    }
    this.length++;
  }

  #grow(): void {
    const values = new Float64Array(this.length * 2);
    values.set(this.values);
    this.values = values;
    const valid = new Uint8Array(this.length * 2);
    valid.set(this.valid);
    this.valid = valid;
  }
}

/** The same text in every row, however many there are. */
export class ConstantColumn {
  readonly value: string;
  readonly length = Number.POSITIVE_INFINITY;

  constructor(value: string) {
    this.value = value;
  }
}

/** Texts or byte strings that may be null. Repeated texts are the same object, so a column of names costs a pointer a row. */
export class ListColumn<T extends string | Uint8Array> {
  readonly values: (T | null)[] = [];

  get length(): number {
    return this.values.length;
  }

  push(value: T | null): void {
    this.values.push(value);
  }
}
