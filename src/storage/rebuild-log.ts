import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TableName } from '../schema.ts';
import type { BatchId } from '../store.ts';
import { damageIn } from './checksum.ts';
import { type DeltaActions, parseActions } from './delta-actions.ts';
import { addOf, firstEntry, rebuiltEntry, removeOf } from './delta-entry.ts';
import { isThere } from './files.ts';
import { batchesOnlyIn, type LogAudit, type LogFault, sumOf } from './log-audit.ts';
import { coveredSegments } from './lost-merge.ts';
import { childTables } from './scope-rows.ts';
import { batchOf, emptySegment, isMergedName, type SegmentFile } from './segment.ts';
import { unreadRows } from './segment-faults.ts';
import type { SegmentWriter } from './segment-writer.ts';

/** What is put in the place of a version that was lost. */
export interface RebuiltVersion {
  readonly fault: LogFault;
  readonly text: string;
  /** What was decided, for people. */
  readonly decision: string;
  /** Segments that the version named and that are not as it said. */
  readonly lost: readonly SegmentFile[];
}

/** What a version is to say. */
interface Contents {
  added: SegmentFile[];
  removed: Pick<SegmentFile, 'name' | 'bytes'>[];
  batches: BatchId[];
  lost: SegmentFile[];
  decisions: string[];
}

/** What the versions of a table that were lost said, as far as that is certain. */
export async function rebuildLog(
  audits: Readonly<Record<TableName, LogAudit>>,
  table: TableName,
  writer: SegmentWriter,
): Promise<readonly RebuiltVersion[]> {
  const audit = audits[table];
  const faults = audit.faults.filter(({ kind }) => kind !== 'unreadable');
  if (faults.length === 0) return [];
  const contents = new Map(faults.map(({ version }) => [version, nothing()]));
  const { checkpoint } = audit;
  const below = faults.filter(({ version }) => checkpoint !== null && version <= checkpoint.version);
  const above = faults.filter((fault) => !below.includes(fault));
  if (checkpoint !== null && below.length > 0) fillFromCheckpoint(audit, contents, below, checkpoint);
  if (above.length > 0) await fillFromFiles(audits, table, contents, above, writer);
  return await Promise.all(
    faults.map(async (fault) => {
      const { lost, decisions, ...said } = contents.get(fault.version) as Contents;
      return { fault, lost, decision: decisions.join('; '), text: await textOf(audit, fault.version, said, writer) };
    }),
  );
}

/** The last one that is missing says all by which the checkpoint differs from the versions that are there: with it they add up to it. */
function fillFromCheckpoint(
  audit: LogAudit,
  contents: ReadonlyMap<number, Contents>,
  faults: readonly LogFault[],
  checkpoint: NonNullable<LogAudit['checkpoint']>,
): void {
  const rest = sumOf(audit, checkpoint.version);
  for (const { version } of faults)
    contents.get(version)?.decisions.push(`what it did is known from the checkpoint of version ${checkpoint.version}`);
  const last = contents.get((faults.at(-1) as LogFault).version) as Contents;
  last.added.push(...checkpoint.capture().segments.filter(({ name }) => !rest.isLive(name)));
  last.removed.push(...rest.capture().segments.filter(({ name }) => !checkpoint.isLive(name)));
  for (const [writer, number] of checkpoint.batches) if (!rest.has({ writer, number })) last.batches.push({ writer, number });
}

