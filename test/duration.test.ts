import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { humanDuration, parseDuration } from '../src/duration.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

describe('humanDuration', () => {
  test.each([
    [0, '~0ms'],
    [0.49, '~0ms'],
    [0.5, '1ms'],
    [12.4, '12ms'],
    [999.4, '999ms'],
    [999.6, '1s'],
    [1_000, '1s'],
    [1_500, '1.5s'],
    [3_000, '3s'],
    [2_300, '2.3s'],
    [59_940, '59.9s'],
    [59_960, '1m'],
    [minute, '1m'],
    [2 * minute + 5 * second, '2m 5s'],
    [59 * minute + 59_400, '59m 59s'],
    [59 * minute + 59_600, '1h'],
    [hour + 3 * minute + 20 * second, '1h 3m'],
    [23 * hour + 59 * minute + 40 * second, '1d'],
    [3 * day + 4 * hour, '3d 4h'],
    [400 * day, '400d'],
    [-0.1, '~0ms'],
    [-0, '~0ms'],
    [-1_500, '-1.5s'],
    [Infinity, '∞'],
    [-Infinity, '-∞'],
    [Number.NaN, '?'],
  ])('%d ms is %s', (ms, expected) => {
    expect(humanDuration(ms)).toBe(expected);
  });

  test('is off by no more than half of its smallest unit', () => {
    const units = { ms: 1, s: second, m: minute, h: hour, d: day };
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 1_000 * day, noNaN: true }), (ms) => {
        const parts = humanDuration(ms)
          .split(' ')
          .map((part) => /^([\d.]+)(ms|s|m|h|d)$/.exec(part) as RegExpExecArray);
        const total = parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units], 0);
        const finest = ms < second ? 1 : ms < minute ? second / 10 : ms < hour ? second : ms < day ? minute : hour;
        expect(Math.abs(total - ms)).toBeLessThanOrEqual(finest / 2 + 1e-3);
      }),
      { seed: 5 },
    );
  });
});

describe('parseDuration', () => {
  test.each([
    ['7d', 604_800_000],
    ['12h', 43_200_000],
    ['1.5 m', 90_000],
    ['45s', 45_000],
    ['500ms', 500],
    [0, 0],
    [1_500, 1_500],
  ])('reads %j as %d milliseconds', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['7', 'd', '7w', '-1d', '', ' 7d', '7dd', -1, Number.NaN, Number.POSITIVE_INFINITY, null, undefined, {}])(
    'reads nothing in %j',
    (text) => {
      expect(parseDuration(text)).toBeNull();
    },
  );
});
