import { writeSync } from 'node:fs';
import { constants } from 'node:os';

/** The signals that ask a process to end. */
export const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export type EndingSignal = (typeof endingSignals)[number];

/** What is done at the end. `mayLiveOn` says that others listen to the signal as well, and may let the process live on. */
export type ExitJob = (mayLiveOn: boolean) => void;

const jobs = new Set<ExitJob>();

/**
 * Has a job done when the process ends in any way that JavaScript hears of (the end of its events, `process.exit`, an uncaught error, a
 * signal), until the returned function is called. Only what is synchronous happens any more. A signal that others listen to may have it
 * done although the process lives on, and then again.
 */
export function onExit(job: ExitJob): () => void {
  if (jobs.size === 0) listen();
  jobs.add(job);
  return () => {
    if (jobs.delete(job) && jobs.size === 0) unlisten();
  };
}

/** What a shell reports of a process that a signal has ended. */
export function exitCodeOf(signal: EndingSignal): number {
  return 128 + constants.signals[signal];
}

/** Says something on standard error while the process ends. Where that is closed or full, nobody is left to be told. */
export function lastWords(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // EPIPE, EAGAIN: it must not keep the others from what they still have to do.
  }
}

/** One listener for all: Node takes more than ten for a leak. */
function listen(): void {
  process.on('exit', atExit);
  listenToSignals();
}

function unlisten(): void {
  process.off('exit', atExit);
  ignoreSignals();
}

function listenToSignals(): void {
  ignoreSignals();
  for (const signal of endingSignals) process.prependListener(signal, onSignal);
}

function ignoreSignals(): void {
  for (const signal of endingSignals) process.off(signal, onSignal);
}

/**
 * A signal that has no listener ends a process without its `exit` event. One that the program listens to, or a run that is under way, is
 * theirs. We leave the list before they are called: some count who is on it to find out whether anybody else wants the signal, and would
 * wait for us as we for them. Who then finds nobody may end the process by the signal itself, without an `exit` event: what is to be done
 * at the end is done before.
 */
function onSignal(signal: NodeJS.Signals): void {
  ignoreSignals();
  if (process.listenerCount(signal) === 0) process.exit(exitCodeOf(signal as EndingSignal));
  doAll(true);
  setImmediate(() => {
    if (jobs.size > 0) listenToSignals();
  });
}

function atExit(): void {
  doAll(false);
}

/** Each of them, whatever becomes of the others. */
function doAll(mayLiveOn: boolean): void {
  const thrown: unknown[] = [];
  for (const job of jobs) {
    try {
      job(mayLiveOn);
    } catch (error) {
      thrown.push(error);
    }
  }
  if (thrown.length > 0) throw thrown[0];
}
