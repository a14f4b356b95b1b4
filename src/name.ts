import { MarqueError, show } from './error.ts';

/** The longest name in bytes of UTF-8, which is also the longest file name of the common file systems. */
const longestName = 255;

/** Marks are in, so that a letter written as a base and its accents is one too. */
const foreign = /[^A-Za-z0-9_\-\p{L}\p{N}\p{M}]/u;

/**
 * Returns the name of a flow, step or run if it keeps to `[A-Za-z0-9_-]` and letters and digits beyond ASCII, in at most 255 bytes
 * of UTF-8. An id `flow.step.run.path` then splits at its dots in one way only, and a name is a safe file name everywhere.
 * Throws NAME_INVALID for anything else, with a name that would do.
 */
export function checkName(kind: 'flow' | 'step' | 'run', name: unknown): string {
  if (typeof name !== 'string')
    throw new MarqueError('NAME_INVALID', `the name of a ${kind} must be a string, not ${show(name)}`);
  const fault = faultOf(name);
  if (fault === null) return name;
  throw new MarqueError(
    'NAME_INVALID',
    `the ${kind} name ${show(name)} ${fault}: use letters, digits, "_" and "-", for instance ${JSON.stringify(cleaned(kind, name))}`,
  );
}

/** The name itself where `checkName` takes it, else the nearest that it takes; the kind where nothing of it is left. */
export function nearestName(kind: 'flow' | 'step' | 'run', name: string): string {
  return faultOf(name) === null ? name : cleaned(kind, name);
}

function faultOf(name: string): string | null {
  if (name === '') return 'is empty';
  const [char] = foreign.exec(name) ?? [];
  if (char !== undefined) return `contains ${written(char)}`;
  const bytes = Buffer.byteLength(name);
  return bytes > longestName ? `has ${bytes} bytes of UTF-8, the limit is ${longestName}` : null;
}

function written(char: string): string {
  if (/\p{Surrogate}/u.test(char)) return 'half of a surrogate pair';
  const code = (char.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0');
  return /[\p{C}\p{Z}]/u.test(char) && char !== ' ' ? `the character U+${code}` : `the character "${char}"`;
}

/** The nearest valid name: foreign characters become single hyphens, and what is too long is cut between characters. */
function cleaned(kind: string, name: string): string {
  const parts = name.split(new RegExp(foreign, 'gu')).filter((part) => part !== '');
  let clean = '';
  for (const char of parts.join('-')) {
    if (Buffer.byteLength(clean + char) > longestName) break;
    clean += char;
  }
  return clean === '' ? kind : clean;
}
