import { AsyncLocalStorage } from 'node:async_hooks';
import { format, inspect, type InspectOptions } from 'node:util';
import type { LogLevel } from './log.ts';

/** Where the console's lines go while a step runs. */
export interface CaptureSink {
  capture(message: string, level: LogLevel): void;
  readonly hasEnded: boolean;
}

/** The methods that print; the others (`table`, `group`, `assert`, …) go through one of them. */
const levels = {
  debug: 'debug',
  dir: 'info',
  error: 'error',
  info: 'info',
  log: 'info',
  trace: 'trace',
  warn: 'warning',
} as const;

const current = new AsyncLocalStorage<CaptureSink>();
let users = 0;
let restore: (() => void) | null = null;

/** Runs a step so that what it writes to the console, also after an await, is logged on it as well as printed. */
export function captured<T>(sink: CaptureSink, run: () => T): T {
  return current.run(sink, run);
}

/**
 * Makes the console's methods look for the step that calls them, until the returned function is called. Concurrent steps never mix:
 * the step is found through its asynchronous context. Flows that run at the same time share one patch.
 */
export function captureConsole(): () => void {
  if (users++ === 0) restore = patch();
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    if (--users === 0) restore?.();
  };
}

function patch(): () => void {
  let isActive = true; // a patch that somebody else patched over stays in place, and must not record a second time
  const undo = Object.entries(levels).map(([method, level]) => {
    const name = method as keyof typeof levels;
    const original = console[name];
    const patched = (...args: unknown[]): void => {
      const sink = isActive ? current.getStore() : undefined;
      if (sink !== undefined && !sink.hasEnded) sink.capture(textOfCall(name, args), level);
      (original as (...args: unknown[]) => void).apply(console, args);
    };
    console[name] = patched;
    return () => {
      if (console[name] === patched) console[name] = original; // else somebody patched on top, who calls ours
    };
  });
  return () => {
    isActive = false;
    for (const one of undo) one();
  };
}

function textOfCall(method: string, args: readonly unknown[]): string {
  return method === 'dir'
    ? inspect(args[0], { customInspect: false, ...(args[1] as InspectOptions | undefined) })
    : format(...args);
}
