import { append } from './glob-normal.ts';
import type { GlobNode } from './glob-syntax.ts';
import { beginning, ending, type TextTest, textTest } from './glob-text.ts';

const idDots = 3; // of flow.step.run.path: its segments have none
const mostBranchings = 100;

/** The four parts of every way in which the nodes can have three dots. Null: too many, or a repeated group that may hold dots. */
export function sharedOut(nodes: readonly GlobNode[]): readonly (readonly GlobNode[][])[] | null {
  const found: GlobNode[][][] = [];
  let branchings = 0;
  const walk = (rest: readonly GlobNode[], before: readonly GlobNode[][]): boolean => {
    const { least, most } = dotsIn(rest);
    const missing = idDots + 1 - before.length;
    if (least > missing || most < missing) return true;
    if (++branchings > mostBranchings) return false;
    const parts = before.map((part) => [...part]);
    const last = () => parts.at(-1) as GlobNode[];
    for (const [index, node] of rest.entries()) {
      const dots = dotsIn([node]).most;
      const after = () => rest.slice(index + 1);
      if (node.type === 'text') {
        node.text.split('.').forEach((text, position) => {
          if (position > 0) parts.push([]);
          if (text !== '') append(last(), { type: 'text', text });
        });
      } else if (dots === 0 || parts.length > idDots) {
        append(last(), node);
      } else if (node.type === 'any') {
        append(last(), node);
        for (let more = 0; parts.length + more <= idDots + 1; more++) {
          const taken = Array.from({ length: more }, (): GlobNode[] => [node]);
          if (!walk(after(), [...parts, ...taken])) return false;
        }
        return true;
      } else if (node.type === 'one' || node.type === 'class') {
        const within = [...last()];
        append(within, node);
        return walk(after(), [...parts.slice(0, -1), within]) && walk(after(), [...parts, []]);
      } else if (node.type === 'braces' || node.repeat === '' || node.repeat === '?') {
        const without = node.type === 'group' && node.repeat === '?' ? [[]] : [];
        return [...without, ...node.branches].every((branch) => walk([...branch, ...after()], parts));
      } else return false;
    }
    found.push(parts);
    return true;
  };
  return walk(nodes, [[]]) ? found : null;
}

/** The patterns that result when the braces outside of parentheses are written out. The parser has limited their number. */
export function writtenOut(nodes: readonly GlobNode[]): GlobNode[][] {
  let rows: GlobNode[][] = [[]];
  for (const node of nodes) {
    if (node.type === 'braces') {
      const choices = node.branches.flatMap(writtenOut);
      rows = rows.flatMap((row) => choices.map((choice) => [...row, ...choice]));
    } else for (const row of rows) row.push(node);
  }
  return rows;
}

interface CertainSegments {
  /** By position; nothing where the pattern leaves a segment open. */
  readonly tests: readonly (TextTest | undefined)[];
  readonly namesRun: boolean;
}

/**
 * What a pattern without braces says about the segments of an id. One that already spells three dots leaves none to its stars, so
 * every part between two dots is one segment. With fewer, the parts before the first that could take a dot are known, and
 * likewise, from the end, those after the last. Null: no id matches.
 */
export function certainSegments(nodes: readonly GlobNode[]): CertainSegments | null {
  const parts = splitAtDots(nodes).map((part) => ({ part, ...dotsIn(part) }));
  const least = parts.reduce((sum, part) => sum + part.least, parts.length - 1);
  const most = parts.reduce((sum, part) => sum + part.most, parts.length - 1);
  if (least > idDots || most < idDots) return null;
  const tests: (TextTest | undefined)[] = [];
  let namesRun = false;
  const walk = (direction: 'forwards' | 'backwards') => {
    const forwards = direction === 'forwards';
    let position = forwards ? 0 : idDots;
    for (const { part, least: dots, most: upTo } of forwards ? parts : parts.toReversed()) {
      const edge = forwards ? part[0] : part.at(-1);
      const whole = dots === 0 && (upTo === 0 || least === idDots); // the part is all of this segment
      const open = whole ? part.length === 1 && edge?.type === 'any' : !isSolid(edge);
      if (position === 2 && !open) namesRun = true;
      if (whole) tests[position] = textTest(part);
      else if (edge?.type === 'text') tests[position] = forwards ? beginning(edge.text) : ending(edge.text);
      if (dots < upTo && least < idDots) break; // from here on positions are unknown
      position += forwards ? dots + 1 : -dots - 1;
    }
  };
  walk('forwards');
  walk('backwards');
  return { tests, namesRun };
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

/** Whether a node stands for something that is there and is no dot. */
function isSolid(node: GlobNode | undefined): boolean {
  return node !== undefined && (node.type === 'text' || node.type === 'class') && dotsIn([node]).most === 0;
}
