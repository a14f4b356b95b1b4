import { readdir, readFile, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { lastRunNumber } from '../sid.ts';
import type { Claim, ClaimRequest } from '../store.ts';
import { makeFolder, namesIn, putIfAbsent, reading, unlessGone, writeWhole } from './files.ts';
import { freeSlug } from './free-slug.ts';
import { currentOwner, isCurrent, isProvenDead, type Owner } from './owner.ts';

/** What both files of a claim hold, as JSON. The modification time of `<number>.json` is the heartbeat. */
interface ClaimRecord extends Owner {
  readonly uuid: string;
  readonly number: number;
  readonly slug: string;
  readonly flow: string;
  /** ISO 8601, UTC. */
  readonly claimedAt: string;
  /** Since when nobody writes to the run any more although it never ended, its process living on: ISO 8601, UTC. */
  readonly abandonedAt?: string;
}

const heartbeatMs = 10_000;

/** Milliseconds without a heartbeat after which nobody can say whether a run on another machine goes on. */
export const lapseMs = 60_000;

/**
 * Takes the next run number and a free slug in a folder of claims, which is made if need be. Two files say so, each created
 * exclusively and whole: `<number>.json`, then `<slug>.json`. They stay for ever, so neither ever comes back. A process
 * that dies between the two has used up a number and nothing else.
 */
export async function claimRun(folder: string, request: ClaimRequest): Promise<Claim> {
  await makeFolder(folder);
  const taken = new Set(await reading(folder, () => readdir(folder)));
  const common = { uuid: request.uuid, flow: request.flow, ...currentOwner(), claimedAt: new Date().toISOString() };

  const isFree = (slug: string) => !taken.has(`${slug}.json`);
  let slug = await freeSlug(request, isFree);
  let number = Math.max(highestNumber(taken), request.after ?? 0) + 1;
  while (!(await putIfAbsent(pathOf(folder, checkNumber(folder, number)), text({ ...common, number, slug })))) number++;

  while (!(await putIfAbsent(pathOf(folder, slug), text({ ...common, number, slug })))) {
    taken.add(`${slug}.json`);
    slug = await freeSlug(request, isFree);
    await writeWhole(pathOf(folder, number), text({ ...common, number, slug }));
  }
  const path = pathOf(folder, number);
  const stop = beat(path);
  return {
    number,
    slug,
    release: async ({ abandoned = false } = {}) => {
      await stop();
      if (!abandoned) return;
      const abandonedAt = new Date().toISOString();
      // Where that fails, the run passes for a live one until this process has ended.
      await writeWhole(path, text({ ...common, number, slug, abandonedAt })).catch(() => undefined);
    },
  };
}

/**
 * When the run with this number and uuid was last heard of, in epoch milliseconds, if it certainly has nobody any more who writes to it:
 * its process is proven dead, or has given it up. Null where it may go on, or where no claim tells.
 */
export async function diedAt(folder: string, number: number, uuid: string): Promise<number | null> {
  const claim = await claimAt(folder, number);
  if (claim === null || claim.record.uuid !== uuid || !isOver(claim.record)) return null;
  return claim.lastBeat;
}

/** The uuids of the runs that somebody may still write to: they have had a heartbeat within so many milliseconds, and are not over. */
export async function beatingRuns(folder: string, withinMs: number): Promise<ReadonlySet<string>> {
  return new Set((await beating(folder, withinMs)).map(({ uuid }) => uuid));
}

/** Whether another process may have a run under way: some run of its was heard of within the last minute, and is not over. */
export async function othersHaveRuns(folder: string): Promise<boolean> {
  return (await beating(folder, lapseMs)).some((record) => !isCurrent(record));
}

async function beating(folder: string, withinMs: number): Promise<readonly ClaimRecord[]> {
  const records: ClaimRecord[] = [];
  for (const name of await namesIn(folder)) {
    const number = /^(\d+)\.json$/.exec(name)?.[1];
    const claim = number === undefined ? null : await claimAt(folder, Number(number));
    if (claim !== null && Date.now() - claim.lastBeat <= withinMs && !isOver(claim.record)) records.push(claim.record);
  }
  return records;
}

/** Which of these runs have had no heartbeat for a minute, and are not seen to live on this machine. */
export async function lapsedRuns(folder: string, numbers: readonly number[]): Promise<readonly number[]> {
  const lapsed: number[] = [];
  for (const number of numbers) {
    const claim = await claimAt(folder, number);
    if (claim === null || Date.now() - claim.lastBeat <= lapseMs) continue;
    if (claim.record.host !== currentOwner().host || isOver(claim.record)) lapsed.push(number);
  }
  return lapsed;
}

function isOver(record: ClaimRecord): boolean {
  return record.abandonedAt !== undefined || isProvenDead(record);
}

/** A claim with its last heartbeat in epoch milliseconds; null where it is missing or none of ours. */
async function claimAt(
  folder: string,
  number: number,
): Promise<{ readonly record: ClaimRecord; readonly lastBeat: number } | null> {
  const path = pathOf(folder, number);
  const found = await unlessGone(path, () => Promise.all([readFile(path, 'utf8'), stat(path)]));
  if (found === null) return null;
  const [content, { mtimeMs }] = found;
  try {
    const record = JSON.parse(content) as ClaimRecord;
    return typeof record.host === 'string' && Number.isSafeInteger(record.pid) ? { record, lastBeat: Math.floor(mtimeMs) } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
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
