import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../error.ts';
import { namesIn } from './files.ts';

/** What the claims of a store say of a run. */
export interface ClaimedRun {
  readonly number: number;
  readonly uuid: string;
  readonly slug: string;
  readonly flow: string;
}

export interface ClaimFault {
  readonly file: string;
  readonly what: string;
  /** Whether it cannot be read as a claim, so that another can be put in its place. */
  readonly isUnreadable: boolean;
}

/**
 * Reads all claims: the runs by number, and what is wrong. A claim of a number without its slug is what a process left that died; of
 * processes that began at once to bring in one run, all but one leave a claim without a run.
 *
 * @param begun the numbers of the runs that something has been recorded of; null where nobody knows
 */
export async function checkClaims(
  folder: string,
  begun: ReadonlySet<number> | null = null,
): Promise<{ readonly runs: ReadonlyMap<number, ClaimedRun>; readonly faults: readonly ClaimFault[] }> {
  const names = await namesIn(folder);
  const faults: ClaimFault[] = [];
  const byName = new Map<string, ClaimedRun>();
  for (const name of names.filter((one) => !one.startsWith('.') && one.endsWith('.json')).sort()) {
    const file = join(folder, name);
    try {
      byName.set(name.slice(0, -'.json'.length), claimIn(await readFile(file, 'utf8')));
    } catch (error) {
      faults.push({ file, what: messageOf(error), isUnreadable: !('code' in (error as object)) });
    }
  }
  const runs = new Map<number, ClaimedRun>();
  const uuids = new Map<string, number>();
  for (const [name, claim] of byName) {
    const file = join(folder, `${name}.json`);
    const wrong = (what: string) => void faults.push({ file, what, isUnreadable: false });
    if (/^\d+$/.test(name)) {
      if (claim.number !== Number(name)) wrong(`it claims the number ${claim.number}`);
      const other = uuids.get(claim.uuid);
      if (begun?.has(claim.number) === true) {
        if (other !== undefined) wrong(`the run ${claim.uuid} has the number ${other} as well`);
        uuids.set(claim.uuid, claim.number);
      }
      runs.set(Number(name), claim);
    } else {
      if (claim.slug !== name) wrong(`it claims the slug ${claim.slug}`);
      const holder = byName.get(String(claim.number));
      if (holder !== undefined && holder.uuid !== claim.uuid)
        wrong(`the number ${claim.number} belongs to another run, ${holder.uuid}`);
    }
  }
  return { runs, faults };
}

/** The claim in the text of its file, whole. @throws TypeError that says what is wrong with it. */
export function claimIn(text: string): ClaimedRun {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`it is no JSON (${messageOf(error)})`, { cause: error });
  }
  const { number, uuid, slug, flow } = (parsed ?? {}) as Record<string, unknown>;
  const isWhole = Number.isSafeInteger(number) && [uuid, slug, flow].every((one) => typeof one === 'string');
  if (!isWhole) throw new TypeError('it is no claim of a run');
  return parsed as ClaimedRun;
}
