import { expect, test } from 'vitest';
import { messageOf, show } from '../src/error.ts';

class Otter {}

test.each<readonly [text: string, value: () => unknown]>([
  ['"a \\"text\\""', () => 'a "text"'],
  ['42', () => 42],
  ['-0', () => -0],
  ['NaN', () => Number.NaN],
  ['10n', () => 10n],
  ['null', () => null],
  ['undefined', () => undefined],
  ['Symbol(s)', () => Symbol('s')],
  ['function Otter', () => Otter],
  ['an unnamed function', () => () => {}],
  ['an instance of Otter', () => new Otter()],
  ['[1,"two",[3n]]', () => [1, 'two', [3n]]],
  ['{"a":1,"b":{"c":[]}}', () => ({ a: 1, b: { c: [] } })],
  ['{"a":{"b":{"c":{…}}}}', () => ({ a: { b: { c: { d: 1 } } } })],
  ['{}', () => Object.create(null)],
])('show renders a value as %s', (text, make) => {
  expect(show(make())).toBe(text);
});

test('show cuts long values, and does not read large ones whole', () => {
  expect(show('x'.repeat(1_000))).toHaveLength(80);
  const started = performance.now();
  const large = Array.from({ length: 1_000_000 }, (_, index) => ({ index }));
  for (let round = 0; round < 1_000; round++) show({ large, also: large });
  expect(performance.now() - started).toBeLessThan(1_000);
});

test('show and messageOf never throw', () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const hostile = [
    proxy,
    {
      get a(): never {
        throw new Error('no');
      },
    },
    Object.defineProperty(new Error('x'), 'message', { value: 42 }),
  ];
  expect(hostile.map((value) => show(value))).toEqual([
    'a value of type object',
    'a value of type object',
    'an instance of Error',
  ]);
  expect(hostile.map(messageOf)).toEqual(['a value of type object', 'a value of type object', 'an instance of Error']);
});
