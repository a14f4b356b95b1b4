import { createHash } from 'node:crypto';
import { uniformBigInt } from 'pure-rand/distribution/uniformBigInt';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { MarqueError, show } from './error.ts';

/**
 * A seeded stream of random numbers (xoroshiro128+): the same seed gives the same values on every machine and in every version
 * of this library. Not for secrets.
 *
 * ```ts
 * const random = new Random(42);
 * random.integer(1, 6);
 * random.fork('fold', '3').shuffle(rows); // the same order, whatever was drawn from `random` before
 * ```
 */
export class Random {
  /** The seed that this stream, or the one that it was forked from first, was made with. */
  readonly seed: number;
  /** The keys of each fork on the way from the seed to this stream. */
  readonly #forks: readonly (readonly string[])[];
  readonly #generator: RandomGenerator;

  /** `seed`: any safe integer, otherwise OPTION_INVALID is thrown. */
  constructor(seed: number);
  /** @internal What `fork` calls. */
  constructor(seed: number, forks: readonly (readonly string[])[]);
  constructor(seed: number, forks: readonly (readonly string[])[] = []) {
    if (!Number.isSafeInteger(seed)) throw new MarqueError('OPTION_INVALID', `a seed must be a safe integer, not ${show(seed)}`);
    this.seed = seed;
    this.#forks = forks;
    this.#generator = xoroshiro128plusFromState(stateOf(seed, forks));
  }

  /**
   * A stream of its own, that depends on this stream's seed and the keys alone: never on what has been drawn from this one. It can
   * be forked again; `fork('a', 'b')` and `fork('a').fork('b')` are two different streams.
   */
  fork(...keys: string[]): Random {
    for (const key of keys)
      if (typeof key !== 'string') throw new MarqueError('OPTION_INVALID', `a key to fork by must be a string, not ${show(key)}`);
    return new Random(this.seed, [...this.#forks, keys]);
  }

  /** A number in [0, 1), a multiple of 2^-53. */
  number(): number {
    return uniformFloat64(this.#generator);
  }

  /** An integer from `min` to `max`, both included, all equally likely. Throws OPTION_INVALID unless both are safe integers in order. */
  integer(min: number, max: number): number {
    if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max) || min > max)
      throw new MarqueError(
        'OPTION_INVALID',
        `integer(min, max) needs two safe integers, min at most max, not ${show(min)} and ${show(max)}`,
      );
    if (max - min <= Number.MAX_SAFE_INTEGER) return uniformInt(this.#generator, min, max);
    return Number(uniformBigInt(this.#generator, BigInt(min), BigInt(max))); // doubles would skip odd numbers here
  }

  /** One element of the list, all equally likely. Throws OPTION_INVALID if the list is empty. */
  choice<T>(list: readonly T[]): T {
    if (!Array.isArray(list) || list.length === 0)
      throw new MarqueError('OPTION_INVALID', `choice needs a list that is not empty, not ${show(list)}`);
    return list[uniformInt(this.#generator, 0, list.length - 1)] as T;
  }

  /** The elements of the list in another order, all orders equally likely, as a new array. */
  shuffle<T>(list: readonly T[]): T[] {
    if (!Array.isArray(list)) throw new MarqueError('OPTION_INVALID', `shuffle needs a list, not ${show(list)}`);
    const shuffled = [...(list as readonly T[])];
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = uniformInt(this.#generator, 0, last);
      [shuffled[last], shuffled[other]] = [shuffled[other] as T, shuffled[last] as T];
    }
    return shuffled;
  }

  /** A number of the normal distribution, by the Box-Muller transform. `sd` 0 gives the mean; a negative one is OPTION_INVALID. */
  normal(mean = 0, sd = 1): number {
    if (!Number.isFinite(mean) || !Number.isFinite(sd) || sd < 0)
      throw new MarqueError(
        'OPTION_INVALID',
        `normal(mean, sd) needs finite numbers, sd not negative, not ${show(mean)} and ${show(sd)}`,
      );
    const radius = Math.sqrt(-2 * Math.log(1 - this.number()));
    return mean + sd * radius * Math.cos(2 * Math.PI * this.number());
  }
}

/** 128 bits out of the seed and the forks. JSON keeps apart what differs: `['a', 'b']` and `['a'], ['b']`, or `'a","b'`. */
function stateOf(seed: number, forks: readonly (readonly string[])[]): number[] {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...forks]))
    .digest();
  return [0, 4, 8, 12].map((offset) => digest.readInt32LE(offset));
}
