import { describe, expect, test } from 'vitest';
import { Random } from '../src/random.ts';

const times = <T>(count: number, draw: () => T): T[] => Array.from({ length: count }, draw);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('a seeded Random', () => {
  test('gives these values in every version: experiments are repeated by their seeds', () => {
    const random = new Random(42);
    expect(times(5, () => random.integer(1, 100))).toEqual([54, 50, 18, 68, 64]);
    expect(times(2, () => random.number())).toEqual([0.08861570698706422, 0.09462289017935077]);
    expect(random.shuffle([1, 2, 3, 4, 5])).toEqual([2, 1, 5, 3, 4]);
    expect(random.normal()).toBeCloseTo(-0.7715170095583277, 14); // logarithm and cosine are not specified to the last bit
    expect(random.integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)).toBe(6943931096177744);
    expect(random.fork('a').integer(1, 100)).toBe(73);
  });

  test('repeats itself, and no other seed', () => {
    const stream = (seed: number) => {
      const random = new Random(seed);
      return times(10, () => random.number());
    };
    expect(stream(1)).toEqual(stream(1));
    const seeds = [0, 1, 2, -1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
    expect(new Set(seeds.map((seed) => stream(seed).join())).size).toBe(seeds.length);
  });

  test.each([1.5, Number.NaN, Infinity, 2 ** 53, '42', undefined, 42n])('refuses the seed %s', (seed) => {
    expect(() => new Random(seed as number)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});

describe('a fork', () => {
  const first = (random: Random) => random.integer(0, Number.MAX_SAFE_INTEGER);

  test('depends on seed and keys, not on what was drawn or forked before', () => {
    const fresh = new Random(1);
    const used = new Random(1);
    times(100, () => used.number());
    used.fork('b').number();
    expect(first(used.fork('a', 'b'))).toBe(first(fresh.fork('a', 'b')));
    expect(first(used.fork('a').fork('b'))).toBe(first(fresh.fork('a').fork('b')));
    expect(first(used.fork('a'))).not.toBe(first(new Random(2).fork('a')));
  });

  test('does not disturb the stream it comes from', () => {
    const [left, right] = [new Random(1), new Random(1)];
    left.fork('a').number();
    expect(first(left)).toBe(first(right));
  });

  test('differs from every other', () => {
    const random = new Random(1);
    const forks = [
      random,
      random.fork(),
      random.fork().fork(),
      random.fork(''),
      random.fork('', ''),
      random.fork('a'),
      random.fork('b'),
      random.fork('ab'),
      random.fork('a', 'b'),
      random.fork('a').fork('b'),
      random.fork('a","b'),
      random.fork('a,b'),
      random.fork('\ud800'),
      random.fork('\udc00'),
    ];
    expect(new Set(forks.map(first)).size).toBe(forks.length);
    expect(forks.every((fork) => fork.seed === 1)).toBe(true);
  });

  test('gives streams that do not run in step', () => {
    const random = new Random(1);
    const firsts = times(10_000, () => 0).map((_, index) => random.fork('fold', String(index)).number());
    expect(mean(firsts)).toBeCloseTo(0.5, 1);
    const lagged = firsts.slice(1).map((value, index) => (value - 0.5) * ((firsts[index] as number) - 0.5));
    expect(Math.abs(mean(lagged))).toBeLessThan(0.003); // standard error 1/12 / sqrt(10,000) = 0.0008
  });

  test('refuses keys that are not strings', () => {
    expect(() => new Random(1).fork(1 as unknown as string)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});

describe('integer', () => {
  test('reaches both ends and all between equally often', () => {
    const random = new Random(3);
    const counts = [0, 0, 0, 0, 0];
    for (let draw = 0; draw < 50_000; draw++) {
      const value = random.integer(-2, 2);
      counts[value + 2] = (counts[value + 2] as number) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400); // standard deviation 89
  });

  test.each([
    [0, 2 ** 32],
    [0, Number.MAX_SAFE_INTEGER],
    [-(2 ** 53) + 1, 0],
    [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ])('from %d to %d is uniform in its lowest and highest bits, and safe', (min, max) => {
    const random = new Random(4);
    const values = times(20_000, () => random.integer(min, max));
    expect(values.every((value) => Number.isSafeInteger(value) && min <= value && value <= max)).toBe(true);
    expect(Math.abs(mean(values.map((value) => Math.abs(value % 2))) - 0.5)).toBeLessThan(0.02);
    for (const quarter of [0.25, 0.5, 0.75])
      expect(
        Math.abs(mean(values.map((value) => (value / 2 < (min / 2) * (1 - quarter) + (max / 2) * quarter ? 1 : 0))) - quarter),
      ).toBeLessThan(0.02);
  });

  test('of a single value is that value', () => {
    expect(new Random(1).integer(7, 7)).toBe(7);
  });

  test.each([
    [2, 1],
    [0.5, 1],
    [0, Number.NaN],
    [0, 2 ** 53],
    [0, Infinity],
    ['0', 1],
  ])('refuses %j to %j', (min, max) => {
    expect(() => new Random(1).integer(min as number, max)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});

describe('number', () => {
  test('is uniform in [0, 1) and uses 53 bits', () => {
    const random = new Random(5);
    const values = times(20_000, () => random.number());
    expect(values.every((value) => value >= 0 && value < 1 && Number.isSafeInteger(value * 2 ** 53))).toBe(true);
    expect(Math.abs(mean(values) - 0.5)).toBeLessThan(0.01);
    expect(Math.abs(mean(values.map((value) => (value * 2 ** 53) % 2)) - 0.5)).toBeLessThan(0.02);
  });
});

describe('choice and shuffle', () => {
  test('choice takes every element equally often', () => {
    const random = new Random(6);
    const drawn = times(30_000, () => random.choice(['a', 'b', 'c']));
    for (const letter of 'abc') expect(Math.abs(drawn.filter((value) => value === letter).length - 10_000)).toBeLessThan(400);
  });

  test('shuffle gives all orders equally often, in a new array', () => {
    const random = new Random(7);
    const list = Object.freeze([1, 2, 3]);
    const orders = new Map<string, number>();
    for (let draw = 0; draw < 12_000; draw++) {
      const order = random.shuffle(list).join('');
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect(orders.size).toBe(6);
    for (const count of orders.values()) expect(Math.abs(count - 2_000)).toBeLessThan(200);
    expect(random.shuffle([])).toEqual([]);
  });

  test.each([[[]], ['text'], [undefined], [{ length: 1 }]])('choice refuses %j', (list) => {
    expect(() => new Random(1).choice(list as unknown[])).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });

  test('shuffle refuses what is no list', () => {
    expect(() => new Random(1).shuffle('abc' as unknown as unknown[])).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    );
  });
});

describe('normal', () => {
  test('has the mean, the standard deviation and the tails that were asked for', () => {
    const random = new Random(8);
    const values = times(40_000, () => random.normal(10, 2));
    expect(mean(values)).toBeCloseTo(10, 1);
    expect(Math.sqrt(mean(values.map((value) => (value - 10) ** 2)))).toBeCloseTo(2, 1);
    expect(Math.abs(mean(values.map((value) => (Math.abs(value - 10) > 3.92 ? 1 : 0))) - 0.05)).toBeLessThan(0.006);
    expect(random.normal(3, 0)).toBe(3);
  });

  test.each([
    [Number.NaN, 1],
    [0, -1],
    [0, Infinity],
    ['0', 1],
  ])('refuses %j and %j', (center, sd) => {
    expect(() => new Random(1).normal(center as number, sd)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});
