import { isDeepStrictEqual, inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { judged, type Where, Verdicts } from '../src/judge.ts';
import type { Tag } from '../src/tag.ts';

const tag = (content: string, value: number | null = null): Tag => ({ content, value });

/** The tags that a predicate accepts, asked the way of a search. */
function accepted(where: Where, tags: readonly Tag[]): readonly Tag[] {
  const verdicts = new Verdicts(where);
  return tags.filter(({ content, value }) => verdicts.ofContent(content, value) ?? verdicts.ofTag(content, value));
}

/** How often a predicate is asked about these tags. */
function calls(where: Where, tags: readonly Tag[]): number {
  let count = 0;
  accepted((one) => {
    count++;
    return where(one);
  }, tags);
  return count;
}

const tags = [tag('a'), tag('a', NaN), tag('a', 0), tag('a', -0), tag('a'), tag('b', NaN), tag('a', NaN), tag('a', 1)];

describe('a JavaScript predicate', () => {
  test('is asked once for each content where it does not look at the value', () => {
    expect(calls((one) => one.content === 'a', tags)).toBe(2);
    expect(accepted((one) => one.content === 'a', tags)).toEqual(tags.filter(({ content }) => content === 'a'));
  });

  test('is asked once for each distinct tag where it does', () => {
    const seen: Tag[] = [];
    const passed = accepted((one) => seen.push({ ...one }) > 0 && one.value === 1, tags);
    expect(seen).toStrictEqual([tag('a'), tag('a', NaN), tag('a', 0), tag('b', NaN), tag('a', 1)]);
    expect(passed).toEqual([tag('a', 1)]);
  });

  test('may look at the value of some contents only', () => {
    const where: Where = (one) => one.content === 'a' && one.value === 1;
    expect(accepted(where, tags)).toEqual([tag('a', 1)]);
    expect(calls(where, [...tags, tag('b', 1), tag('b', 2), tag('b', 3)])).toBe(5);
  });

  test('that is true for something is true', () => {
    expect(accepted((one) => one.value as unknown as boolean, tags)).toEqual([tag('a', 1)]);
  });

  // Each looks at the value in its own way: what is true of one tag must not be taken for all with the same content.
  const looks: [string, Where][] = [
    ['reads it', (one) => one.value === 1],
    ['takes it apart', ({ value }) => value === 1],
    ['spreads the tag', (one) => Object.values({ ...one })[1] === 1],
    ['lists its entries', (one) => Object.entries(one).some(([name, value]) => name === 'value' && value === 1)],
    ['writes it as JSON', (one) => JSON.stringify(one) === '{"content":"a","value":1}'],
    ['compares it', (one) => isDeepStrictEqual(one, { content: 'a', value: 1 })],
    ['prints it', (one) => inspect(one) === "{ content: 'a', value: 1 }"],
    ['clones it', (one) => structuredClone(one).value === 1],
    ['assigns it', (one) => Object.assign({ content: '', value: 0 }, one).value === 1],
    ['asks by name', (one) => Reflect.get(one, ['val', 'ue'].join('')) === 1],
    ['inherits from it', (one) => (Object.create(one) as Tag).value === 1],
  ];
  test.for(looks)('that %s is asked about every value', ([, where]) => {
    for (const order of [tags, tags.toReversed()]) expect(accepted(where, order)).toEqual([tag('a', 1)]);
  });

  test('gets a tag that is like any other and cannot be changed', () => {
    const shapes: unknown[] = [];
    accepted((one) => {
      shapes.push([Object.keys(one), Object.isFrozen(one), Object.getPrototypeOf(one) === Object.prototype, 'value' in one]);
      return false;
    }, tags);
    expect(shapes).toEqual(Array.from(shapes, () => [['content', 'value'], true, true, true]));
    const change: Where = (one) => Boolean(((one as { content: string }).content = 'b'));
    expect(() => accepted(change, tags)).toThrow(expect.objectContaining({ code: 'WHERE_INVALID' }));
    expect(judged('a', -0)).toStrictEqual(tag('a', 0));
  });

  const faults: [string, () => unknown, RegExp][] = [
    [
      'that throws',
      () => {
        throw new RangeError('too far');
      },
      /"loss" with the value 0\.5: too far/,
    ],
    [
      'that throws nothing',
      () => {
        throw undefined;
      },
      /"loss" with the value 0\.5/,
    ],
    ['that is async', async () => true, /promise for the tag "loss" with the value 0\.5/],
    [
      'that is async and fails',
      async () => {
        throw new Error('late');
      },
      /promise/,
    ],
    ['that returns something with a then', () => ({ then: () => undefined }), /promise/],
    [
      'that returns something with a then that fails',
      () => ({
        get then() {
          throw new Error('not then');
        },
      }),
      /threw on the tag "loss" with the value 0\.5: not then/,
    ],
    ['that returns an object', () => ({}), /returned .* for the tag "loss" with the value 0\.5: it must return true or false/],
    ['that returns a list', () => [], /must return true or false/],
    ['that returns a function', () => () => false, /must return true or false/],
    ['that is a generator by another name', () => [false][Symbol.iterator](), /must return true or false/],
  ];
  test.for(faults)('%s is refused, naming the tag', async ([, where, message]) => {
    const call = () => accepted(where as () => boolean, [tag('loss', 0.5)]);
    expect(call).toThrow(expect.objectContaining({ code: 'WHERE_INVALID', message: expect.stringMatching(message) }));
    await new Promise((resolve) => setImmediate(resolve)); // an unhandled rejection would fail the test here
  });

  test('keeps what it threw as the cause', () => {
    const cause = new RangeError('too far');
    expect(() =>
      accepted(() => {
        throw cause;
      }, tags),
    ).toThrow(expect.objectContaining({ cause }));
  });
});
