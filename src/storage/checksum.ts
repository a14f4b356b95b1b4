import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { reading } from './files.ts';

/** Bytes that one digest covers, so that damage is reported with its place. Hashing one takes less than a millisecond. */
const blockBytes = 2 ** 20;

/** What a checksum begins with: SHA-256 of each MiB, of which the first 16 bytes are kept. */
const kind = 'sha256-mib:';

/** A file as it was written. */
export interface Fingerprint {
  readonly bytes: number;
  /** As {@link fingerprint} gives it; null where nobody took one. */
  readonly checksum: string | null;
}

/** The length and the checksum of a file: the digests of its blocks, in order, as hexadecimal text. @throws MarqueError STORE_PATH. */
export async function fingerprint(path: string): Promise<{ readonly bytes: number; readonly checksum: string }> {
  let bytes = 0;
  const digests: string[] = [];
  await reading(path, async () => {
    for await (const block of blocksOf(path)) {
      bytes += block.length;
      digests.push(digestOf(block));
    }
  });
  return { bytes, checksum: `${kind}${digests.join('.')}` };
}

/**
 * What is wrong with a file, with the offset in bytes; null where it is as it was written. A length is all that can be checked of
 * a file without a checksum. Rejects with the system's error where it cannot be read.
 */
export async function damageIn(path: string, { bytes, checksum }: Fingerprint): Promise<string | null> {
  const expected = checksum?.startsWith(kind) === true ? checksum.slice(kind.length).split('.') : null;
  let offset = 0;
  let index = 0;
  for await (const block of blocksOf(path)) {
    const last = Math.min(offset + block.length, bytes);
    const isWhole = offset + block.length <= bytes && (block.length === blockBytes || offset + block.length === bytes);
    if (isWhole && expected !== null && digestOf(block) !== expected[index]) {
      return `bytes ${offset} to ${last - 1} are not what was written there`;
    }
    offset += block.length;
    index++;
  }
  if (offset === bytes) return null;
  return offset < bytes ? `it ends at byte ${offset} of ${bytes}` : `it goes on after byte ${bytes}, where it ended`;
}

/** A file is read in one go, and synchronously, up to this size: that takes less than a millisecond, a tenth of it for the smallest. */
export const smallFile = 2 ** 18;

/**
 * Whether a small file is as it was written, without a word about what is wrong: false as well where it cannot be read, or is not small.
 * Synchronous, since a thousand files cost less than the trips to another thread and back.
 *
 * @param buffer longer than a small file; what is in it does not matter
 */
export function isIntact(path: string, { bytes, checksum }: Fingerprint, buffer: Uint8Array): boolean {
  try {
    if (checksum === null) return statSync(path).size === bytes;
    if (bytes > smallFile) return false;
    const file = openSync(path, 'r');
    try {
      const length = readSync(file, buffer, 0, bytes + 1, 0); // one more, to see whether it goes on
      return length === bytes && checksum === `${kind}${digestOf(buffer.subarray(0, bytes))}`;
    } finally {
      closeSync(file);
    }
  } catch {
    return false; // damageIn says what it is
  }
}

/** Digest of a text or of bytes that are at hand: 32 hexadecimal digits. */
export function digestOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}

/** Whether something is a checksum of a kind that this version knows. Throws nothing, whatever it is. */
export function isChecksum(value: unknown): value is string {
  return typeof value === 'string' && /^sha256-mib:[0-9a-f]{32}(?:\.[0-9a-f]{32})*$/.test(value);
}

async function* blocksOf(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const buffer = new Uint8Array(blockBytes);
    for (;;) {
      let filled = 0;
      while (filled < blockBytes) {
        const { bytesRead } = await file.read(buffer, filled, blockBytes - filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      if (filled > 0) yield buffer.subarray(0, filled);
      if (filled < blockBytes) return;
    }
  } finally {
    await file.close();
  }
}
