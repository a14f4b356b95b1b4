import { inspect } from 'node:util';
import { lastWords } from './exit.ts';

/**
 * Runs a statement so that `process.exit` and an uncaught exception can still end the process. Node waits for its thread pool
 * when it exits; there the statement waits for `batch()` to be called back on a JavaScript thread that runs no more, for
 * ever. While a statement is under way, the process is therefore ended from its `exit` event, once everybody has heard it. To
 * the store that is a process that died: what was acknowledged is there, the rest is not.
 */
export async function leavable<T>(statement: () => Promise<T>): Promise<T> {
  if (running++ === 0) process.on('uncaughtExceptionMonitor', remember).on('exit', leave);
  try {
    return await statement();
  } finally {
    if (--running === 0) process.off('uncaughtExceptionMonitor', remember).off('exit', leave);
  }
}

let running = 0;
let uncaught: { readonly error: unknown } | null = null;

function remember(error: unknown): void {
  uncaught = { error };
}

/** In Node 24.0 and 22.15. It replaces the process without waiting for any thread. */
type Execve = (file: string, args: readonly string[], env: Readonly<Record<string, string>>) => never;

const signals: Readonly<Record<number, NodeJS.Signals>> = { 129: 'SIGHUP', 130: 'SIGINT', 131: 'SIGQUIT', 143: 'SIGTERM' };

/** Ends with the code where Node can, else as if killed by the signal that the code stands for, else by SIGKILL (code 137). */
function leave(code: number): void {
  const listeners = process.listeners('exit');
  for (const listener of listeners.slice(listeners.indexOf(leave) + 1)) listener.call(process, code);
  if (uncaught !== null) lastWords(`Uncaught:\n${inspect(uncaught.error)}\n`); // Node would print it only after us
  const { execve } = process as unknown as { readonly execve?: Execve };
  if (execve !== undefined && process.platform !== 'win32') execve('/bin/sh', ['sh', '-c', `exit ${code}`], {});
  const signal = signals[code] ?? 'SIGKILL';
  if (signal === 'SIGKILL')
    lastWords(`The process leaves while a DuckDB statement runs: it is killed instead of ending with ${code}.\n`);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
