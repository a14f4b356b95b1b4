import { expect, test } from 'vitest';
import { checkName } from '../src/name.ts';
import { slugDraws } from '../src/slug.ts';

test('a slug is two words that make a name', () => {
  for (let run = 0; run < 2_000; run++) {
    const slug = slugDraws()();
    expect(slug).toMatch(/^[a-z]+-[a-z]+$/);
    checkName('run', slug);
  }
});

test('slugs seldom repeat: of 500 out of 60,000 a few pairs are equal', () => {
  expect(new Set(Array.from({ length: 500 }, () => slugDraws()())).size).toBeGreaterThan(480);
});

test('a run for which every pair is taken gets a number as well', () => {
  const draw = slugDraws();
  const slugs = Array.from({ length: 60 }, draw);
  expect(slugs.slice(0, 50).every((slug) => /^[a-z]+-[a-z]+$/.test(slug))).toBe(true);
  expect(slugs.slice(50).every((slug) => /^[a-z]+-[a-z]+-\d+$/.test(slug))).toBe(true);
});
