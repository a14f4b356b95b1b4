import { expect, test } from 'vitest';
import { type FlushPolicy, flushPolicy } from '../src/flush-policy.ts';

const standard = { scopes: 10_000, bytes: 32 * 2 ** 20, ms: 500 };

test.each<[unknown, FlushPolicy]>([
  [undefined, standard],
  [null, standard],
  [{ scopes: undefined }, standard],
  [{ ms: Number.POSITIVE_INFINITY }, { ...standard, ms: Number.POSITIVE_INFINITY }],
  [
    { scopes: 5, bytes: 1_000, ms: 1 },
    { scopes: 5, bytes: 1_000, ms: 1 },
  ],
])('%j is completed', (given, expected) => {
  expect(flushPolicy(given as Partial<FlushPolicy>)).toEqual(expected);
});

test.each([2 ** 31, Number.POSITIVE_INFINITY])('%d bytes are as many as a batch can certainly hold', (bytes) => {
  expect(flushPolicy({ bytes }).bytes).toBe(128 * 2 ** 20);
});

test.each<[unknown, RegExp]>([
  [{ scope: 5 }, /no flush option "scope"\. Did you mean "scopes"\?/],
  [{ milliseconds: 5 }, /no flush option "milliseconds"\. There are "scopes", "bytes" and "ms"\./],
  [{ toString: 5 }, /no flush option "toString"/],
  [{ ms: 0 }, /ms is 0/],
  [{ ms: '5' }, /ms is "5"/],
  [{ scopes: Number.NaN }, /scopes is NaN/],
  [5, /flush is 5/],
  ['ms', /flush is "ms"/],
])('%j is refused', (given, message) => {
  const refused = expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(message) });
  expect(() => flushPolicy(given as Partial<FlushPolicy>)).toThrow(refused);
});
