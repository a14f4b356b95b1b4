import { expect, test } from 'vitest';
import { checkName } from '../src/name.ts';
import { drawSlug } from '../src/slug.ts';

test('drawSlug draws two words that make a name', () => {
  for (let round = 0; round < 2_000; round++) {
    const slug = drawSlug();
    expect(slug).toMatch(/^[a-z]+-[a-z]+$/);
    checkName('run', slug);
  }
});

test('drawSlug seldom repeats itself: of 1,000 slugs out of 426,710, one or two pairs are equal', () => {
  expect(new Set(Array.from({ length: 1_000 }, drawSlug)).size).toBeGreaterThan(980);
});
