import { type IdTest, idTest, type SegmentName, segmentTest } from './glob-id.ts';
import { parseGlob } from './glob-syntax.ts';
import { boundOf, isAnyText, onlyText, type TextBound, type TextTest, textTest } from './glob-text.ts';
import { textMatcher } from './text-matcher.ts';

/**
 * A compiled glob, as plain data. The dialect is micromatch's with the options `{ bash: true, dot: true, posix: true }`, over texts
 * that have no directories. What differs, on purpose:
 * - `*` crosses dots and slashes, and matches nothing at all as well; `?` and `[…]` take whole characters, not UTF-16 units.
 * - Braces group, they never make an operator: `{@,+}(a)` is not `@(a)` or `+(a)`. After a leading `!` they are negated together.
 * - A `]` that stands first in brackets is one of their characters wherever they stand: `[]a]` is "]" or "a" beside braces as well.
 * - Quotes, `$`, `/` and NUL are characters like any other, and `[a]` does not also find the text `[a]`.
 * - Said plainly, what micromatch 4.0.8 garbles or, for fear that its regular expressions might hang, takes literally: `+(a|aa)`,
 *   `*(|a)`, `+(*(a)|b)`, `@(?(a)b)`, what stands beside `[[:digit:]]` or `***`.
 * - What micromatch hands on to regular expressions is refused: `\d`, `(a)?`, `(?:a)`, `[a]+`, `|` outside of parentheses. So is
 *   `!(…)` that is not the whole pattern: micromatch looks ahead there, and differently from a shell.
 */
export interface Glob {
  readonly pattern: string;
  /** True: what passes the tests does not match the glob, and the other way round. */
  readonly negated: boolean;
  /** Over any text. */
  readonly text: TextTest;
  /** Over an id `flow.step.run.path`, of which it finds the same as `text`, and mostly cheaper. */
  readonly id: IdTest;
  /** The first segment of every id that can match, where the pattern fixes it. */
  readonly flow: string | null;
  readonly step: string | null;
  readonly run: string | null;
  /** True: the pattern says something about the third segment, such as `*.*.brave-*.*`. */
  readonly namesRun: boolean;
}

/** Compiles a glob. Throws GLOB_INVALID, saying where and what to write instead. */
export function compileGlob(pattern: unknown): Glob {
  const { negated, nodes } = parseGlob(pattern);
  const id = idTest(nodes);
  const fixed = (name: 'flow' | 'step' | 'run') => {
    const test = negated ? null : segmentTest(id, name);
    return test === null ? null : onlyText(test);
  };
  return {
    pattern: pattern as string,
    negated,
    text: textTest(nodes),
    id,
    flow: fixed('flow'),
    step: fixed('step'),
    run: fixed('run'),
    namesRun: !negated && id.namesRun,
  };
}

/** What the texts that match a glob have in common: each is one of these, or begins with one. Null: nothing. */
export function textBound({ text, negated }: Glob): TextBound | null {
  return negated ? null : boundOf(text);
}

/** The same for one segment of the ids that match. */
export function segmentBound({ id, negated }: Glob, name: SegmentName): TextBound | null {
  if (negated) return null;
  const test = segmentTest(id, name);
  return test === null ? { kind: 'equals', texts: [] } : boundOf(test);
}

/** An id in its segments. */
export type Segments = Readonly<Record<SegmentName, string>>;

interface Matchers {
  readonly text: (text: string) => boolean;
  readonly id: (segments: Segments) => boolean;
}

const matchers = new WeakMap<Glob, Matchers>();

/** Whether a text matches. Takes time linear in the text, whatever the pattern. */
export function matchGlob(glob: Glob, text: string): boolean {
  return matchersOf(glob).text(text) !== glob.negated;
}

/** Whether an id matches: the same as matching `flow.step.run.path`, which is put together only where it has to be. */
export function matchId(glob: Glob, segments: Segments): boolean {
  return matchersOf(glob).id(segments) !== glob.negated;
}

function matchersOf(glob: Glob): Matchers {
  let found = matchers.get(glob);
  if (found === undefined) {
    const text = textMatcher(glob.text);
    found = { text, id: idMatcher(glob.id, text) };
    matchers.set(glob, found);
  }
  return found;
}

function idMatcher({ alternatives, exact }: IdTest, matchesText: (id: string) => boolean): Matchers['id'] {
  const rows = alternatives.map((tests) => tests.map((test) => (isAnyText(test) ? null : textMatcher(test))));
  const fits = rows.map(
    ([flow, step, run, path]) =>
      (segments: Segments) =>
        (flow == null || flow(segments.flow)) &&
        (step == null || step(segments.step)) &&
        (run == null || run(segments.run)) &&
        (path == null || path(segments.path)),
  );
  const [only] = fits;
  const mayMatch = fits.length === 1 && only !== undefined ? only : (segments: Segments) => fits.some((one) => one(segments));
  if (exact) return mayMatch;
  return (segments) => mayMatch(segments) && matchesText(`${segments.flow}.${segments.step}.${segments.run}.${segments.path}`);
}
