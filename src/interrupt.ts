import { constants } from 'node:os';

/** A run that an interrupt should end. */
interface Interruptible {
  /** Called at the first signal: stop dispatching, let running steps finish, flush. */
  stop(signal: 'SIGINT' | 'SIGTERM'): void;
}

const signals = ['SIGINT', 'SIGTERM'] as const;
const running = new Set<Interruptible>();
let received: (typeof signals)[number] | null = null;

/**
 * Lets Ctrl-C (and SIGTERM) end a run cleanly until the returned function is called: the first one stops it, and the process exits with
 * 130 (143) once every run has flushed; the second exits at once.
 */
export function interruptible(run: Interruptible): () => void {
  if (running.size === 0) for (const signal of signals) process.on(signal, onSignal);
  running.add(run);
  if (received !== null) run.stop(received); // too late to start
  return () => {
    running.delete(run);
    if (running.size > 0) return;
    for (const signal of signals) process.off(signal, onSignal);
    if (received !== null) process.exit(exitCode(received));
  };
}

function onSignal(signal: NodeJS.Signals): void {
  if (received !== null) process.exit(exitCode(received));
  received = signal as (typeof signals)[number];
  for (const run of running) run.stop(received);
}

function exitCode(signal: (typeof signals)[number]): number {
  return 128 + constants.signals[signal];
}
