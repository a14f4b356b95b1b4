import { randomInt } from 'node:crypto';
import { adjectives, animals } from 'unique-names-generator';

/**
 * Two words such as 'brave-otter', one of some 420,000 pairs, drawn with the system's randomness: two processes that start
 * together draw differently. Whether a slug is still free is for the store to say.
 */
export function drawSlug(): string {
  return `${draw(adjectives)}-${draw(animals)}`;
}

function draw(words: readonly string[]): string {
  return words[randomInt(words.length)] as string;
}