/** What is left of the versions, and segments on the disk that no other version names. All of it goes into the first that is missing. */
async function fillFromFiles(
  audits: Readonly<Record<TableName, LogAudit>>,
  table: TableName,
  contents: ReadonlyMap<number, Contents>,
  faults: readonly LogFault[],
  writer: SegmentWriter,
): Promise<void> {
  const audit = audits[table];
  const { folder } = audit.log;
  for (const fault of faults) {
    if (fault.kind === 'damaged') await salvage(audit, fault, contents.get(fault.version) as Contents);
  }
  const said = faults.map(({ version }) => contents.get(version) as Contents);
  const first = said[0] as Contents;
  const named = namesIn(audit, said);
  const found = await findSegments(folder, named);
  const batches = new Set([...audit.entries.values(), ...said].flatMap((entry) => entry.batches.map(keyOf)));
  for (const [key, { id, name }] of found) {
    if (batches.has(key) || !(table === 'scopes' ? await isWhole(audits, id) : audits.scopes.state.has(id))) continue;
    const why = await unreadRows(table, { name, rows: null }, writer);
    if (why !== null) {
      first.decisions.push(`${name}, which was to hold batch ${id.number} of ${id.writer}, cannot be read (${why})`);
      continue;
    }
    first.added.push(await writer.describe(table, name));
    first.batches.push(id);
    batches.add(key);
    first.decisions.push(
      `${name} was found, which holds batch ${id.number} of ${id.writer}; it can be read, and has a new checksum`,
    );
  }
  for (const each of said) each.lost = each.lost.filter((one) => !first.added.some((other) => isSameBatch(one, other)));
  if (table === 'scopes') {
    for (const id of await batchesWithoutScopes(audits)) {
      if (batches.has(keyOf(id))) continue;
      first.batches.push(id);
      first.decisions.push(`batch ${id.number} of ${id.writer} is in the other tables`);
    }
  }
  await settleMerges(audit, said, named, writer);
  for (const each of said) if (each.decisions.length === 0) each.decisions.push('nothing is left of what it did');
}

/** What can still be read of a damaged version: lines that name segments that are there and fit, with their batches. */
async function salvage({ table, log }: LogAudit, { file }: LogFault, contents: Contents): Promise<void> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.trim() !== '');
  const kept = lines.flatMap((line): DeltaActions[] => {
    try {
      return [parseActions(table, `${line}\n`, file)];
    } catch {
      return []; // this is the line, or one of those, that makes it damaged
    }
  });
  const removed = kept.flatMap((actions) => actions.removed);
  const areThere = await Promise.all(removed.map(({ name }) => isThere(join(log.folder, name))));
  if (removed.length > 0 && areThere.every(Boolean)) {
    contents.decisions.push('it replaced segments that are all there, and does so no more');
    return;
  }
  let whole = 0;
  for (const segment of kept.flatMap((actions) => actions.added)) {
    if (segment.name === emptySegment) continue;
    const damage =
      segment.checksum === null ? 'no checksum' : await damageIn(join(log.folder, segment.name), segment).catch(() => 'gone');
    if (damage === null) {
      contents.added.push(segment);
      const id = batchOf(segment.name);
      if (id !== null) contents.batches.push(id);
      whole++;
    } else if (damage === 'gone' || segment.checksum !== null) contents.lost.push(segment);
  }
  if (whole > 0) {
    contents.removed.push(...removed.map(({ name }) => ({ name, bytes: 0 })));
    contents.decisions.push(`${whole} of the segments that it names are there and fit`);
  }
}

/** Segments on the disk that no version names, one for each batch: several attempts at it hold the same rows. */
async function findSegments(
  folder: string,
  named: ReadonlySet<string>,
): Promise<ReadonlyMap<string, { id: BatchId; name: string }>> {
  const found = new Map<string, { id: BatchId; name: string; at: number }>();
  for (const name of (await readdir(folder)).sort()) {
    const id = batchOf(name);
    if (id === null || named.has(name)) continue;
    const { mtimeMs: at } = await stat(join(folder, name));
    const other = found.get(keyOf(id));
    if (other === undefined || other.at < at) found.set(keyOf(id), { id, name, at });
  }
  return found;
}

/** Whether a batch was committed, or can be: what it wrote into other tables is there. Otherwise its scopes would not be whole. */
async function isWhole(audits: Readonly<Record<TableName, LogAudit>>, id: BatchId): Promise<boolean> {
  if (audits.runs.state.has(id)) return true;
  for (const table of childTables) {
    const { state, faults, log } = audits[table];
    if (state.has(id) || faults.length > 0) continue;
    const names = await readdir(log.folder);
    if (names.some((name) => keyOf(batchOf(name)) === keyOf(id))) return false;
  }
  return true;
}

/** Batches that others have and `scopes` has not, none of which had a scope, or whose scopes are lost. */
async function batchesWithoutScopes(audits: Readonly<Record<TableName, LogAudit>>): Promise<readonly BatchId[]> {
  const ids = new Map<string, BatchId>();
  for (const id of batchesOnlyIn(audits.runs.state, audits.scopes.state)) ids.set(keyOf(id), id);
  for (const table of childTables) {
    for (const [writer, number] of audits[table].state.batches) {
      const id = { writer, number };
      if (!audits.scopes.state.has(id) && (await isWhole(audits, id))) ids.set(keyOf(id), id);
    }
  }
  return [...ids.values()];
}

