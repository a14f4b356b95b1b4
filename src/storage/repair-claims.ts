import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { show } from '../error.ts';
import { checkClaims, claimIn, type ClaimedRun } from './claim-check.ts';
import { makeFolder, putIfAbsent, writeWhole } from './files.ts';
import { keepAside } from './keep-aside.ts';
import { claimOfNobody, lostClaims, type RecordedRun } from './lost-claims.ts';
import type { Repaired } from './repair.ts';

/**
 * Numbers and slugs stay taken. What a claim said is in its other half, or else lost.
 *
 * @param runs the claims that can be read
 * @param recorded the runs that the table `runs` names: where their claims are missing, they are made again
 */
export async function repairClaims(
  folder: string,
  runs: ReadonlyMap<number, ClaimedRun>,
  recorded: ReadonlyMap<number, RecordedRun>,
): Promise<Pick<Repaired, 'done' | 'left'>> {
  const place = join(folder, '_runs');
  const done: string[] = [];
  const left: string[] = [];
  for (const { file, what, isUnreadable } of (await checkClaims(place)).faults) {
    if (!isUnreadable) {
      left.push(`${show(file, 300)}: ${what}`);
      continue;
    }
    await keepAside(folder, file);
    const name = file.slice(place.length + 1, -'.json'.length);
    const half = /^\d+$/.test(name) ? await slugOf(place, Number(name)) : [...runs.values()].find(({ slug }) => slug === name);
    const number = /^\d+$/.test(name) ? Number(name) : 0;
    const instead = half ?? {
      uuid: `lost-${name}`,
      number,
      slug: number === 0 ? name : '',
      flow: '',
      abandonedAt: new Date().toISOString(),
    };
    await writeWhole(file, `${JSON.stringify(instead, null, 2)}\n`);
    done.push(
      `the claim ${show(file, 300)} (${what}) was ${half === undefined ? 'replaced by one that only keeps its name taken' : 'restored'}`,
    );
  }
  done.push(...(await restoreClaims(folder, recorded)));
  return { done, left };
}

/** Makes the claims of runs that have been recorded again: their numbers and slugs would be given to others, and their scopes mixed. */
async function restoreClaims(folder: string, recorded: ReadonlyMap<number, RecordedRun>): Promise<readonly string[]> {
  const place = join(folder, '_runs');
  const lost = await lostClaims(place, recorded);
  if (lost.length > 0) await makeFolder(place);
  for (const { file, run } of lost) await putIfAbsent(file, claimOfNobody(run));
  return lost.map(({ file }) => `the claim ${show(file, 300)} (it is missing) was made again from the table runs`);
}

/** The claim of a number in the file of its slug. */
async function slugOf(place: string, number: number): Promise<ClaimedRun | undefined> {
  for (const name of await readdir(place)) {
    if (/^\d+\.json$/.test(name) || name.startsWith('.')) continue;
    try {
      const claim = claimIn(await readFile(join(place, name), 'utf8'));
      if (claim.number === number) return claim;
    } catch {
      // another one that cannot be read: it has its own turn
    }
  }
  return undefined;
}
