import type { Flow, ParquetStorage, step, StepFlow } from 'marque';

type Storage = Pick<ParquetStorage, 'sql'>;

export function workFlow(
  marque: { readonly Flow: typeof Flow; readonly step: typeof step },
  storage: object,
  label: string,
  count: number,
  each?: (index: number, handle: StepFlow) => unknown,
): Flow;
export function keysOf(label: string, count: number): string[];
export function heldBy(storage: Storage): Promise<string[]>;
