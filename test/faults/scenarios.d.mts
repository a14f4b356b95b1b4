import type * as marque from 'marque';

/** One change to a store. */
export interface Scenario {
  readonly name: string;
  /** Whether it is broken at each of its changes in the small size of the tests as well. The others are only at some of them. */
  readonly isComplete: boolean;
  /** A file that it makes or removes, or else it is not what it is called. */
  readonly touches: RegExp;
  /** What the store holds before and after, as `heldBy` gives it. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Brings a new store into the state before. */
  prepare(storage: marque.ParquetStorage, folder: string): Promise<void>;
  /** The function returned makes the change, and may be called again after it has failed. */
  begin(storage: marque.ParquetStorage): () => Promise<unknown>;
}

type Package = Pick<typeof marque, 'Flow' | 'ParquetStorage' | 'repeat' | 'step'>;

export function scenariosOf(marque: Package): readonly Scenario[];
export function openStore(marque: Package, folder: string): marque.ParquetStorage;
export function fillLog(marque: Package, folder: string, version: number): Promise<void>;
