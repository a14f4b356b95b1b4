import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { damageIn, fingerprint, isChecksum } from '../src/storage/checksum.ts';
import { temporaryFolder } from './folders.ts';

const mib = 2 ** 20;

/** Bytes that differ from place to place. */
function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 2_654_435_761) >>> 24);
}

describe('the checksum of a file', () => {
  test.each([0, 1, 1_000, mib - 1, mib, mib + 1, 2 * mib, 2 * mib + 5])(
    'of %i bytes fits it, and nothing else',
    async (length) => {
      const path = join(temporaryFolder(), 'a');
      const content = bytesOf(length);
      writeFileSync(path, content);
      const taken = await fingerprint(path);
      expect(taken.bytes).toBe(length);
      expect(length === 0 || isChecksum(taken.checksum)).toBe(true);
      expect(await damageIn(path, taken)).toBeNull();

      writeFileSync(path, bytesOf(length + 1));
      expect(await damageIn(path, taken)).toMatch(`it goes on after byte ${length}`);
      if (length === 0) return;
      writeFileSync(path, content.subarray(0, length - 1));
      expect(await damageIn(path, taken)).toMatch(`it ends at byte ${length - 1} of ${length}`);
    },
  );

  test('tells any changed byte, with the MiB that it is in', async () => {
    const path = join(temporaryFolder(), 'a');
    const content = bytesOf(2 * mib + 100);
    writeFileSync(path, content);
    const taken = await fingerprint(path);
    const flip = fc.tuple(fc.nat(content.length - 1), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(flip, async ([at, bits]) => {
        const changed = content.slice();
        changed[at] = (changed[at] as number) ^ bits;
        writeFileSync(path, changed);
        const start = Math.floor(at / mib) * mib;
        const end = Math.min(start + mib, content.length) - 1;
        expect(await damageIn(path, taken)).toBe(`bytes ${start} to ${end} are not what was written there`);
      }),
      { numRuns: 30, seed: 3 },
    );
  });

  test('of a file that has none is its length alone', async () => {
    const path = join(temporaryFolder(), 'a');
    writeFileSync(path, 'abc');
    expect(await damageIn(path, { bytes: 3, checksum: null })).toBeNull();
    expect(await damageIn(path, { bytes: 4, checksum: null })).toBe('it ends at byte 3 of 4');
    await expect(damageIn(join(path, '..', 'b'), { bytes: 3, checksum: null })).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
