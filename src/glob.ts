import { RE2JS } from 're2js';
import { append, type GlobNode, parseGlob } from './glob-syntax.ts';

/**
 * A compiled glob, as plain data. The dialect is micromatch's with the options `{ bash: true, dot: true, posix: true }`, over texts
 * that have no directories. What differs, on purpose:
 * - `*` crosses dots and slashes, and matches nothing at all as well; `?` and `[…]` take whole characters, not UTF-16 units.
 * - Braces group, they never make an operator: `{@,+}(a)` is not `@(a)` or `+(a)`. After a leading `!` they are negated together.
 * - Quotes, `$`, `/` and NUL are characters like any other, and `[a]` does not also find the text `[a]`.
 * - Said plainly, what micromatch 4.0.8 garbles or, for fear that its regular expressions might hang, takes literally: `+(a|aa)`,
 *   `*(|a)`, `+(*(a)|b)`, `@(?(a)b)`, what stands beside `[[:digit:]]` or `***`.
 * - What micromatch hands on to regular expressions is refused: `\d`, `(a)?`, `(?:a)`, `[a]+`, `|` outside of parentheses. So is
 *   `!(…)` that is not the whole pattern: micromatch looks ahead there, and differently from a shell.
 */
export interface Glob {
  readonly pattern: string;
  /** RE2 syntax, for the whole text, with the flag `s`. Null: everything matches. */
  readonly regex: string | null;
  /** True: what matches `regex` does not match the glob, and the other way round. `regex` is a string then. */
  readonly negated: boolean;
  /** The first segment of every id `flow.step.run.path` that can match, where the pattern fixes it. */
  readonly flow: string | null;
  readonly step: string | null;
  readonly run: string | null;
  /** True: an id matches exactly if the segments fixed above are equal to its own, so nobody needs to look at `regex`. */
  readonly segmentsDecide: boolean;
  /** True: the pattern says something about the third segment, such as `*.*.brave-*.*`. */
  readonly namesRun: boolean;
}

/** Compiles a glob. Throws GLOB_INVALID, saying where and what to write instead. */
export function compileGlob(pattern: unknown): Glob {
  const { negated, nodes } = parseGlob(pattern);
  const matchesAll = !negated && nodes.length === 1 && nodes[0]?.type === 'any';
  const regex = matchesAll ? null : expression(nodes);
  if (negated)
    return {
      pattern: pattern as string,
      regex,
      negated,
      flow: null,
      step: null,
      run: null,
      segmentsDecide: false,
      namesRun: false,
    };
  const found = writtenOut(nodes)
    .map(segments)
    .filter((alternative) => alternative !== null);
  const [first] = found;
  const shared = (index: number) => {
    const text = first?.texts[index];
    return text !== undefined && found.every((other) => other.texts[index] === text) ? text : null;
  };
  return {
    pattern: pattern as string,
    regex,
    negated,
    flow: shared(0),
    step: shared(1),
    run: shared(2),
    segmentsDecide: found.length === 1 && first?.decide === true,
    namesRun: first !== undefined && found.every((other) => other.namesRun),
  };
}

type Matcher = (text: string) => boolean;
const matchers = new WeakMap<Glob, Matcher>();

/** Whether a text matches. Takes time linear in the text, whatever the pattern. */
export function matchGlob(glob: Glob, text: string): boolean {
  let matcher = matchers.get(glob);
  if (matcher === undefined) {
    matcher = matcherOf(glob.regex);
    matchers.set(glob, matcher);
  }
  return matcher(text) !== glob.negated;
}

/** What every matching text begins with, and whether that is all of it. */
export function literalStart({ regex, negated }: Glob): { readonly text: string; readonly isWhole: boolean } {
  return regex === null || negated ? { text: '', isWhole: false } : literalIn(regex);
}

function literalIn(regex: string): { readonly text: string; readonly isWhole: boolean } {
  const [literal = ''] = /^(?:[^\\.+*?()|[\]{}^$]|\\.)*/su.exec(regex) ?? []; // what repeats is always in brackets
  return { text: literal.replace(/\\(.)/gsu, '$1'), isWhole: literal.length === regex.length };
}

function matcherOf(regex: string | null): Matcher {
  if (regex === null) return () => true;
  const { text: literal, isWhole } = literalIn(regex);
  if (isWhole) return (text) => text === literal;
  const compiled = RE2JS.compile(regex, RE2JS.DOTALL);
  return (text) => compiled.testExact(text);
}

function expression(nodes: readonly GlobNode[]): string {
  return nodes.map(expressionOf).join('');
}

function expressionOf(node: GlobNode): string {
  switch (node.type) {
    case 'text':
      return node.text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
    case 'any':
      return '.*';
    case 'one':
      return '.';
    case 'class': {
      const quoted = (char: string) => char.replace(/[\\\]^[-]/, '\\$&');
      const ranges = node.ranges.map(([from, to]) => (from === to ? quoted(from) : `${quoted(from)}-${quoted(to)}`));
      return `[${node.negated ? '^' : ''}${ranges.join('')}${node.posix.map((name) => `[:${name}:]`).join('')}]`;
    }
    case 'braces':
    case 'group':
      return `(?:${node.branches.map(expression).join('|')})${node.type === 'group' ? node.repeat : ''}`;
  }
}

