import micromatch from 'micromatch';
import { MarqueError, show } from './error.ts';
import { append, grouped } from './glob-normal.ts';

/** A glob taken apart, in the form that `glob-normal.ts` gives it: neighbouring `text` is one node, neighbouring stars are one `any`. */
export type GlobNode =
  | { readonly type: 'text'; readonly text: string }
  /** `*`: any run of characters, also none. */
  | { readonly type: 'any' }
  /** `?`: any one character. */
  | { readonly type: 'one' }
  /** `[a-z]`: one character of (or, negated, outside of) these ranges and POSIX classes. */
  | {
      readonly type: 'class';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [from: string, to: string])[];
      readonly posix: readonly string[];
    }
  /** `{a,b}`, `{1..3}` */
  | { readonly type: 'braces'; readonly branches: readonly (readonly GlobNode[])[] }
  /** `(a|b)`, `@(a|b)`, `?(a|b)`, `*(a|b)`, `+(a|b)` */
  | { readonly type: 'group'; readonly repeat: '' | '?' | '*' | '+'; readonly branches: readonly (readonly GlobNode[])[] };

/** `negated` is true for `!a`, false again for `!!a`; `!(a|b)` as the whole pattern is the same as `!@(a|b)`. */
export interface ParsedGlob {
  readonly negated: boolean;
  readonly nodes: readonly GlobNode[];
}

const longestPattern = 1_024; // characters
const mostAlternatives = 1_000; // that braces expand to

