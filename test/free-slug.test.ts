import { expect, test } from 'vitest';
import { freeSlug } from '../src/storage/free-slug.ts';

function request(draw: () => string) {
  return { uuid: 'u', flow: 'f', drawSlug: draw };
}

test('a slug is drawn until one is free, and is never a number', async () => {
  const slugs = ['12', 'brave-otter', 'calm-heron'];
  expect(
    await freeSlug(
      request(() => slugs.shift() as string),
      async (slug) => slug !== 'brave-otter',
    ),
  ).toBe('calm-heron');
});

test('where no slug is free the claim fails', async () => {
  await expect(
    freeSlug(
      request(() => 'a-b'),
      () => false,
    ),
  ).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
});
