import { setImmediate } from 'node:timers/promises';

/** Milliseconds that work may go on at a stretch. */
const stretch = 8;

/**
 * Lets others have their turn while something takes long: timers fire, sockets are read, and somebody can abort a signal at all.
 *
 * ```ts
 * for (const row of rows) {
 *   work(row);
 *   if (pace.isDue) await pace.rest();
 * }
 * ```
 */
export class Pace {
  #due = performance.now() + stretch;

  get isDue(): boolean {
    return performance.now() >= this.#due;
  }

  async rest(): Promise<void> {
    await setImmediate();
    this.#due = performance.now() + stretch;
  }
}
