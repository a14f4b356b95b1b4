import { join } from 'node:path';
import type { TableName } from '../schema.ts';
import type { ClaimedRun } from './claim-check.ts';
import type { LogAudit } from './log-audit.ts';
import type { Loss } from './repair.ts';
import { emptySegment } from './segment.ts';

/**
 * A table of which nothing was left, neither log nor segments, although something had been written to it. The audits are those before its log
 * was put together again, and after.
 */
export function lostTable(
  folder: string,
  { table, entries, checkpoint, faults }: LogAudit,
  { [table]: now, scopes }: Readonly<Record<TableName, LogAudit>>,
  claims: ReadonlyMap<number, ClaimedRun>,
): readonly Loss[] {
  const wasWritten = faults.some(({ version }) => version > 0) || now.state.batches.size > 0;
  const hasRows = now.state.capture().segments.some(({ name }) => name !== emptySegment);
  if (entries.size > 0 || checkpoint !== null || hasRows || !wasWritten) return [];
  const uuids = new Set(Array.from(scopes.state.batches.keys(), (writer) => writer.slice(0, writer.lastIndexOf('/'))));
  const runs = [...claims.values()].filter(({ uuid }) => uuids.has(uuid)).map(({ slug }) => slug);
  const what = `its log and its segments are gone, and with them all ${table}`;
  return [{ table, file: join(folder, table), rows: null, runs, from: null, to: null, what }];
}
