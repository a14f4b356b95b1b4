import { describe, expect, test } from 'vitest';
import { near, orNear } from '../src/near.ts';

describe('near', () => {
  test.each<[string, string[], string[]]>([
    ['lrr', ['lr', 'loss', 'epoch'], ['lr']],
    ['LR', ['lr'], ['lr']],
    ['learningRate', ['learning_rate', 'learning', 'rate'], ['learning_rate', 'learning']],
    ['epohc', ['epoch', 'batch'], ['epoch']],
    ['a', ['b', 'c'], []],
    ['lr', ['wd'], []],
    ['ab', ['aa', 'ac', 'ad', 'ae'], ['aa', 'ac', 'ad']],
    ['seed', ['seeds', 'sede', 'seeds'], ['seeds']],
    ['anything', [], []],
  ])('%j among %j finds %j', (name, known, expected) => {
    expect(near(name, known)).toEqual(expected);
  });
});

describe('orNear', () => {
  const many = Array.from({ length: 13 }, (_, index) => `column${index}`);
  test.each<[string, string[], string]>([
    ['lrr', ['lr', 'loss'], ' Did you mean "lr"?'],
    ['los', ['lot', 'loss'], ' Did you mean "loss" or "lot"?'],
    ['ab', ['aa', 'ac', 'ad', 'ae'], ' Did you mean "aa", "ac" or "ad"?'],
    ['momentum', ['lr'], ' There is "lr".'],
    ['momentum', ['lr', 'loss', 'lr'], ' There are "lr" and "loss".'],
    [
      'x',
      many,
      ` There are ${many
        .slice(0, 10)
        .map((name) => `"${name}"`)
        .join(', ')} and 3 more.`,
    ],
    ['x', [], ' There are none.'],
  ])('%j among %j says %j', (name, known, expected) => {
    expect(orNear(name, known)).toBe(expected);
  });
});
