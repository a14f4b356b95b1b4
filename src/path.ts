import { createHash } from 'node:crypto';

/** A path has at most this many parts before it is shortened. */
const deepest = 8;

/** The position of a step that was pushed outside any step: group and index within it. */
export function rootPath(group: number, index: number): string {
  return `${group}-${index}`;
}

/**
 * The position of the `index`-th step that the step at `parent` pushed. The same on every replay. Below eight parts it is the
 * first four, `~`, and 80 bits of hash over parent and index, so that a chain of a million pushes stays cheap.
 */
export function childPath(parent: string, index: number): string {
  const path = `${parent}-${index}`;
  if (!parent.includes('~') && path.split('-').length <= deepest) return path;
  const head = parent.split(/[-~]/, 4).join('-');
  return `${head}~${createHash('sha256').update(path).digest('hex').slice(0, 20)}`;
}
