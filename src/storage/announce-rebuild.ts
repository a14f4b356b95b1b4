import { rebuildingEntry } from './delta-entry.ts';
import type { DeltaLog } from './delta-log.ts';
import { putIfAbsent } from './files.ts';
import type { LogFault } from './log-audit.ts';

/**
 * Appends a version that says which versions of a log are about to be replaced, after all that are there and those that are lost. Processes
 * that have applied one of them when it was whole would go on from there, and so from another table than everybody else's. They meet this
 * version before their next answer or commit, and read the log from its beginning; until the lost ones are replaced, that fails. So
 * nothing is added either that the replacements could not take into account, as long as the log is looked at after this.
 */
export async function announceRebuild(log: DeltaLog, faults: readonly LogFault[]): Promise<void> {
  const lost = faults.map(({ version }) => version);
  for (;;) {
    const next = Math.max(await log.highestVersion(), ...lost) + 1;
    if (await putIfAbsent(log.pathOf(next), rebuildingEntry(lost, Date.now()))) return;
  }
}