const posixClasses = /\[:(alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]/y;

/**
 * Reads a glob of micromatch's dialect. Throws GLOB_INVALID for what is malformed, too large, or means different things to
 * micromatch and to a shell, so that nothing is searched that was not meant.
 */
export function parseGlob(pattern: unknown): ParsedGlob {
  if (typeof pattern !== 'string') throw new MarqueError('GLOB_INVALID', `a glob must be a string, not ${show(pattern)}`);
  if (pattern.length > longestPattern)
    throw new MarqueError(
      'GLOB_INVALID',
      `the glob ${show(pattern)} is ${pattern.length} characters long, the limit is ${longestPattern}`,
    );
  return new Parser(pattern).parse();
}

class Parser {
  readonly #source: string;
  #at = 0;
  #parens = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): ParsedGlob {
    if (/\p{Surrogate}/u.test(this.#source)) this.#refuse('contains half of a surrogate pair');
    let negated = false;
    while (this.#source[this.#at] === '!' && this.#source[this.#at + 1] !== '(') {
      negated = !negated;
      this.#at++;
    }
    if (this.#at === this.#source.length) this.#refuse('is empty');
    if (this.#source.startsWith('!(', this.#at)) {
      const start = this.#at++;
      const branches = this.#branches('group');
      if (this.#at < this.#source.length) this.#refuseInnerNegation(start);
      return this.#checked({ negated: !negated, nodes: grouped('', branches) });
    }
    return this.#checked({ negated, nodes: this.#sequence('top') });
  }

  #checked(glob: ParsedGlob): ParsedGlob {
    const count = alternatives(glob.nodes);
    if (count > mostAlternatives)
      this.#refuse(`has braces that expand to ${count} alternatives, the limit is ${mostAlternatives}`);
    return glob;
  }

  /** Nodes up to the end, or up to what ends a branch of the braces or group they are in. */
  #sequence(inside: 'top' | 'braces' | 'group'): GlobNode[] {
    const nodes: GlobNode[] = [];
    let before = inside === 'group' && this.#source[this.#at - 1] === '(' ? '(' : ''; // the bracket of any kind just passed
    while (this.#at < this.#source.length) {
      const start = this.#at;
      const char = this.#source[start] as string;
      const next = this.#source[start + 1];
      if (inside === 'braces' ? char === ',' || char === '}' : inside === 'group' && (char === '|' || char === ')')) break;
      if (next === '(' && '?*+@!'.includes(char)) {
        if (char === '!') this.#refuseInnerNegation(start);
        this.#at++;
        const repeat = char === '@' ? '' : (char as '?' | '*' | '+');
        for (const node of grouped(repeat, this.#branches('group'))) append(nodes, node);
        before = ')';
        continue;
      }
      if (char === '(') {
        for (const node of grouped('', this.#branches('group'))) append(nodes, node);
        before = ')';
        continue;
      }
      if (char === '[') {
        nodes.push(this.#class());
        before = ']';
        continue;
      }
      if (char === '{') {
        for (const node of this.#braces()) append(nodes, node);
        before = '';
        continue;
      }
      if (char === '|') this.#refuse('has a "|" outside of parentheses: write @(a|b), or \\| for the character itself', start);
      if (char === '?' && (before === '(' || before === ')'))
        this.#refuse(
          'has a "?" beside a parenthesis, an operator of regular expressions to micromatch: write ?(a) for an optional part',
          start,
        );
      if (char === '+' && (before !== '' || this.#parens > 0))
        this.#refuse(
          'has a "+" that is an operator of regular expressions to micromatch: write +(a) for one or more, or \\+',
          start,
        );
      before = char === ')' ? ')' : '';
      this.#at++;
      if (char === '*') append(nodes, { type: 'any' });
      else if (char === '?') append(nodes, { type: 'one' });
      else append(nodes, { type: 'text', text: char === '\\' ? this.#escaped(start) : char });
    }
    return nodes;
  }

  /** What stands between the bracket that opens here and the one that closes it. */
  #branches(inside: 'braces' | 'group'): GlobNode[][] {
    const [separator, closing] = inside === 'group' ? ['|', ')'] : [',', '}'];
    const start = this.#at;
    const branches: GlobNode[][] = [];
    if (inside === 'group') this.#parens++;
    do {
      this.#at++;
      branches.push(this.#sequence(inside));
    } while (this.#source[this.#at] === separator);
    if (this.#source[this.#at] !== closing) this.#refuseUnclosed(start);
    if (inside === 'group') this.#parens--;
    this.#at++;
    return branches;
  }

  /** Braces without a comma are a range, or else no braces at all but two characters. */
  #braces(): readonly GlobNode[] {
    const start = this.#at;
    const branches = this.#branches('braces');
    const [only = []] = branches;
    if (branches.length > 1) return [{ type: 'braces', branches }];
    const text = this.#source.slice(start, this.#at);
    const range = /^\{(?:(-?\d+)\.\.(-?\d+)|([A-Za-z])\.\.([A-Za-z]))(?:\.\.(-?\d+))?\}$/.exec(text);
    if (range !== null)
      return [{ type: 'braces', branches: this.#range(text, range).map((value) => [{ type: 'text', text: value }]) }];
    if (only.some((node) => node.type === 'text' && node.text.includes('..')))
      this.#refuse(`has the range ${text}: a range runs between two integers or two letters, with an integer step`, start);
    return [{ type: 'text', text: '{' }, ...only, { type: 'text', text: '}' }];
  }

  /** micromatch knows about steps, direction and leading zeros. Its own limit overlooks falling ranges and those with a step. */
  #range(text: string, [, first, last, firstLetter, lastLetter, step = '1']: RegExpExecArray): string[] {
    const ends = [first ?? firstLetter?.charCodeAt(0), last ?? lastLetter?.charCodeAt(0), step].map(Number);
    const [from = 0, to = 0, by = 1] = ends;
    const count = Math.floor(Math.abs(to - from) / Math.max(Math.abs(by), 1)) + 1;
    if (count > mostAlternatives || !ends.every(Number.isSafeInteger))
      this.#refuse(`has the range ${text} of ${count} alternatives, the limit is ${mostAlternatives}`);
    return micromatch.braces(text, { expand: true });
  }

  #class(): GlobNode {
    const start = this.#at++;
    const negated = this.#source[this.#at] === '!' || this.#source[this.#at] === '^';
    if (negated) this.#at++;
    const ranges: (readonly [string, string])[] = [];
    const posix: string[] = [];
    for (let first = true; first || this.#source[this.#at] !== ']'; first = false) {
      const name = this.#posixClass();
      if (name !== null) {
        posix.push(name);
        continue;
      }
      const from = this.#member(start);
      const isRange = this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']' && this.#at + 1 < this.#source.length;
      if (isRange) this.#at++;
      if (isRange && this.#posixClass() !== null) this.#refuse('has a range that ends in a POSIX class', start);
      const to = isRange ? this.#member(start) : from;
      if ((from.codePointAt(0) as number) > (to.codePointAt(0) as number))
        this.#refuse(`has the range ${from}-${to}, which runs backwards`, start);
      ranges.push([from, to]);
    }
    this.#at++;
    return { type: 'class', negated, ranges, posix };
  }

  #posixClass(): string | null {
    posixClasses.lastIndex = this.#at;
    const match = posixClasses.exec(this.#source);
    if (match === null) return null;
    this.#at += match[0].length;
    if (this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']')
      this.#refuse('has a range that begins with a POSIX class', this.#at);
    return match[1] as string;
  }

  /** One character of a class. */
  #member(start: number): string {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) this.#refuseUnclosed(start);
    const char = String.fromCodePoint(code);
    this.#at += char.length;
    return char === '\\' ? this.#escaped(this.#at - 1) : char;
  }

  /** The character after a backslash. */
  #escaped(start: number): string {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) this.#refuse('ends in a backslash', start);
    const char = String.fromCodePoint(code);
    if (/[A-Za-z0-9]/.test(char))
      this.#refuse(`has \\${char}, an escape of regular expressions to micromatch: write ${char} alone`, start);
    this.#at += char.length;
    return char;
  }

  #refuseUnclosed(start: number): never {
    const char = this.#source[start] as string;
    this.#refuse(`has a "${char}" that is never closed: write \\${char} for the character itself`, start);
  }

  #refuseInnerNegation(start: number): never {
    this.#refuse(
      'has a !(…) that is not the whole pattern, where micromatch and shells disagree: begin the whole pattern with "!" instead',
      start,
    );
  }

  #refuse(fault: string, at?: number): never {
    const where = at === undefined ? '' : `, at character ${at + 1}`;
    throw new MarqueError('GLOB_INVALID', `the glob ${show(this.#source)} ${fault}${where}`);
  }
}

/** How many patterns there are when braces are written out. */
function alternatives(nodes: readonly GlobNode[]): number {
  let count = 1;
  for (const node of nodes) {
    if (node.type === 'braces') count *= node.branches.reduce((sum, branch) => sum + alternatives(branch), 0);
    else if (node.type === 'group') count *= node.branches.reduce((product, branch) => product * alternatives(branch), 1);
  }
  return count;
}
