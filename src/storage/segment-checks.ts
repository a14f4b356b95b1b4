import { join } from 'node:path';
import type { TableName } from '../schema.ts';
import { checkSegments } from './damage.ts';
import type { Segment } from './table-state.ts';

/** The segments of a state, by table. */
export type Segments = ReadonlyMap<TableName, readonly Segment[]>;

/** Checks each segment once, before its rows are believed, and what several want at the same time only for one of them. */
export class SegmentChecks {
  readonly #folder: string;
  /** By the object that the log gave, which lives as long as the segment is part of a state: nothing is remembered for ever. */
  readonly #sound = new WeakSet<Segment>();
  readonly #underWay = new Map<Segment, Promise<void>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Resolves when all of these have been found to be as they were written.
   *
   * @throws MarqueError STORE_DAMAGED, naming one that is not. Damage of a segment that is not among these does not matter.
   */
  async check(segments: Segments, signal?: AbortSignal): Promise<void> {
    for (;;) {
      const unknown = new Map(
        Array.from(segments, ([table, all]) => [table, all.filter((one) => !this.#sound.has(one))] as const),
      );
      const checks = new Set([...unknown.values()].flat().flatMap((one) => this.#underWay.get(one) ?? []));
      // Whoever checks those may fail on another one, and then leaves them to us.
      if (checks.size > 0) await Promise.allSettled(checks);
      else return await this.#checkNow(unknown, signal);
    }
  }

  async #checkNow(unknown: Segments, signal: AbortSignal | undefined): Promise<void> {
    const all = [...unknown.values()].flat();
    if (all.length === 0) return;
    const running = this.#run(unknown, signal);
    for (const segment of all) this.#underWay.set(segment, running);
    try {
      await running;
    } finally {
      for (const segment of all) this.#underWay.delete(segment);
    }
  }

  async #run(unknown: Segments, signal: AbortSignal | undefined): Promise<void> {
    for (const [table, segments] of unknown) {
      const sound = (segment: Segment): void => void this.#sound.add(segment);
      await checkSegments(join(this.#folder, table), segments, { sound, signal });
    }
  }
}
