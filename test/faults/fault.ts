import { type Operation, release, systemError, watch } from './shim.mjs';

/** What goes wrong, and at which operation below a folder, counted from 1. */
export interface Fault {
  readonly at: number;
  readonly code: 'EIO' | 'ENOSPC' | 'EMFILE';
  /** `once`: that operation alone. `on`: also every later one that such an error can meet, until it is gone. */
  readonly lasts: 'once' | 'on';
  /** `after`: the operation happens and is reported as failed, as a connection to a disk may have it. */
  readonly when: 'before' | 'after';
}

/** A fault in place. */
export interface Injected {
  /** The operation that failed first; null where there were fewer. */
  readonly hit: () => Operation | null;
  /** Takes it away. Returns how many operations there were in all. */
  readonly gone: () => number;
}

export function inject(folder: string, fault: Fault): Injected {
  let hit: Operation | null = null;
  const strike = (operation: Operation, when: Fault['when']): void => {
    const strikes = operation.number === fault.at || (fault.lasts === 'on' && operation.number > fault.at);
    if (!strikes || when !== fault.when || !canMeet(operation, fault.code)) return;
    hit ??= operation;
    throw systemError(fault.code, operation);
  };
  watch(folder, {
    before: (operation) => {
      strike(operation, 'before');
      return undefined;
    },
    after: (operation) => strike(operation, 'after'),
  });
  return { hit: () => hit, gone: release };
}

/** Every fault that an operation can meet. */
export function faultsAt(operation: Operation): Fault[] {
  const codes = (['EIO', 'ENOSPC', 'EMFILE'] as const).filter((code) => canMeet(operation, code));
  return codes.flatMap((code) => {
    const fault = { at: operation.number, code, lasts: 'once', when: 'before' } as const;
    const late: Fault[] = code === 'EIO' && operation.changes ? [{ ...fault, when: 'after' }] : [];
    return [fault, { ...fault, lasts: 'on' as const }, ...late];
  });
}

/** The operations of a job below a folder, in the order in which they began. */
export async function operationsOf(folder: string, job: () => Promise<unknown>): Promise<Operation[]> {
  const operations: Operation[] = [];
  watch(folder, { before: (operation) => void operations.push(operation) });
  try {
    await job();
  } finally {
    release();
  }
  return operations;
}

const removing = new Set(['rm', 'rmdir', 'unlink']);
const opening = new Set(['open', 'readFile', 'readdir', 'writeFile', 'appendFile', 'copyFile']);

function canMeet({ name, changes }: Operation, code: Fault['code']): boolean {
  if (code === 'EMFILE') return opening.has(name);
  if (code === 'ENOSPC') return changes && !removing.has(name);
  return true;
}
