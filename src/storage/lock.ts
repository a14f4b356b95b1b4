import { randomUUID } from 'node:crypto';
import { readFile, realpath, readlink, rename, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { MarqueError, show } from '../error.ts';
import { hasCode, putIfAbsent, remove, syncFolder, writing } from './files.ts';
import { beat } from './heartbeat.ts';
import { currentOwner, isNeighbour, isProvenDead, isSeenAlive, type Owner } from './owner.ts';

/** A lock that is held. It dies with its process: the next one who asks finds out and takes it over. */
export interface Lock {
  /** Idempotent. */
  release(): Promise<void>;
}

/** What a lock file holds, as JSON. */
interface Holder extends Owner {
  /** Tells this holder from every other, those of the same process included. */
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly lockedAt: string;
}

interface Link {
  readonly path: string;
  readonly holder: Holder;
  /** When its holder last touched it, in epoch milliseconds. */
  readonly lastBeat: number;
}

/**
 * Locks a file against other writers, in this process and in others, by a file `<file>.lock` beside it. Whoever comes second is
 * refused at once. `file` is to be a path from {@link canonicalPath}, or two names of one file would have two locks.
 *
 * Nobody may remove the lock of a dead process and then create his own: between the two a third could have done the same, and
 * his fresh lock would be removed. Instead the heir of holder `x` creates `<file>.lock.x` exclusively and then renames it to `<file>.lock`,
 * which replaces the dead lock in one step. An heir who dies in between has heirs himself, so the files form a chain, and the
 * last of the chain holds the lock.
 *
 * @throws MarqueError STORE_LOCKED, naming the process that holds it; STORE_UNWRITABLE.
 */
export async function lockFile(file: string): Promise<Lock> {
  const path = `${file}.lock`;
  const holder: Holder = { id: randomUUID(), ...currentOwner(), lockedAt: new Date().toISOString() };
  for (;;) {
    const chain = await chainFrom(path);
    const last = chain.at(-1);
    if (last !== undefined && !isProvenDead(last.holder, last.lastBeat)) throw locked(file, path, last.holder);
    const own = last === undefined ? path : heirPath(path, last.holder);
    if (!(await putIfAbsent(own, `${JSON.stringify(holder, null, 2)}\n`))) continue; // somebody was faster: see who
    // Somebody may have completed a takeover since the chain was read: then ours hangs on a link that is no longer there.
    if ((await chainFrom(path)).at(-1)?.holder.id !== holder.id) {
      await remove(own);
      continue;
    }
    if (own !== path) {
      await writing(path, () => rename(own, path));
      for (const link of chain.slice(1)) await remove(link.path);
      await syncFolder(dirname(path));
    }
    const stop = beat(path);
    return {
      release: async () => {
        await stop();
        await unlock(path, holder);
      },
    };
  }
}

/** Whether the lock of a file is free or held by a process that is seen to live: neither stays so for ever. False where it cannot be read. */
export async function isLockPassing(file: string): Promise<boolean> {
  try {
    const last = (await chainFrom(`${file}.lock`)).at(-1);
    return last === undefined || isSeenAlive(last.holder);
  } catch (error) {
    if (error instanceof MarqueError) return false;
    throw error;
  }
}

/** The one path of a file, whichever symbolic links lead to it. Neither the file nor the target of a link needs to be there. */
export async function canonicalPath(file: string): Promise<string> {
  const path = resolve(file);
  try {
    return await realpath(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  const target = await readlink(path).catch(() => null);
  if (target !== null) return await canonicalPath(resolve(dirname(path), target));
  const parent = dirname(path);
  return parent === path ? path : join(await canonicalPath(parent), basename(path));
}

async function chainFrom(path: string): Promise<Link[]> {
  const chain: Link[] = [];
  for (let next = path; ;) {
    const holder = await readHolder(next);
    if (holder === null) return chain;
    chain.push({ path: next, holder, lastBeat: await touchedAt(next) }); // where a new one has come since, neither counts as dead
    next = heirPath(path, holder);
  }
}

function heirPath(path: string, holder: Holder): string {
  return `${path}.${holder.id}`;
}

async function readHolder(path: string): Promise<Holder | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw new MarqueError('STORE_LOCKED', `the lock ${show(path, 300)} cannot be read`, { cause: error });
  }
  try {
    const holder = JSON.parse(text) as Holder;
    if (/^[0-9a-f-]{36}$/.test(holder.id) && Number.isSafeInteger(holder.pid)) return holder;
  } catch {
    // Locks are created whole, so this is not one of ours.
  }
  throw new MarqueError(
    'STORE_LOCKED',
    `${show(path, 300)} is not a lock of this library: delete it if no process uses the file that it stands beside`,
  );
}

async function touchedAt(path: string): Promise<number> {
  return Math.floor((await stat(path).catch(() => null))?.mtimeMs ?? Date.now());
}

async function unlock(path: string, own: Holder): Promise<void> {
  if ((await readHolder(path))?.id === own.id) await remove(path);
}

function locked(file: string, path: string, holder: Holder): MarqueError {
  const { pid, host, lockedAt } = holder;
  const name = show(file, 300);
  const since = `since ${lockedAt}`;
  if (!isNeighbour(holder)) {
    const way = `close it there, or delete ${show(path, 300)} if that process has ended`;
    return new MarqueError('STORE_LOCKED', `${name} is open in process ${pid} on ${show(host)} ${since}: ${way}`);
  }
  if (pid === process.pid)
    return new MarqueError(
      'STORE_LOCKED',
      `${name} is already open in this process (${pid}) ${since}: use that storage, or close it first`,
    );
  return new MarqueError(
    'STORE_LOCKED',
    `${name} is open in process ${pid} ${since}: close it there first, or use a ParquetStorage, which many may write`,
  );
}
