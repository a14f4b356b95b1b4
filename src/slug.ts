import { randomInt } from 'node:crypto';
import { adjectives, nouns } from 'human-id';

/** Of some 60,000 pairs so many are tried before a number is added. */
const plainDraws = 50;

/**
 * Draws names for one run until the store says that one is free: two words such as 'brave-otters', with the system's
 * randomness, so that two processes that start together draw differently. Where pair after pair is taken a number follows.
 */
export function slugDraws(): () => string {
  let draws = 0;
  return () => (draws++ < plainDraws ? pair() : `${pair()}-${randomInt(1_000_000)}`);
}

function pair(): string {
  return `${draw(adjectives)}-${draw(nouns)}`;
}

function draw(words: readonly string[]): string {
  return words[randomInt(words.length)] as string;
}
