import { cpSync, existsSync } from 'node:fs';
import * as marque from '../../src/index.ts';
import { openStore as open, type Scenario, scenariosOf } from './scenarios.mjs';
import { heldBy } from './work.mjs';

export { fillLog } from './scenarios.mjs';
export type { Scenario };

export const scenarios = scenariosOf(marque);

/** A store that is flushed only when a run ends, and on demand. */
export function openStore(folder: string): marque.ParquetStorage {
  return open(marque, folder);
}

/** A new store in the state before a scenario, closed. */
export async function prepare(scenario: Scenario, folder: string): Promise<void> {
  await using storage = openStore(folder);
  await scenario.prepare(storage, folder);
}

/** What a store holds as a new process finds it: the keys of its scopes, each of them whole and there once. */
export async function heldIn(folder: string): Promise<string[]> {
  await using storage = openStore(folder);
  return await heldBy(storage);
}

/** Nothing happens where there is no store. */
export function copyStore(from: string, to: string): void {
  if (existsSync(from)) cpSync(from, to, { recursive: true });
}
