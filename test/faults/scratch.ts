import { accessSync, constants, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/**
 * A folder for all tests of a file, removed after the last: in memory where the system has such a place, since hundreds of stores are
 * written and nothing here asks the disk whether it keeps its word. A real path, without links.
 */
export function scratchFolder(): string {
  const folder = realpathSync(mkdtempSync(join(inMemory() ?? tmpdir(), 'marque-faults-')));
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

function inMemory(): string | null {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return null;
  }
}
