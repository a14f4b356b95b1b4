import { type EndingSignal, endingSignals, exitCodeOf } from './exit.ts';

/** A run that an interrupt should end. */
interface Interruptible {
  /** Called at the first signal: stop dispatching, let running steps finish, flush. */
  stop(signal: EndingSignal): void;
}

const running = new Set<Interruptible>();
let received: EndingSignal | null = null;

/**
 * Lets Ctrl-C (and SIGTERM, and the SIGHUP of a terminal that is closed) end a run cleanly until the returned function is called: the first
 * one stops it, and the process exits with 130 (143, 129) once every run has flushed; the second exits at once. SIGQUIT is left alone:
 * whoever sends it wants a core.
 */
export function interruptible(run: Interruptible): () => void {
  if (running.size === 0) for (const signal of endingSignals) process.on(signal, onSignal);
  running.add(run);
  if (received !== null) run.stop(received); // too late to start
  return () => {
    running.delete(run);
    if (running.size > 0) return;
    for (const signal of endingSignals) process.off(signal, onSignal);
    if (received !== null) process.exit(exitCodeOf(received));
  };
}

function onSignal(signal: NodeJS.Signals): void {
  if (received !== null) process.exit(exitCodeOf(received));
  received = signal as EndingSignal;
  for (const run of running) run.stop(received);
}
