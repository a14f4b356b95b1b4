import { certainSegments, sharedOut, writtenOut } from './glob-dots.ts';
import type { GlobNode } from './glob-syntax.ts';
import { anyOf, anyText, loosened, type TextTest, textTest } from './glob-text.ts';

/** The segments of an id `flow.step.run.path`, in its order. None of them has a dot in it. */
export const segmentNames = ['flow', 'step', 'run', 'path'] as const;

export type SegmentName = (typeof segmentNames)[number];

/** What an id has to be like, segment by segment. */
export interface IdTest {
  /** An id that passes has at least one of these: a test for each of its four segments. None: no id passes. */
  readonly alternatives: readonly (readonly TextTest[])[];
  /** True: an id that has one passes, so nobody needs to put it together. */
  readonly exact: boolean;
  /** Whether the third segment is asked for something, such as by `*.*.brave-*.*`. */
  readonly namesRun: boolean;
}

const mostAlternatives = 8;
const mostRegexes = 4; // more of them, or of alternatives, cost as much as one regular expression over the whole id

/**
 * The test of an id against a glob. An id has exactly three dots, so a pattern's own dots and those that its stars and classes may
 * take add up to three. Each way to share them out is an alternative in which every segment has a pattern of its own. Where
 * there are too many ways, what is certain of each segment remains, and the whole id has to be looked at as well.
 */
export function idTest(nodes: readonly GlobNode[]): IdTest {
  const certain = writtenOut(nodes)
    .map(certainSegments)
    .filter((row) => row !== null);
  const namesRun = certain.length > 0 && certain.every((row) => row.namesRun);
  const ways = sharedOut(nodes);
  const tests = new Map<string, TextTest>(); // the same parts come in many ways
  const testOf = (part: readonly GlobNode[]) => {
    const key = JSON.stringify(part);
    const test = tests.get(key) ?? textTest(part);
    tests.set(key, test);
    return test;
  };
  const alternatives = ways === null ? null : united(ways.map((parts) => parts.map(testOf)));
  if (alternatives !== null && isCheap(alternatives)) return { alternatives, exact: true, namesRun };
  const rows = alternatives ?? certain.map((row) => row.tests);
  if (rows.length === 0) return { alternatives: [], exact: true, namesRun };
  const known = segmentNames.map((_, index) => loosened(anyOf(rows.map((row) => row[index] ?? anyText))));
  return { alternatives: [known], exact: false, namesRun };
}

function isCheap(alternatives: IdTest['alternatives']): boolean {
  return alternatives.length <= mostAlternatives && alternatives.flat().filter(({ exact }) => !exact).length <= mostRegexes;
}

/** What is certain of one segment, whichever alternative an id has. Null: no id passes. */
export function segmentTest({ alternatives }: IdTest, name: SegmentName): TextTest | null {
  const index = segmentNames.indexOf(name);
  if (alternatives.length === 0) return null;
  return anyOf(alternatives.map((tests) => tests[index] as TextTest));
}

/** Alternatives that differ in one segment only are one. */
function united(alternatives: readonly (readonly TextTest[])[]): readonly (readonly TextTest[])[] {
  let rows = alternatives;
  for (const index of segmentNames.keys()) {
    const groups = new Map<string, (readonly TextTest[])[]>();
    for (const row of rows) {
      const others = JSON.stringify(row.with(index, anyText).map(({ regex }) => regex));
      const group = groups.get(others);
      if (group === undefined) groups.set(others, [row]);
      else group.push(row);
    }
    rows = [...groups.values()].map((group) => {
      const first = group[0] as readonly TextTest[];
      return first.with(index, anyOf(group.map((row) => row[index] as TextTest)));
    });
  }
  return rows;
}
