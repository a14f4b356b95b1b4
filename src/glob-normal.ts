import type { GlobNode } from './glob-syntax.ts';

/**
 * Nodes in the plainest form that has the same meaning. A pattern can say one thing in many ways, and a regular expression pays for each:
 * in `?*?*?*b` every star may begin anywhere, so that all of them are followed at once, where `???*b` follows one.
 */

/** Adds a node. Text joins with text, and of what stands beside a star nothing remains that may be missing: `?*?*(a)*` is `??*`. */
export function append(nodes: GlobNode[], node: GlobNode): void {
  if (node.type === 'any') while (isOptional(nodes.at(-1))) nodes.pop();
  const last = nodes.at(-1);
  const isAfterStar = last?.type === 'any';
  if (isAfterStar && (node.type === 'any' || isOptional(node))) return;
  if (isAfterStar && node.type === 'one') nodes.splice(-1, 0, node);
  else if (node.type === 'text' && last?.type === 'text') nodes[nodes.length - 1] = { type: 'text', text: last.text + node.text };
  else if (!isRepeated(last, node)) nodes.push(node);
}

type Branch = readonly GlobNode[];

/** What `(a|b)`, `@(a|b)`, `?(a|b)`, `*(a|b)`, `+(a|b)` mean, of branches in this form already. */
export function grouped(repeat: '' | '?' | '*' | '+', branches: readonly Branch[]): Branch {
  let isMany = repeat === '*' || repeat === '+';
  let mayMiss = repeat === '*' || repeat === '?';
  const known = new Map<string, Branch>();
  const add = (branch: Branch, isAlone: boolean): void => {
    const [only] = branch;
    if (only === undefined) {
      mayMiss = true;
    } else if (branch.length === 1 && only.type === 'group' && (isMany || isAlone || only.repeat === '' || only.repeat === '?')) {
      mayMiss ||= only.repeat === '*' || only.repeat === '?';
      isMany ||= only.repeat === '*' || only.repeat === '+';
      for (const inner of only.branches) add(inner, isAlone && only.branches.length === 1);
    } else known.set(JSON.stringify(branch), branch);
  };
  for (const branch of branches) add(branch, branches.length === 1);
  const distinct = [...known.values()];
  const [first] = distinct;
  if (first === undefined) return [];
  if (distinct.some((branch) => isOnly(branch, 'any'))) return [star];
  if (isMany && distinct.some((branch) => isOnly(branch, 'one')))
    return mayMiss || distinct.some(canBeEmpty) ? [star] : [{ type: 'one' }, star];
  // What a star begins or ends takes in all that follows: `+(a*)` is `a*`.
  if (distinct.length === 1 && (first[0]?.type === 'any' || first.at(-1)?.type === 'any')) isMany = false;
  if (distinct.length === 1 && !isMany && !mayMiss) return first;
  return [{ type: 'group', repeat: isMany ? (mayMiss ? '*' : '+') : mayMiss ? '?' : '', branches: distinct }];
}

const star: GlobNode = { type: 'any' };

function isOnly(branch: Branch, type: GlobNode['type']): boolean {
  return branch.length === 1 && branch[0]?.type === type;
}

function isOptional(node: GlobNode | undefined): boolean {
  return node?.type === 'group' && (node.repeat === '*' || node.repeat === '?');
}

/** Whether a node adds nothing to the one before it, as in `*(a)*(a)`. */
function isRepeated(last: GlobNode | undefined, node: GlobNode): boolean {
  if (last?.type !== 'group' || node.type !== 'group' || last.repeat !== '*' || node.repeat !== '*') return false;
  return JSON.stringify(last.branches) === JSON.stringify(node.branches);
}

function canBeEmpty(branch: Branch): boolean {
  return branch.every((node) => {
    if (node.type === 'braces' || node.type === 'group') return isOptional(node) || node.branches.some(canBeEmpty);
    return node.type === 'any';
  });
}
