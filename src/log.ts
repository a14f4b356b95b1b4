import { format } from 'node:util';
import { MarqueError, show } from './error.ts';

/** From the least to the most serious. */
export const logLevels = ['trace', 'debug', 'info', 'success', 'warning', 'error', 'critical'] as const;

export type LogLevel = (typeof logLevels)[number];

/** One line of a log, as read back. `id` is the scope that wrote it, or null for a line of the run itself. */
export interface LogEntry {
  readonly level: LogLevel;
  readonly message: string;
  readonly at: Date;
  readonly id: string | null;
}

export function checkLevel(level: unknown): LogLevel {
  if (logLevels.includes(level as LogLevel)) return level as LogLevel;
  throw new MarqueError('OPTION_INVALID', `log level ${show(level)} is none of ${logLevels.join(', ')}`);
}

/** Prints lines on standard error from a level on; everything is stored whatever is printed. */
export class LogPrinter {
  readonly #from: number;

  constructor(from: LogLevel | 'silent') {
    this.#from = from === 'silent' ? logLevels.length : logLevels.indexOf(checkLevel(from));
  }

  print(level: LogLevel, source: string, message: string): void {
    if (logLevels.indexOf(level) >= this.#from) process.stderr.write(`${level} ${source}: ${message}\n`);
  }
}

/** What was logged as text that any column can hold: as the console would print it, half surrogate pairs replaced. */
export function textOf(message: unknown): string {
  try {
    return (typeof message === 'string' ? message : format(message)).toWellFormed();
  } catch {
    return show(message); // a value whose own inspection throws
  }
}
