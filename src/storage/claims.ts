import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { lastRunNumber } from '../sid.ts';
import type { Claim, ClaimRequest } from '../store.ts';
import { makeFolder, putIfAbsent, writeWhole } from './files.ts';
import { freeSlug } from './free-slug.ts';
import { currentOwner, type Owner } from './owner.ts';

/** What both files of a claim hold, as JSON. The modification time of `<number>.json` is the heartbeat. */
interface ClaimRecord extends Owner {
  readonly uuid: string;
  readonly number: number;
  readonly slug: string;
  readonly flow: string;
  /** ISO 8601, UTC. */
  readonly claimedAt: string;
}

const heartbeatMs = 10_000;

/**
 * Takes the next run number and a free slug in a folder of claims, which is made if need be. Two files say so, each created
 * exclusively and whole: `<number>.json`, then `<slug>.json`. They stay for ever, so neither ever comes back. A process
 * that dies between the two has used up a number and nothing else.
 */
export async function claimRun(folder: string, request: ClaimRequest): Promise<Claim> {
  await makeFolder(folder);
  const taken = new Set(await readdir(folder));
  const common = { uuid: request.uuid, flow: request.flow, ...currentOwner(), claimedAt: new Date().toISOString() };

  const isFree = (slug: string) => !taken.has(`${slug}.json`);
  let slug = await freeSlug(request, isFree);
  let number = highestNumber(taken) + 1;
  while (!(await putIfAbsent(pathOf(folder, checkNumber(folder, number)), text({ ...common, number, slug })))) number++;

  while (!(await putIfAbsent(pathOf(folder, slug), text({ ...common, number, slug })))) {
    taken.add(`${slug}.json`);
    slug = await freeSlug(request, isFree);
    await writeWhole(pathOf(folder, number), text({ ...common, number, slug }));
  }
  return { number, slug, release: beat(pathOf(folder, number)) };
}

/** Touches the file every ten seconds, without keeping the process alive, until the returned function is called. */
function beat(path: string): () => Promise<void> {
  let touching: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    const now = new Date();
    touching = utimes(path, now, now).catch(() => undefined); // a lapsed heartbeat says as much as an error would
  }, heartbeatMs).unref();
  return async () => {
    clearInterval(timer);
    await touching;
  };
}

function checkNumber(folder: string, number: number): number {
  if (number <= lastRunNumber) return number;
  throw new MarqueError('STORE_UNWRITABLE', `${show(folder, 300)} has used up its ${lastRunNumber} run numbers: use a new store`);
}

function highestNumber(names: Iterable<string>): number {
  let highest = 0;
  for (const name of names) {
    const number = /^(\d+)\.json$/.exec(name)?.[1];
    if (number !== undefined) highest = Math.max(highest, Number(number));
  }
  return highest;
}

function pathOf(folder: string, name: string | number): string {
  return join(folder, `${name}.json`);
}

function text(record: ClaimRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}
