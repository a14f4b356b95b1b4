import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { expect, test } from 'vitest';
import { append, grouped } from '../src/glob-normal.ts';
import { type GlobNode, parseGlob } from '../src/glob-syntax.ts';
import { textTest } from '../src/glob-text.ts';
import { textMatcher } from '../src/text-matcher.ts';
import { isLarge } from './size.ts';

/** Nodes in their plainest form, and what they mean as a regular expression, written down as they were asked for. */
interface Asked {
  readonly nodes: readonly GlobNode[];
  readonly regex: string;
}

const single: fc.Arbitrary<Asked> = fc.constantFrom<Asked>(
  { nodes: [{ type: 'text', text: 'a' }], regex: 'a' },
  { nodes: [{ type: 'text', text: 'b' }], regex: 'b' },
  { nodes: [{ type: 'any' }], regex: '.*' },
  { nodes: [{ type: 'one' }], regex: '.' },
  { nodes: [{ type: 'class', negated: true, ranges: [['a', 'a']], posix: [] }], regex: '[^a]' },
);

const { sequence } = fc.letrec<{ sequence: Asked; part: Asked; group: Asked }>((tie) => ({
  part: fc.oneof({ maxDepth: 3, depthSize: 'medium' }, { weight: 3, arbitrary: single }, { weight: 2, arbitrary: tie('group') }),
  sequence: fc.array(tie('part'), { maxLength: 3 }).map((parts) => {
    const nodes: GlobNode[] = [];
    for (const part of parts) for (const node of part.nodes) append(nodes, node);
    return { nodes, regex: parts.map(({ regex }) => `(?:${regex})`).join('') };
  }),
  group: fc
    .tuple(
      fc.constantFrom('' as const, '?' as const, '*' as const, '+' as const),
      fc.array(tie('sequence'), { minLength: 1, maxLength: 3 }),
    )
    .map(([repeat, branches]) => ({
      nodes: grouped(
        repeat,
        branches.map(({ nodes }) => nodes),
      ),
      regex: `(?:${branches.map(({ regex }) => regex).join('|')})${repeat}`,
    })),
}));

/** All that can be made of three letters, up to four of them. */
const texts = Array.from({ length: 5 }, (_, length) =>
  Array.from({ length: 3 ** length }, (__, number) =>
    Array.from({ length }, (___, place) => 'abc'[Math.floor(number / 3 ** place) % 3]).join(''),
  ),
).flat();

test('nodes in their plainest form match what was asked for', () => {
  fc.assert(
    fc.property(sequence, ({ nodes, regex }) => {
      const matches = textMatcher(textTest(nodes));
      const expected = RE2JS.compile(regex, RE2JS.DOTALL); // JavaScript's own may take seconds
      expect(texts.filter((text) => matches(text))).toEqual(texts.filter((text) => expected.testExact(text)));
    }),
    { seed: 20_261_123, numRuns: isLarge ? 100_000 : 3_000 },
  );
});

test.for([
  ['?*?*?*b', '???*b'],
  ['*(*(*(a)))', '*(a)'],
  ['+(?(a)|b)', '*(a|b)'],
  ['*(|a)*(a)', '*(a)'],
  ['@(a|@(b|c)|b)', '@(a|b|c)'],
  ['+(*)+(*)b', '*b'],
  ['+(a|?)b', '?*b'],
  ['+(a*)b', 'a*b'],
  ['((ab))c', 'abc'],
])('%s is read as %s', ([pattern, plain]) => {
  expect(parseGlob(pattern)).toEqual(parseGlob(plain));
});