/** Segments whose rows stand in others by a merge that is lost must not count beside them. */
async function settleMerges(
  audit: LogAudit,
  said: readonly Contents[],
  named: ReadonlySet<string>,
  writer: SegmentWriter,
): Promise<void> {
  const { table, log, entries } = audit;
  const added = new Map([...audit.state.capture().segments, ...said.flatMap((each) => each.added)].map((one) => [one.name, one]));
  for (const { name } of said.flatMap((each) => each.removed)) added.delete(name);
  const unnamed: SegmentFile[] = [];
  for (const name of (await readdir(log.folder)).sort()) {
    const isCandidate =
      isMergedName(name) && !named.has(name) && (await unreadRows(table, { name, rows: null }, writer)) === null;
    if (isCandidate) unnamed.push(await writer.describe(table, name));
  }
  const covered = await coveredSegments({ table, folder: log.folder, live: [...added.values()], unnamed, entries }, writer);
  const last = said.at(-1) as Contents; // after whatever added the segments that it merged
  last.added.push(...covered.adopted);
  last.removed.push(...covered.removed);
  for (const { name } of covered.adopted)
    last.decisions.push(`${name} was found, which holds the rows of segments that have gone`);
  if (covered.removed.length > 0) last.decisions.push(`${covered.removed.length} segments were merged into others by it`);
  const unused = unnamed.filter(({ name }) => !covered.adopted.some((one) => one.name === name));
  if (unused.length > 0) last.decisions.push(`${unused.length} merged segments that no version names are left where they are`);
}

function namesIn({ entries, checkpoint }: LogAudit, said: readonly Contents[]): ReadonlySet<string> {
  const named = new Set(
    [...(checkpoint?.capture().segments ?? []), ...said.flatMap((each) => each.added)].map(({ name }) => name),
  );
  for (const { added, removed } of entries.values()) for (const { name } of [...added, ...removed]) named.add(name);
  return named;
}

/** The text of a version. The first one makes the table. */
async function textOf(
  { table, entries, checkpoint }: LogAudit,
  version: number,
  { added, removed, batches }: Pick<Contents, 'added' | 'removed' | 'batches'>,
  writer: SegmentWriter,
): Promise<string> {
  const now = Date.now();
  const actions = [
    ...batches.map((id) => ({ txn: { appId: id.writer, version: id.number, lastUpdated: now } })),
    ...removed.map((segment) => removeOf(segment, false, now)),
    ...added.map((segment) => addOf(table, segment, true, now)),
  ];
  if (version > 0) return rebuiltEntry(actions, {}, now);
  const [protocol, metaData] = firstEntry(table, await writer.writeEmpty(table), now)
    .split('\n')
    .slice(0, 2)
    .map((line) => JSON.parse(line) as object);
  const isOld = [...entries.values()].some(({ isOurs, isSigned }) => isOurs && !isSigned);
  const described =
    checkpoint !== null && 'schemaString' in checkpoint.metaData ? { metaData: checkpoint.metaData } : (metaData as object);
  const empty = added.some(({ name }) => name === emptySegment)
    ? []
    : [addOf(table, await writer.describe(table, emptySegment), true, now)];
  return rebuiltEntry([protocol as object, isOld ? ofFirstFormat(described) : described, ...empty, ...actions], {}, now);
}

/** Versions without checksums follow it, as the first format had them. */
function ofFirstFormat(action: object): object {
  const { metaData } = action as { readonly metaData: { readonly configuration: object } };
  return { metaData: { ...metaData, configuration: { ...metaData.configuration, 'marque.formatVersion': '1' } } };
}

/** Of a line that is damaged the name may be: then the keys of its rows tell. */
function isSameBatch(one: SegmentFile, other: SegmentFile): boolean {
  const [a, b] = [one.stats['sid'], other.stats['sid']];
  return (
    one.name === other.name ||
    (a !== undefined && b !== undefined && a.min === b.min && a.max === b.max && one.rows === other.rows)
  );
}

function nothing(): Contents {
  return { added: [], removed: [], batches: [], lost: [], decisions: [] };
}

function keyOf(id: BatchId | null): string {
  return id === null ? '' : `${id.writer} ${id.number}`;
}
