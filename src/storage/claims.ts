import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { lastRunNumber } from '../sid.ts';
import type { Claim, ClaimRequest } from '../store.ts';
import { makeFolder, namesIn, putIfAbsent, reading, unlessGone, writeWhole } from './files.ts';
import { freeSlug } from './free-slug.ts';
import { beat } from './heartbeat.ts';
import type { LiveRun } from './heir.ts';
import { currentOwner, isCurrent, isProvenDead, isSeenAlive, type Owner } from './owner.ts';

/** What both files of a claim hold, as JSON. The modification time of `<number>.json` is the heartbeat. */
interface ClaimRecord extends Owner {
  readonly uuid: string;
  readonly number: number;
  readonly slug: string;
  readonly flow: string;
  /** ISO 8601, UTC. */
  readonly claimedAt: string;
  /** Where the run begins with this claim. One that is copied from another store has begun there. */
  readonly begins?: true;
  /** Since when nobody writes to the run any more although it never ended, its process living on: ISO 8601, UTC. */
  readonly abandonedAt?: string;
}

/** Milliseconds without a heartbeat after which nobody can say whether a run on another machine goes on. */
const lapseMs = 60_000;

/**
 * Takes the next run number and a free slug in a folder of claims, which is made if need be. Two files say so, each created
 * exclusively and whole: `<number>.json`, then `<slug>.json`. They stay for ever, so neither ever comes back. A process
 * that dies between the two has used up a number and nothing else.
 */
export async function claimRun(folder: string, request: ClaimRequest): Promise<Claim> {
  await makeFolder(folder);
  const taken = new Set(await reading(folder, () => readdir(folder)));
  const common = {
    uuid: request.uuid,
    flow: request.flow,
    ...currentOwner(),
    claimedAt: new Date().toISOString(),
    ...(request.begins === true ? ({ begins: true } as const) : {}),
  };
  const slug = await freeSlug(request, (drawn) => !taken.has(`${drawn}.json`));
  let number = Math.max(highestNumber(taken), request.after ?? 0) + 1;
  while (!(await putIfAbsent(pathOf(folder, checkNumber(folder, number)), text({ ...common, number, slug })))) number++;
  return await holdClaim(folder, request, taken, { ...common, number, slug });
}

/**
 * Takes on a claim of the same uuid whose run was never begun, or brought in only in part: of a process that is proven dead, has given it
 * up, or is this one. Null where there is none.
 */
export async function reclaimRun(
  folder: string,
  request: ClaimRequest,
  mayBe: (number: number) => boolean,
): Promise<Claim | null> {
  const taken = new Set(await namesIn(folder));
  for (const number of numbersIn(taken)) {
    if (!mayBe(number)) continue;
    const claim = await claimAt(folder, number);
    if (claim?.record.uuid !== request.uuid || !(isOver(claim) || isCurrent(claim.record))) continue;
    const { uuid, flow, slug } = claim.record;
    const own = { uuid, flow, ...currentOwner(), claimedAt: new Date().toISOString(), number, slug };
    await writeWhole(pathOf(folder, number), text(own));
    return await holdClaim(folder, request, taken, own);
  }
  return null;
}

/** Takes the slug of a claim whose number is taken, or another where somebody else has it, and begins the heartbeat. */
async function holdClaim(folder: string, request: ClaimRequest, taken: Set<string>, record: ClaimRecord): Promise<Claim> {
  const { number } = record;
  let { slug } = record;
  while (!(await putIfAbsent(pathOf(folder, slug), text({ ...record, slug })))) {
    const holder = await claimAt(folder, slug);
    if (holder?.record.uuid === record.uuid && holder.record.number === number) break;
    taken.add(`${slug}.json`);
    slug = await freeSlug(request, (drawn) => !taken.has(`${drawn}.json`));
    await writeWhole(pathOf(folder, number), text({ ...record, slug }));
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
      await writeWhole(path, text({ ...record, slug, abandonedAt })).catch(() => undefined);
    },
  };
}

/**
 * When the run with this number and uuid was last heard of, in epoch milliseconds, if it certainly has nobody any more who writes to it:
 * its process is proven dead, or has given it up. Null where it may go on, or where no claim tells.
 */