/** The patterns that result when the braces outside of parentheses are written out. The parser has limited their number. */
function writtenOut(nodes: readonly GlobNode[]): GlobNode[][] {
  let rows: GlobNode[][] = [[]];
  for (const node of nodes) {
    if (node.type === 'braces') {
      const choices = node.branches.flatMap(writtenOut);
      rows = rows.flatMap((row) => choices.map((choice) => [...row, ...choice]));
    } else for (const row of rows) row.push(node);
  }
  return rows;
}

interface Segments {
  /** The segments of an id by position; undefined where the pattern leaves them open. */
  readonly texts: readonly (string | undefined)[];
  readonly decide: boolean;
  readonly namesRun: boolean;
}

/**
 * What a pattern without braces says about the segments of an id. An id has exactly three dots: a pattern that already spells three
 * leaves none to its stars, so every part between two dots is one segment. With fewer, the parts before the first that
 * could take a dot are known, and likewise, from the end, those after the last. Null: no id matches.
 */
function segments(nodes: readonly GlobNode[]): Segments | null {
  const parts = splitAtDots(nodes).map((part) => ({ part, ...dotsIn(part) }));
  const least = parts.reduce((sum, part) => sum + part.least, parts.length - 1);
  const most = parts.reduce((sum, part) => sum + part.most, parts.length - 1);
  if (least > 3 || most < 3) return null;
  const texts: (string | undefined)[] = [];
  const settled = new Set<readonly GlobNode[]>();
  let namesRun = false;
  const walk = (direction: 'forwards' | 'backwards') => {
    const forwards = direction === 'forwards';
    let position = forwards ? 0 : 3;
    for (const { part, least: dots, most: upTo } of forwards ? parts : parts.toReversed()) {
      const whole = dots === 0 && (upTo === 0 || least === 3); // the part is all of this segment
      const open = whole ? isAny(part) : !isSolid(forwards ? part[0] : part.at(-1));
      if (position === 2 && !open) namesRun = true;
      const text = whole ? textOf(part) : undefined;
      if (text !== undefined) texts[position] = text;
      if (text !== undefined && position < 3) settled.add(part);
      if (dots < upTo && least < 3) break; // from here on positions are unknown
      position += forwards ? dots + 1 : -dots - 1;
    }
  };
  walk('forwards');
  walk('backwards');
  return { texts, decide: parts.every(({ part }) => settled.has(part) || isAny(part)), namesRun };
}

function splitAtDots(nodes: readonly GlobNode[]): GlobNode[][] {
  const parts: GlobNode[][] = [[]];
  for (const node of nodes) {
    if (node.type !== 'text') {
      append(parts.at(-1) as GlobNode[], node);
      continue;
    }
    node.text.split('.').forEach((text, index) => {
      if (index > 0) parts.push([]);
      if (text !== '') append(parts.at(-1) as GlobNode[], { type: 'text', text });
    });
  }
  return parts;
}

/** How many dots a text can have that the nodes match. */
function dotsIn(nodes: readonly GlobNode[]): { readonly least: number; readonly most: number } {
  let least = 0;
  let most = 0;
  for (const node of nodes) {
    if (node.type === 'text') {
      least += node.text.split('.').length - 1;
      most += node.text.split('.').length - 1;
    } else if (node.type === 'any') most = Infinity;
    else if (node.type === 'one') most++;
    else if (node.type === 'class') {
      const holds = node.ranges.some(([from, to]) => from <= '.' && '.' <= to) || node.posix.some((name) => dotted.has(name));
      if (holds !== node.negated) most++;
    } else {
      const branches = node.branches.map(dotsIn);
      const repeat = node.type === 'group' ? node.repeat : '';
      const upTo = Math.max(...branches.map((branch) => branch.most));
      if (repeat === '' || repeat === '+') least += Math.min(...branches.map((branch) => branch.least));
      most += upTo > 0 && (repeat === '*' || repeat === '+') ? Infinity : upTo;
    }
  }
  return { least, most };
}

/** The POSIX classes that hold the dot. */
const dotted: ReadonlySet<string> = new Set(['ascii', 'graph', 'print', 'punct']);

function isAny(part: readonly GlobNode[]): boolean {
  return part.length === 1 && part[0]?.type === 'any';
}

/** Whether a node stands for something that is there and is no dot. */
function isSolid(node: GlobNode | undefined): boolean {
  return node !== undefined && (node.type === 'text' || node.type === 'class') && dotsIn([node]).most === 0;
}

/** The one text that a part matches; undefined if there are others. */
function textOf(part: readonly GlobNode[]): string | undefined {
  if (part.length === 0) return '';
  const [only] = part;
  return part.length === 1 && only?.type === 'text' ? only.text : undefined;
}
