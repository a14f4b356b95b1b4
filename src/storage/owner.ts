import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Which process holds something, told apart from every other process that had or will have the same pid. */
export interface Owner {
  readonly host: string;
  /** Linux's id of this boot of the machine; null elsewhere. */
  readonly bootId: string | null;
  readonly pid: number;
  /** Clock ticks from boot to the start of the process, as in `/proc/<pid>/stat`; null where there is no `/proc`. */
  readonly processStartedAt: number | null;
  /** Linux's name of the namespace that the pid is of: each container counts its processes for itself. Null elsewhere. */
  readonly pidNamespace: string | null;
}

/**
 * Milliseconds without a heartbeat, sixty of them missed, after which a process of another container under this host name and boot has
 * ended. A container that is started again has a new pid namespace, and nobody can look into the old one any more.
 */
const silenceMs = 600_000;

let owner: Owner | undefined;

/** This process as an owner. */
export function currentOwner(): Owner {
  owner ??= {
    host: hostname(),
    bootId: bootId(),
    pid: process.pid,
    processStartedAt: startOf('self'),
    pidNamespace: pidNamespace(),
  };
  return owner;
}

/** Whether an owner is this process, and not one that has or had its pid. */
export function isCurrent(other: Owner): boolean {
  const { host, bootId: boot, pid, processStartedAt } = currentOwner();
  return other.host === host && other.bootId === boot && other.pid === pid && other.processStartedAt === processStartedAt;
}

/**
 * Whether an owner has certainly ended: only its own host can tell, and only where its pid means the same process. A process that cannot
 * be looked at counts as alive, so that nothing is ever taken from a live one; in another container of the host, until it has been silent
 * for ten minutes.
 *
 * @param lastBeat when it last touched what it holds, in epoch milliseconds; null where it does not
 */
export function isProvenDead(other: Owner, lastBeat: number | null = null): boolean {
  const self = currentOwner();
  if (other.host !== self.host) return false;
  if (other.bootId !== null && self.bootId !== null && other.bootId !== self.bootId) return true;
  if (!isNeighbour(other)) return lastBeat !== null && isElsewhereOnBoot(other) && Date.now() - lastBeat > silenceMs;
  try {
    process.kill(other.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  if (other.processStartedAt === null) return false;
  const startedAt = startOf(other.pid);
  return startedAt !== null && startedAt !== other.processStartedAt; // the pid has been given to another process
}

/** Whether a process of this owner is there: the same host can see it. False says nothing where the owner cannot be looked at from here. */
export function isSeenAlive(other: Owner): boolean {
  return isNeighbour(other) && !isProvenDead(other);
}

/** Whether a pid means the same process to an owner as to us: not on another host, and not in another container of this one. */
export function isNeighbour(other: Owner): boolean {
  const self = currentOwner();
  return other.host === self.host && (other.pidNamespace ?? null) === self.pidNamespace; // claims of older versions have none
}

/** Whether an owner is certainly of another container of this boot: older versions do not say. */
function isElsewhereOnBoot(other: Owner): boolean {
  const self = currentOwner();
  const namespaces = [other.pidNamespace ?? null, self.pidNamespace];
  return other.bootId !== null && other.bootId === self.bootId && !namespaces.includes(null);
}

function bootId(): string | null {
  return contentOf('/proc/sys/kernel/random/boot_id')?.trim() ?? null;
}

function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return null;
  }
}

function startOf(pid: number | 'self'): number | null {
  const stat = contentOf(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field is the program's name in parentheses and may hold anything; the start is the 22nd field.
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  return Number.isSafeInteger(ticks) ? ticks : null;
}

function contentOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
