/** Something that is opened on first use and may die. */
export interface Mortal {
  /** False once it has died. */
  readonly isUsable: boolean;
  close(): Promise<void>;
}

/**
 * Opens something when it is first asked for, once for all who ask; again after opening it has failed, or after it has died.
 */
export class Reopening<T extends Mortal> {
  #opening: Promise<T> | null = null;

  /** `open` is called only where nothing usable is open. */
  async get(open: () => Promise<T>): Promise<T> {
    const present = this.#opening;
    if (present !== null) {
      const value = await present;
      if (value.isUsable) return value;
      if (this.#opening === present) {
        this.#opening = null;
        await value.close();
      }
      return await this.get(open);
    }
    const opening = open();
    this.#opening = opening;
    try {
      return await opening;
    } catch (error) {
      if (this.#opening === opening) this.#opening = null;
      throw error;
    }
  }

  /** Waits for an opening that is under way. */
  async close(): Promise<void> {
    await (await this.#opening)?.close();
  }
}
