import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { lastRunNumber } from '../src/sid.ts';
import { beatingRuns, claimRun, diedAt, overRuns } from '../src/storage/claims.ts';
import { currentOwner } from '../src/storage/owner.ts';
import type { ClaimRequest } from '../src/store.ts';
import { temporaryFolder } from './folders.ts';

/** A request that draws these slugs, one after another. */
function request(...slugs: string[]): ClaimRequest {
  const drawSlug = () => {
    const slug = slugs.shift();
    if (slug === undefined) throw new Error('drawn too often');
    return slug;
  };
  return { uuid: 'uuid', flow: 'sweep', drawSlug };
}

function record(folder: string, name: string | number): unknown {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
}

test.runIf(process.platform === 'linux')(
  'a run of another container is over once it has been silent for ten minutes',
  async () => {
    const folder = temporaryFolder();
    const path = join(folder, '1.json');
    const owner = { ...currentOwner(), pidNamespace: 'pid:[1]' };
    writeFileSync(path, JSON.stringify({ uuid: 'uuid', flow: 'sweep', number: 1, slug: 'brave-otter', ...owner }));
    for (const [seconds, isOver] of [
      [590, false],
      [610, true],
    ] as const) {
      const beat = Math.floor(Date.now() / 1000) - seconds;
      utimesSync(path, beat, beat);
      expect(await diedAt(folder, 1, 'uuid')).toBe(isOver ? beat * 1000 : null);
      expect((await overRuns(folder)).has('uuid')).toBe(isOver);
      expect((await beatingRuns(folder, Number.POSITIVE_INFINITY)).has('uuid')).toBe(!isOver);
    }
  },
);

describe('claimRun', () => {
  test('takes the next number and the slug, and says who did in a file for each', async () => {
    const folder = join(temporaryFolder(), 'store', '_runs');
    for (const [index, slug] of ['brave-otter', 'calm-lynx'].entries()) {
      const claim = await claimRun(folder, request(slug));
      await claim.release();
      expect(claim).toMatchObject({ number: index + 1, slug });
      const expected = { uuid: 'uuid', flow: 'sweep', number: index + 1, slug, ...currentOwner(), claimedAt: expect.any(String) };
      expect(record(folder, slug)).toEqual(expected);
      expect(record(folder, index + 1)).toEqual(expected);
    }
    expect(readdirSync(folder).sort()).toEqual(['1.json', '2.json', 'brave-otter.json', 'calm-lynx.json']);
  });

  test('never gives two of many that claim at once the same number or slug', async () => {
    const folder = temporaryFolder();
    const claims = await Promise.all(
      Array.from({ length: 20 }, (_, index) => {
        // All want the same few slugs first.
        const slugs = ['a-a', 'a-b', 'a-c', `own-${'x'.repeat(index + 1)}`];
        return claimRun(folder, request(...slugs));
      }),
    );
    await Promise.all(claims.map((claim) => claim.release()));
    expect(new Set(claims.map((claim) => claim.number)).size).toBe(20);
    expect(new Set(claims.map((claim) => claim.slug)).size).toBe(20);
    for (const { number, slug } of claims) {
      expect(record(folder, number)).toMatchObject({ number, slug });
      expect(record(folder, slug)).toMatchObject({ number, slug });
    }
  });

  test('draws again for a slug that is taken, or that would read as a run number', async () => {
    const folder = temporaryFolder();
    await (await claimRun(folder, request('brave-otter'))).release();
    const claim = await claimRun(folder, request('brave-otter', '1', '77', 'calm-lynx'));
    await claim.release();
    expect(claim).toMatchObject({ number: 2, slug: 'calm-lynx' });
  });

  test('goes on after the highest number, whatever else is there', async () => {
    const folder = temporaryFolder();
    for (const name of ['7.json', '10.json', 'notes.txt', '99.txt']) writeFileSync(join(folder, name), '');
    const claim = await claimRun(folder, request('brave-otter'));
    await claim.release();
    expect(claim.number).toBe(11);
  });

  test.each<[string, string, ClaimRequest]>([
    ['every slug is taken', 'a-a.json', { ...request(), drawSlug: () => 'a-a' }],
    ['every number is taken', `${lastRunNumber}.json`, request('brave-otter')],
  ])('gives up when %s', async (_name, present, wanted) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, present), '');
    await expect(claimRun(folder, wanted)).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' });
    expect(readdirSync(folder)).toEqual([present]);
  });
});

describe('the heartbeat', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('touches the file of the number every ten seconds until the claim is released', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const folder = temporaryFolder();
    const claim = await claimRun(folder, request('brave-otter'));
    const path = join(folder, '1.json');
    const age = () => (utimesSync(path, 0, 0), () => Date.now() - statSync(path).mtimeMs);

    const beaten = age();
    vi.advanceTimersByTime(10_000);
    await vi.waitFor(() => expect(beaten()).toBeLessThan(60_000));

    await claim.release();
    const released = age();
    vi.advanceTimersByTime(60_000);
    expect(released()).toBeGreaterThan(60_000);
  });

  test('does not keep the process alive', async () => {
    const started = vi.spyOn(globalThis, 'setInterval');
    const claim = await claimRun(temporaryFolder(), request('brave-otter'));
    const timers = started.mock.results.map(({ value }) => value as NodeJS.Timeout);
    started.mockRestore();
    expect(timers.map((timer) => timer.hasRef())).toEqual([false]);
    await claim.release();
  });
});
