import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, onTestFinished } from 'vitest';

/** A fresh folder that is removed when the running test has finished. */
export function temporaryFolder(): string {
  const folder = freshFolder();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A fresh folder for all tests of a file, removed after the last. */
export function suiteFolder(): string {
  const folder = freshFolder();
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function freshFolder(): string {
  return mkdtempSync(join(tmpdir(), 'marque-test-'));
}
