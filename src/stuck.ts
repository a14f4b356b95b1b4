import { MarqueError } from './error.ts';

interface Waiting {
  /** The ids of the steps that have started and not ended. */
  running(): readonly string[];
  reject(error: MarqueError): void;
}

/** The runs of this process, the innermost last: a step may run a flow of its own. */
const waiting: Waiting[] = [];

/**
 * Rejects when Node runs out of events while a run is still waiting for its steps: a step that can never settle would otherwise end the
 * process in silence, with nothing flushed. Of runs within runs only the innermost is told: the others may go on from there.
 */
export function whenStuck(running: () => readonly string[]): { readonly promise: Promise<never>; release(): void } {
  const own: Waiting = { running, reject: () => {} };
  const promise = new Promise<never>((_resolve, reject) => (own.reject = reject));
  promise.catch(() => {}); // whoever races for it hears of it
  if (waiting.push(own) === 1) process.on('beforeExit', tell);
  return {
    promise,
    release: () => {
      waiting.splice(waiting.indexOf(own), 1);
      if (waiting.length === 0) process.off('beforeExit', tell);
    },
  };
}

function tell(): void {
  const stuck = waiting.findLast((one) => one.running().length > 0);
  const ids = stuck?.running().join(', ');
  const message = `nothing is left to happen, and ${ids} never settled: a promise that it awaits is never resolved`;
  stuck?.reject(new MarqueError('STEP_NEVER_SETTLES', message));
}
