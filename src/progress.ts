import { humanDuration } from './duration.ts';

/** How far a run is. `total` is Infinity where nobody can know it yet. */
export interface Progress {
  readonly run: string;
  readonly done: number;
  readonly total: number;
  readonly errors: number;
  readonly elapsedMs: number;
}

/** Milliseconds between two updates on a terminal, and between two lines elsewhere. */
const terminalEvery = 100;
const plainEvery = 5_000;

/**
 * Shows a run's progress on standard error until the returned function is called: one line that changes on a terminal, a plain
 * line every five seconds elsewhere, and a last one in both.
 */
export async function showProgress(read: () => Progress): Promise<() => void> {
  if (!process.stderr.isTTY) {
    const timer = setInterval(() => process.stderr.write(`${describeProgress(read())}\n`), plainEvery).unref();
    return () => {
      clearInterval(timer);
      process.stderr.write(`${describeProgress(read())}\n`);
    };
  }
  const { default: yoctoSpinner } = await import('yocto-spinner');
  const spinner = yoctoSpinner({ text: describeProgress(read()) }).start();
  const timer = setInterval(() => (spinner.text = fit(describeProgress(read()))), terminalEvery).unref();
  return () => {
    clearInterval(timer);
    const last = read();
    if (last.errors > 0) spinner.warning(describeProgress(last));
    else spinner.success(describeProgress(last));
  };
}

/** `brave-otters: 120 of 1,000 steps, 240/s, 2 errors, 3.7s left` */
export function describeProgress({ run, done, total, errors, elapsedMs }: Progress): string {
  const rate = elapsedMs > 0 ? done / (elapsedMs / 1_000) : 0;
  const count = Number.isFinite(total) && total > done ? `${number(done)} of ${number(total)} steps` : `${number(done)} steps`;
  const parts = [count, `${number(rate)}/s`];
  if (errors > 0) parts.push(errors === 1 ? '1 error' : `${number(errors)} errors`);
  if (Number.isFinite(total) && total > done && rate > 0) parts.push(`${humanDuration(((total - done) / rate) * 1_000)} left`);
  else parts.push(humanDuration(elapsedMs));
  return `${run}: ${parts.join(', ')}`;
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Cuts a line to the terminal's width: a wrapped line could not be replaced. */
function fit(line: string): string {
  const width = (process.stderr.columns ?? 80) - 3; // the spinner and a space
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
}
