import type * as fs from 'node:fs';

export interface Operation {
  readonly number: number;
  /** As in `node:fs/promises`, also for those of the synchronous twin; those of a FileHandle too. */
  readonly name: string;
  readonly path: string;
  readonly to: string | null;
  readonly changes: boolean;
}

export interface Hooks {
  before?(operation: Operation): 'hang' | undefined;
  after?(operation: Operation): void;
}

export const real: typeof fs;
export function watch(folder: string, hooks: Hooks): void;
export function release(): number;
export function systemError(code: 'EIO' | 'ENOSPC' | 'EMFILE', operation: Pick<Operation, 'name' | 'path'>): Error;
