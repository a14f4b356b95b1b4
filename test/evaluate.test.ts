import { describe, expect, test } from 'vitest';
import { type Candidate, evaluateSearch, type Scopes } from '../src/evaluate.ts';
import { compileGlob } from '../src/glob.ts';
import type { Search } from '../src/search.ts';
import { runNumberOf, sidOf } from '../src/sid.ts';
import type { Tag } from '../src/tag.ts';
import { searchFor } from './store-rows.ts';

const tag = (content: string, value: number | null = null): Tag => ({ content, value });

const inOrder =
  (scopes: readonly Candidate[]): Scopes =>
  (order, isAsked) =>
    scopes.filter(({ sid }) => isAsked(runNumberOf(sid))).sort((a, b) => (order === 'newest' ? b.sid - a.sid : a.sid - b.sid));

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
    params: null,
    startedAt: 0,
    durationMs: 0,
    tags: () => (run === 2 ? [tag('n', ordinal)] : []),
  }));

  // What every store finds stands in the conformance suite; here is what concerns the evaluation alone.
  const rows: [string, Partial<Search>, [number, number][]][] = [
    [
      'finds in the order that is asked for',
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
    expect(evaluateSearch(searchFor(parts), inOrder(scopes))).toEqual(expected.map(([run, ordinal]) => sidOf(run, ordinal)));
  });

  test('asks for tags only where the search has a where', () => {
    const silent = scopes.map((scope) => ({
      ...scope,
      tags: () => {
        throw new Error('asked');
      },
    }));
    expect(evaluateSearch(searchFor({ runs: { kind: 'recent', back: 0, before: null } }), inOrder(silent))).toHaveLength(2);
  });

  test('asks a predicate only about tags of scopes that match otherwise', () => {
    const asked: Tag[] = [];
    evaluateSearch(searchFor({ step: 'step4', where: (one) => asked.push(one) > 0 }), inOrder(scopes));
    expect(asked).toEqual([tag('n', 4)]);
  });
});