export async function diedAt(folder: string, number: number, uuid: string): Promise<number | null> {
  const claim = await claimAt(folder, number);
  if (claim === null || claim.record.uuid !== uuid || !isOver(claim)) return null;
  return claim.lastBeat;
}

/** The uuids of the runs that somebody may still write to; those of another machine by a heartbeat within so many milliseconds. */
export async function beatingRuns(folder: string, withinMs: number): Promise<ReadonlySet<string>> {
  return new Set((await beating(folder, withinMs)).map(({ uuid }) => uuid));
}

/** Whether another process may have a run under way: it has claimed some, and lives, or was heard of within the last minute. */
export async function othersHaveRuns(folder: string): Promise<boolean> {
  return (await beating(folder, lapseMs)).some((record) => !isCurrent(record));
}

/** A process that is seen to live counts however long it has held its event loop, and has not touched its claim. */
async function beating(folder: string, withinMs: number): Promise<readonly ClaimRecord[]> {
  return (await claimsIn(folder)).flatMap((claim) => {
    const { record, lastBeat } = claim;
    if (isOver(claim)) return [];
    return isSeenAlive(record) || Date.now() - lastBeat <= withinMs ? [record] : [];
  });
}

/** The uuids of the runs that certainly have nobody any more who writes to them. */
export async function overRuns(folder: string): Promise<ReadonlySet<string>> {
  return new Set((await claimsIn(folder)).flatMap((claim) => (isOver(claim) ? [claim.record.uuid] : [])));
}

/**
 * The runs that began here and of which nothing is known but their claim, those with the given numbers left out. One that never came to its
 * slug is none: a number has been used up.
 */
export async function silentRuns(folder: string, heard: ReadonlySet<number>): Promise<readonly LiveRun[]> {
  const silent: LiveRun[] = [];
  for (const { record } of await claimsIn(folder, (number) => !heard.has(number))) {
    const { uuid, number, slug, flow, claimedAt, begins } = record;
    if (begins !== true || (await claimAt(folder, slug))?.record.uuid !== uuid) continue;
    silent.push({ number, uuid, slug, flow, startedAt: Date.parse(claimedAt), starts: 0 });
  }
  return silent;
}

/** Which of these runs have had no heartbeat for a minute, and are not seen to live on this machine. */
export async function lapsedRuns(folder: string, numbers: readonly number[]): Promise<readonly number[]> {
  const lapsed: number[] = [];
  for (const number of numbers) {
    const claim = await claimAt(folder, number);
    if (claim === null || Date.now() - claim.lastBeat <= lapseMs) continue;
    if (isOver(claim) || !isSeenAlive(claim.record)) lapsed.push(number);
  }
  return lapsed;
}

function isOver({ record, lastBeat }: Found): boolean {
  return record.abandonedAt !== undefined || isProvenDead(record, lastBeat);
}

/** A claim with its last heartbeat in epoch milliseconds. */
interface Found {
  readonly record: ClaimRecord;
  readonly lastBeat: number;
}

/** The claims of all numbers, or of those that are wanted. */
async function claimsIn(folder: string, isWanted: (number: number) => boolean = () => true): Promise<readonly Found[]> {
  const found: Found[] = [];
  for (const number of numbersIn(await namesIn(folder))) {
    const claim = isWanted(number) ? await claimAt(folder, number) : null;
    if (claim !== null) found.push(claim);
  }
  return found;
}

/** The claim of a number or a slug; null where it is missing or none of ours. */
async function claimAt(folder: string, name: number | string): Promise<Found | null> {
  const path = pathOf(folder, name);
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

function checkNumber(folder: string, number: number): number {
  if (number <= lastRunNumber) return number;
  throw new MarqueError('STORE_UNWRITABLE', `${show(folder, 300)} has used up its ${lastRunNumber} run numbers: use a new store`);
}

function highestNumber(names: Iterable<string>): number {
  return numbersIn(names).reduce((highest, number) => Math.max(highest, number), 0);
}

function numbersIn(names: Iterable<string>): readonly number[] {
  return [...names].flatMap((name) => {
    const number = /^(\d+)\.json$/.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}

function pathOf(folder: string, name: string | number): string {
  return join(folder, `${name}.json`);
}

function text(record: ClaimRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}
