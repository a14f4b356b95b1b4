import { describe, expect, test } from 'vitest';
import { acceptTags, type Candidate, evaluateSearch } from '../src/evaluate.ts';
import { compileGlob } from '../src/glob.ts';
import type { Search } from '../src/search.ts';
import { sidOf } from '../src/sid.ts';
import type { Tag } from '../src/tag.ts';
import { searchFor } from './store-rows.ts';

const tag = (content: string, value: number | null = null): Tag => ({ content, value });

describe('acceptTags', () => {
  const tags = [tag('a'), tag('a', NaN), tag('a', 0), tag('a', -0), tag('a'), tag('b', NaN), tag('a', NaN), tag('a', 1)];

  test('calls the predicate once for each distinct tag, in their order', () => {
    const seen: Tag[] = [];
    const accepted = acceptTags((one) => seen.push(one) > 0, tags);
    expect(seen).toStrictEqual([tag('a'), tag('a', NaN), tag('a', 0), tag('b', NaN), tag('a', 1)]);
    expect(accepted).toEqual(seen);
  });

  test('takes whatever is true for true', () => {
    expect(acceptTags((one) => one.value as unknown as boolean, tags)).toEqual([tag('a', 1)]);
  });

  test('hands out tags that cannot be changed', () => {
    const change = (one: Tag) => Boolean(((one as { content: string }).content = 'b'));
    expect(() => acceptTags(change, tags)).toThrow(expect.objectContaining({ code: 'WHERE_INVALID' }));
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
  ];
  test.for(faults)('refuses a predicate %s, naming the tag', async ([, where, message]) => {
    const call = () => acceptTags(where as () => boolean, [tag('loss', 0.5)]);
    expect(call).toThrow(expect.objectContaining({ code: 'WHERE_INVALID', message: expect.stringMatching(message) }));
    await new Promise((resolve) => setImmediate(resolve)); // an unhandled rejection would fail the test here
  });

  test('keeps what the predicate threw as the cause', () => {
    const cause = new RangeError('too far');
    expect(() =>
      acceptTags(() => {
        throw cause;
      }, tags),
    ).toThrow(expect.objectContaining({ cause }));
  });
});

describe('evaluateSearch', () => {
  /** Scopes by run and ordinal; those of run 2 have tags. */
  const scopes: Candidate[] = [
    [2, 5],
    [1, 1],
    [3, 2],
    [2, 4],
    [1, 2],
    [3, 1],
  ].map(([run = 0, ordinal = 0]) => ({
    sid: sidOf(run, ordinal),
    flow: 'flow',
    step: `step${ordinal}`,
    run: `run-${run}`,
    path: `0-${ordinal}`,
    status: 'ok',
    tags: () => (run === 2 ? [tag('n', ordinal)] : []),
  }));

  // What every store finds stands in the conformance suite; here is what concerns the evaluation alone.
  const rows: [string, Partial<Search>, [number, number][]][] = [
    [
      'orders by sid, whatever the order of the rows',
      { order: 'newest' },
      [
        [3, 2],
        [3, 1],
        [2, 5],
        [2, 4],
        [1, 2],
        [1, 1],
      ],
    ],
    [
      'applies the limit after the order',
      { order: 'oldest', limit: 3 },
      [
        [1, 1],
        [1, 2],
        [2, 4],
      ],
    ],
    [
      'chooses the recent run after where',
      { where: () => true, runs: { kind: 'recent', back: 0, before: null } },
      [
        [2, 4],
        [2, 5],
      ],
    ],
    [
      'chooses the recent run after the glob',
      { glob: compileGlob('*-5'), runs: { kind: 'recent', back: 0, before: null } },
      [[2, 5]],
    ],
  ];
  test.for(rows)('%s', ([, parts, expected]) => {
    expect(evaluateSearch(searchFor(parts), scopes)).toEqual(expected.map(([run, ordinal]) => sidOf(run, ordinal)));
  });

  test('asks for tags only where the search has a where', () => {
    const silent = scopes.map((scope) => ({
      ...scope,
      tags: () => {
        throw new Error('asked');
      },
    }));
    expect(evaluateSearch(searchFor({ runs: { kind: 'recent', back: 0, before: null } }), silent)).toHaveLength(2);
  });

  test('asks a predicate only about tags of scopes that match otherwise', () => {
    const asked: Tag[] = [];
    evaluateSearch(searchFor({ step: 'step4', where: (one) => asked.push(one) > 0 }), scopes);
    expect(asked).toEqual([tag('n', 4)]);
  });
});
