import { MarqueError, show } from './error.ts';
import { orNear } from './near.ts';
import { withDefaults } from './options.ts';

/** When rows leave memory for the store, whichever comes first. */
export interface FlushPolicy {
  /** Finished scopes. Default 10,000. */
  readonly scopes: number;
  /** Roughly the bytes of text and data held. Default 32 MiB, at most 128 MiB. */
  readonly bytes: number;
  /** Milliseconds after the oldest row not yet flushed. Default 500. `Infinity`: time alone is no reason. */
  readonly ms: number;
}

const defaults: FlushPolicy = { scopes: 10_000, bytes: 32 * 2 ** 20, ms: 500 };

/**
 * A column of a batch takes at most 2 GiB. So many bytes as the recorder counts them stay below that in the worst case: three bytes of UTF-8
 * for a UTF-16 unit, or 24 for a tag whose step has a name of 255, and on top of that one value as long as a string can be.
 */
const mostBytes = 128 * 2 ** 20;

/** A policy as it was given, completed. Throws OPTION_INVALID. */
export function flushPolicy(given: Partial<FlushPolicy> | null | undefined): FlushPolicy {
  if (typeof (given ?? {}) !== 'object') throw invalid(`flush is ${show(given)}: give an object such as { ms: 1_000 }`);
  for (const name of Object.keys(given ?? {})) {
    if (!Object.hasOwn(defaults, name))
      throw invalid(`there is no flush option ${show(name)}.${orNear(name, Object.keys(defaults))}`);
  }
  const policy = withDefaults<FlushPolicy>(defaults, given ?? {});
  for (const [name, value] of Object.entries(policy)) {
    if (typeof value === 'number' && value >= 1) continue;
    throw invalid(`flush option ${name} is ${show(value)}: give a number of at least 1`);
  }
  return { ...policy, bytes: Math.min(policy.bytes, mostBytes) };
}

function invalid(message: string): MarqueError {
  return new MarqueError('OPTION_INVALID', message);
}
