import { join } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { tableNames } from '../schema.ts';
import type { DeltaLog } from './delta-log.ts';
import { isThere } from './files.ts';
import { inLanes } from './lanes.ts';
import type { Logs } from './parquet-folder.ts';
import type { LogStates } from './parquet-reader.ts';
import { childTables } from './scope-rows.ts';
import { batchOf } from './segment.ts';
import type { LogState, Segment } from './table-state.ts';

/** One version of a store: what a flush, a compaction or a deletion has made of it. */
export interface StoreVersion {
  /** From 0, the store without rows. */
  readonly version: number;
  readonly at: Date;
  /** `CREATE TABLE`, `WRITE`, `OPTIMIZE`, `DELETE`, `REPAIR`, or another program's word; null where it does not say. */
  readonly operation: string | null;
}

/** All versions, newest first. Those of `scopes` count: with its `scopes` a batch is there. */
export async function storeVersions({ scopes }: Logs): Promise<StoreVersion[]> {
  const versions: StoreVersion[] = [];
  await inLanes(Array(Math.max(0, (await scopes.highestVersion()) + 1)).keys(), async (version) => {
    const [actions, at] = await Promise.all([scopes.read(version), scopes.committedAt(version)]);
    versions.push({ version, at: new Date(at), operation: actions?.operation ?? null });
  });
  return versions.sort((a, b) => b.version - a.version);
}

/**
 * All tables as they were at a version of `scopes`, or at a time: the children as that version needs them, `runs` as it was then.
 *
 * @throws MarqueError VERSION_UNKNOWN for what the store never was.
 */
export async function pastStates(folder: string, logs: Logs, point: number | Date): Promise<LogStates> {
  const version = typeof point === 'number' ? point : await versionBefore(folder, logs.scopes, point);
  const highest = await logs.scopes.highestVersion();
  if (version > highest) {
    throw new MarqueError('VERSION_UNKNOWN', `${show(folder, 300)} has no version ${version}: the last one is ${highest}`);
  }
  const scopes = await logs.scopes.at(version);
  const time = typeof point === 'number' ? await logs.scopes.committedAt(version) : point.getTime();
  const children = await Promise.all(
    childTables.map(async (table) => [table, await logs[table].at(scopes.needs[table] ?? 0)] as const),
  );
  return {
    ...(Object.fromEntries(children) as unknown as Omit<LogStates, 'scopes' | 'runs'>),
    scopes,
    runs: await runsAt(logs.runs, time, scopes),
  };
}

/**
 * Whether the segments of a past state are still there.
 *
 * @throws MarqueError VERSION_UNKNOWN, naming one that a vacuum has removed. What still counts today is for the reader to check.
 */
export async function checkPresent(folder: string, past: LogStates, present: LogStates): Promise<void> {
  const gone = tableNames.flatMap((table) => {
    const live = new Set(present[table].segments.map(({ name }) => name));
    return past[table].segments.filter(({ name }) => !live.has(name)).map(({ name }) => join(folder, table, name));
  });
  await inLanes(gone, async (path) => {
    if (await isThere(path)) return;
    const version = past.scopes.version;
    throw new MarqueError(
      'VERSION_UNKNOWN',
      `version ${version} can be read no longer: ${show(path, 300)} has been removed by a vacuum`,
    );
  });
}

async function versionBefore(folder: string, log: DeltaLog, time: Date): Promise<number> {
  const version = await log.versionAt(time.getTime());
  if (version !== null) return version;
  const since = new Date(await log.committedAt(0)).toISOString();
  throw new MarqueError('VERSION_UNKNOWN', `${show(folder, 300)} was made at ${since}, after ${time.toISOString()}`);
}

/**
 * The events up to a time, and those that batches have brought which `scopes` has: they are written a moment after it. What others have
 * written meanwhile is left out.
 */
async function runsAt(log: DeltaLog, time: number, scopes: LogState): Promise<LogState> {
  const base = await log.at((await log.versionAt(time)) ?? 0);
  const late: Segment[] = [];
  for (let version = base.version + 1; ; version++) {
    const next = await log.read(version);
    if (next === null || (next.committedAt ?? 0) > time + longestMoment) break;
    const isPart = next.batches.length > 0 && next.batches.every((id) => scopes.has(id) && !base.has(id));
    if (isPart && next.removed.length === 0) late.push(...next.added.map((one) => ({ ...one, batch: batchOf(one.name) })));
  }
  return { ...base, segments: [...base.segments, ...late] };
}

/** In milliseconds. A process that took longer from `scopes` to `runs` has died between them: then readers did not see the events either. */
const longestMoment = 60_000;

/** Throws OPTION_INVALID for what is neither a version nor a time. */
export function checkPoint(point: unknown): asserts point is number | Date {
  const isVersion = typeof point === 'number' && Number.isSafeInteger(point) && point >= 0;
  const isTime = point instanceof Date && !Number.isNaN(point.getTime());
  if (isVersion || isTime) return;
  throw new MarqueError('OPTION_INVALID', `asOf(${show(point)}): give a version, from 0, or a Date`);
}
