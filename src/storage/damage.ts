import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { MarqueError, messageOf, show } from '../error.ts';
import { damageIn, type Fingerprint, isIntact, smallFile } from './checksum.ts';
import { hasCode, unreadable } from './files.ts';
import { inLanes } from './lanes.ts';

/** The error of a query, or of opening, as STORE_DAMAGED where DuckDB says that its own file is, or has been cut short; any other as it is. */
export function damagedFile(path: string, error: unknown): unknown {
  const reason = reasonOf(error);
  const isCut = reason.startsWith('IO Error: Could not read enough bytes from file') && reason.includes(path); // not one of its temporary files
  return isCut || reason.startsWith('IO Error: Corrupt database file') ? damage(path, reason, error) : error;
}

/**
 * The error of a query as STORE_DAMAGED where one of a store's segments is missing or cannot be decoded; any other as it is.
 *
 * @param segments below the folder, such as `tags/a.parquet`
 * @param read rejects for a segment that cannot be read. Each is tried where DuckDB has no name for the error, and then no file.
 */
export async function damagedSegment(
  folder: string,
  segments: readonly string[],
  error: unknown,
  read: (segment: string) => Promise<unknown>,
): Promise<unknown> {
  const reason = reasonOf(error);
  if (!/^(?:IO|Invalid Input|Invalid) Error/.test(reason) || notTheFiles.test(reason)) return error;
  const named = segments.find((segment) => reason.includes(segment));
  if (named !== undefined) return damage(join(folder, named), reason, error);
  if (!reason.startsWith('Invalid Error')) return error;
  for (const segment of segments) {
    const isFine = await read(segment).then(
      () => true,
      () => false,
    );
    if (!isFine) return damage(join(folder, segment), reason, error);
  }
  return error;
}

type NamedFile = Fingerprint & { readonly name: string };

/** What is done while segments are checked. */
export interface Checking<S extends NamedFile> {
  /** Called for each one that is as it was written. */
  readonly sound?: (segment: S) => void;
  /** Ends it between two segments: it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Whether segments are as they were written. Parquet files have no checksums of their own: most damage to them would be read as other
 * values. At most eight blocks are in memory at once, and other work goes on.
 *
 * @throws MarqueError STORE_DAMAGED, naming the first one that is not, with the offset.
 */
export async function checkSegments<S extends NamedFile>(
  folder: string,
  segments: Iterable<S>,
  { sound, signal }: Checking<S> = {},
): Promise<void> {
  const others: S[] = [];
  let buffer = Buffer.alloc(0);
  let turn = performance.now();
  for (const segment of segments) {
    const { bytes } = segment;
    if (bytes >= buffer.length && bytes <= smallFile) buffer = Buffer.allocUnsafe(Math.min(2 * bytes, smallFile) + 1);
    if (isIntact(join(folder, segment.name), segment, buffer)) sound?.(segment);
    else others.push(segment);
    if (performance.now() - turn < longestTurn) continue;
    await setImmediate();
    signal?.throwIfAborted();
    turn = performance.now();
  }
  await inLanes(others, async (segment) => {
    signal?.throwIfAborted();
    const path = join(folder, segment.name);
    let damage: string | null;
    try {
      damage = await damageIn(path, segment);
    } catch (error) {
      throw hasCode(error, 'ENOENT') ? missing(path, error) : unreadable(path, error);
    }
    if (damage !== null) throw new MarqueError('STORE_DAMAGED', `${show(path, 300)} is damaged: ${damage}. ${wayOut}`);
    sound?.(segment);
  });
}

/** For how long the event loop is held at most, about, in milliseconds. */
const longestTurn = 3;

const wayOut = 'verify() says what is affected, repair() takes it out of the store';

function missing(path: string, cause: unknown): MarqueError {
  return new MarqueError('STORE_DAMAGED', `${show(path, 300)} is missing. ${wayOut}`, { cause });
}

/** What the system says of itself, whichever file it was about to read. */
const notTheFiles = /Too many open files|Permission denied|Operation not permitted|Cannot allocate memory|No space left/i;

/** DuckDB's own words, without the statement that an error of ours begins with. */
function reasonOf(error: unknown): string {
  return messageOf(error instanceof MarqueError ? (error.cause ?? error) : error);
}

function damage(path: string, reason: string, cause: unknown): MarqueError {
  return new MarqueError('STORE_DAMAGED', `${show(path, 300)} is missing or damaged: ${reason}`, { cause });
}
