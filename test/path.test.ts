import fc from 'fast-check';
import { expect, test } from 'vitest';
import { childPath, rootPath } from '../src/path.ts';

test('a path says where a step stands', () => {
  expect(rootPath(0, 12)).toBe('0-12');
  expect(childPath('0-12', 3)).toBe('0-12-3');
});

test('a path of more than eight parts keeps four, and 80 bits of hash', () => {
  const eight = '0-1-2-3-4-5-6-7';
  expect(childPath('0-1-2-3-4-5-6', 7)).toBe(eight);
  const nine = childPath(eight, 8);
  expect(nine).toMatch(/^0-1-2-3~[0-9a-f]{20}$/);
  expect(childPath(nine, 0)).toMatch(/^0-1-2-3~[0-9a-f]{20}$/);
});

test('different positions have different paths, at any depth', () => {
  const position = fc.array(fc.nat(3), { minLength: 2, maxLength: 14 });
  const pathOf = ([group, index, ...rest]: readonly number[]): string =>
    rest.reduce(childPath, rootPath(group as number, index as number));
  fc.assert(
    fc.property(position, position, (a, b) => {
      expect(pathOf(a) === pathOf(b)).toBe(a.join() === b.join());
    }),
    { seed: 1, numRuns: 2_000 },
  );
});
