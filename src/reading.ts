import { MarqueError, show } from './error.ts';
import type { ArtifactChoice } from './store.ts';

/** What is read of the scopes that a search finds, and until when. */
export interface ReadingOptions {
  /**
   * Which artifacts are fetched with a scope, so that it can be asked for them with `recall`: those with these names; `false` for none.
   * Their names are there in any case. Default: all.
   */
  readonly artifacts?: ArtifactChoice | undefined;
  /** When it aborts, the query rejects with its reason, also in the midst, and lets go of what it holds. */
  readonly signal?: AbortSignal | undefined;
}

/** The same, complete. */
export interface Reading {
  readonly artifacts: ArtifactChoice;
  readonly signal: AbortSignal | undefined;
}

/** Throws `OPTION_INVALID`. */
export function planReading({ artifacts = true, signal }: ReadingOptions): Reading {
  if (typeof artifacts !== 'boolean' && !(Array.isArray(artifacts) && artifacts.every((name) => typeof name === 'string')))
    throw new MarqueError('OPTION_INVALID', `search option artifacts is ${show(artifacts)}: give a list of names, true or false`);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new MarqueError('OPTION_INVALID', `search option signal is ${show(signal)}: give the signal of an AbortController`);
  return { artifacts: Array.isArray(artifacts) ? [...(artifacts as readonly string[])] : artifacts, signal };
}
