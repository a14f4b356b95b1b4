import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDuration } from '../duration.ts';
import { MarqueError, show } from '../error.ts';
import { tableNames } from '../schema.ts';
import { beatingRuns } from './claims.ts';
import { namesIn, remove, unlessGone } from './files.ts';
import type { Logs } from './parquet-folder.ts';
import { batchOf, isMergedName } from './segment.ts';
import { Spills } from './spills.ts';

export interface VacuumOptions {
  /**
   * How long files stay after they have left the tables: milliseconds, or a text such as `'7d'` or `'12h'`. Queries that began before, and
   * `asOf`, need them. Default seven days, as Delta Lake has it.
   */
  readonly retention?: number | string | undefined;
  /** Says what would be removed, and removes nothing. */
  readonly dryRun?: boolean | undefined;
}

export interface Vacuumed {
  readonly files: number;
  readonly bytes: number;
}

/** A file that nobody has named may be about to be: it is given at least so long, in milliseconds. */
const leastAge = 3_600_000;

/**
 * Removes files that are not part of the tables any more, or never became part of them. Only files of the names that this library gives
 * are looked at; versions of the logs and checkpoints stay.
 *
 * @throws MarqueError OPTION_INVALID; STORE_DAMAGED where a version cannot be read: what it names is not known; STORE_UNWRITABLE.
 */
export async function vacuum(folder: string, logs: Logs, { retention = '7d', dryRun = false }: VacuumOptions): Promise<Vacuumed> {
  const kept = parseDuration(retention);
  if (kept === null) {
    throw new MarqueError(
      'OPTION_INVALID',
      `retention is ${show(retention)}: give milliseconds, or a text such as '7d' or '12h'`,
    );
  }
  const idle = Math.max(kept, leastAge);
  let beating: ReadonlySet<string> | null = null; // looked up where there is a leftover
  const isOver = async (uuid: string): Promise<boolean> => {
    beating ??= await beatingRuns(join(folder, '_runs'), idle);
    return !beating.has(uuid);
  };
  const found: { path: string; bytes: number }[] = [];
  for (const table of tableNames) {
    const place = join(folder, table);
    const names = await namesIn(place); // before the log: a file that is named meanwhile is known to be
    const state = await logs[table].replay();
    for (const name of names) {
      if (state.isLive(name)) continue;
      const removedAt = state.tombstones.get(name);
      const isPast =
        removedAt === undefined
          ? (await isOlder(join(place, name), idle)) && (await isLeftover(name, isOver))
          : removedAt < Date.now() - kept;
      if (isPast) found.push(...(await sizeOf(join(place, name))));
    }
  }
  const places = ['', '_runs', 'spill', ...tableNames.map((table) => join(table, '_delta_log'))].map((name) =>
    join(folder, name),
  );
  for (const place of places) {
    for (const name of await namesIn(place)) {
      if (isTemporary(name) && (await isOlder(join(place, name), idle))) found.push(...(await sizeOf(join(place, name))));
    }
  }
  const parked = await new Spills(join(folder, 'spill')).parked();
  // Unlike a segment, such rows cannot be written once more: they stay as long as their run may go on, however long it has been silent.
  const unsettled = parked.length === 0 ? new Set() : await beatingRuns(join(folder, '_runs'), Number.POSITIVE_INFINITY);
  for (const { path, uuid } of parked) {
    if (!unsettled.has(uuid) && (await isOlder(path, idle))) found.push(...(await sizeOf(path)));
  }
  if (!dryRun) for (const { path } of found) await remove(path);
  return { files: found.length, bytes: found.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Whether nobody will ever name an old file that no version has named: what a process left that died, or a merge that came too late. */
async function isLeftover(name: string, isOver: (uuid: string) => Promise<boolean>): Promise<boolean> {
  const writer = batchOf(name)?.writer;
  if (writer === undefined) return isMergedName(name) || isTemporary(name);
  return await isOver(writer.slice(0, writer.lastIndexOf('/')));
}

function isTemporary(name: string): boolean {
  return /^\.[0-9a-f-]{36}\.inprogress$/.test(name);
}

/** A file that has gone is not old: two vacuums may meet. */
async function isOlder(path: string, ms: number): Promise<boolean> {
  const found = await unlessGone(path, () => stat(path));
  return found !== null && found.mtimeMs < Date.now() - ms;
}

async function sizeOf(path: string): Promise<readonly { readonly path: string; readonly bytes: number }[]> {
  const found = await unlessGone(path, () => stat(path));
  return found === null ? [] : [{ path, bytes: found.size }];
}
