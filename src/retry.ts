import { MarqueError, show } from './error.ts';
import { withDefaults } from './options.ts';
import { type NeedsOf, type Step, type StepLike, toStep } from './step.ts';

/** When a failed attempt is followed by another, and after how long. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly times: number;
  /** Milliseconds before the second attempt. */
  readonly delay: number;
  /** What the delay is multiplied with from attempt to attempt. */
  readonly factor: number;
  /** The part of the delay, 0 to 1, by which it varies at random in both directions. */
  readonly jitter: number;
  /** Whether this error, of this attempt (from 1), is worth another one. */
  readonly when: (error: unknown, attempt: number) => boolean;
}

/** Timers cannot wait longer than this: 2^31 - 1 milliseconds. */
const longestDelay = 2 ** 31 - 1;

/**
 * The same step, attempted up to `times` in all (`Infinity` is allowed) until it succeeds. Every attempt has a scope of its own,
 * with its error; those before the last have status `retried`. Defaults: no delay, factor 2, no jitter, every error.
 * Throws `OPTION_INVALID`.
 *
 * ```ts
 * flow.push(retry(download, 5, { delay: 200, jitter: 0.5, when: (error) => error instanceof TypeError }));
 * ```
 */
export function retry<S extends StepLike>(
  step: S,
  times: number,
  options: Partial<Omit<RetryPolicy, 'times'>> = {},
): Step<NeedsOf<S> & object> {
  const policy = withDefaults<RetryPolicy>({ times, delay: 0, factor: 2, jitter: 0, when: () => true }, { ...options, times });
  if (times !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(times) && times > 0)) {
    throw new MarqueError('OPTION_INVALID', `retry ${show(times)} times: give the attempts in all, at least 1, or Infinity`);
  }
  check('delay', policy.delay, 0, longestDelay);
  check('factor', policy.factor, 0, Number.MAX_VALUE);
  check('jitter', policy.jitter, 0, 1);
  if (typeof policy.when !== 'function' || policy.when.constructor.name === 'AsyncFunction') {
    throw new MarqueError(
      'OPTION_INVALID',
      `retry option when is ${show(policy.when)}: give a synchronous function of the error`,
    );
  }
  return toStep(step).withRetry(policy);
}

function check(option: string, value: number, least: number, most: number): void {
  if (typeof value === 'number' && value >= least && value <= most) return;
  throw new MarqueError('OPTION_INVALID', `retry option ${option} is ${show(value)}: give a number from ${least} to ${most}`);
}

/** Milliseconds to wait after the given failed attempt (from 1). `chance` is in [0, 1). */
export function delayAfter(policy: RetryPolicy, attempt: number, chance: number): number {
  const delay = policy.delay * policy.factor ** (attempt - 1) * (1 + policy.jitter * (2 * chance - 1));
  return Number.isNaN(delay) ? 0 : Math.min(delay, longestDelay); // 0 times an infinite factor is no delay
}
