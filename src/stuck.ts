import { MarqueError } from './error.ts';

/**
 * Rejects when Node runs out of events while a run is still waiting for its steps: a step that can never settle would otherwise end the
 * process in silence, with nothing flushed. `running` tells which steps those are.
 */
export function whenStuck(running: () => readonly string[]): { readonly promise: Promise<never>; release(): void } {
  let listener: () => void = () => {};
  const promise = new Promise<never>((_resolve, reject) => {
    listener = () => {
      const ids = running();
      if (ids.length === 0) return;
      const message = `nothing is left to happen, and ${ids.join(', ')} never settled: a promise that it awaits is never resolved`;
      reject(new MarqueError('STEP_NEVER_SETTLES', message));
    };
    process.on('beforeExit', listener);
  });
  promise.catch(() => {}); // whoever races for it hears of it; released without a rejection otherwise
  return { promise, release: () => void process.off('beforeExit', listener) };
}
