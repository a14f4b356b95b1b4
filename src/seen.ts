import type { Witness } from './scope.ts';
import { ordinalOf, runNumberOf } from './sid.ts';

/**
 * What one step has found and recalled: passes each scope on once, and each artifact of a scope once, until it is told to forget.
 * Keys are kept by run: within one an ordinal is a small integer, of which a Set holds millions at some 20 bytes each.
 */
export class Seen implements Witness {
  readonly #pass: (sid: number, name: string | null) => void;
  /** By artifact, null for the scope itself, and then by run: the ordinals. */
  #ordinals: Map<string | null, Map<number, Set<number>>> | null = new Map();

  constructor(pass: (sid: number, name: string | null) => void) {
    this.#pass = pass;
  }

  found(sid: number): void {
    this.#see(sid, null);
  }

  recalled(sid: number, name: string): void {
    this.#see(sid, name);
  }

  /** Nothing is passed on any more, and nothing is kept. */
  forget(): void {
    this.#ordinals = null;
  }

  #see(sid: number, name: string | null): void {
    if (this.#ordinals === null) return;
    const run = runNumberOf(sid);
    let runs = this.#ordinals.get(name);
    if (runs === undefined) this.#ordinals.set(name, (runs = new Map()));
    let ordinals = runs.get(run);
    if (ordinals === undefined) runs.set(run, (ordinals = new Set()));
    const before = ordinals.size;
    if (ordinals.add(ordinalOf(sid)).size > before) this.#pass(sid, name);
  }
}
