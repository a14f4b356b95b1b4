import { idText, where } from './compile.ts';
import { type Extent, extentOfSids } from './extent.ts';
import type { TableName } from './schema.ts';
import type { ArtifactChoice, EncodedArtifact, Result, ScopeRecord, Statement, Status, UnreadArtifact } from './store.ts';
import { Values } from './values.ts';

/** One state of a store, as far as scopes are read from it. */
export interface ScopeTables {
  /** Runs statements that depend on nothing beyond the extent. */
  readonly run: (extent: Extent, statements: readonly Statement[]) => Promise<readonly Result[]>;
  /** Whether a table can have rows within an extent; where it cannot, it is not read. */
  readonly mayHold?: (table: TableName, extent: Extent) => boolean;
}

/** Which part of some scopes is read. */
export interface ScopeReading {
  readonly artifacts: ArtifactChoice;
  /** At most about so many bytes of artifacts: then only as many of the first scopes as have them, but at least one. */
  readonly bytes: number;
}

/** So few scopes are read whatever they weigh: to ask what that is would take longer. */
const fewScopes = 64;

/** The scopes with these sids, in this order, with one SELECT a table. */
export async function readScopes(
  tables: ScopeTables,
  sids: readonly number[],
  { artifacts, bytes }: ScopeReading,
): Promise<readonly ScopeRecord[]> {
  if (sids.length === 0) return [];
  const isWeighed = bytes < Number.POSITIVE_INFINITY && sids.length > fewScopes && artifacts !== false;
  const read = isWeighed ? await lightest(tables, sids, bytes) : sids;
  const [scopes = nothing, tags = nothing, logs = nothing, ...kept] = await ask(tables, read, readings(artifacts));
  const records = recordsOf(scopes);
  const [, contents = [], values = []] = tags.values as [unknown, string[]?, (number | null)[]?];
  eachGroup(tags, records, (record, from, to) => {
    record.tags = made(from, to, (row) => ({ content: contents[row] as string, value: values[row] as number | null }));
  });
  const [, levels = [], messages = [], times = []] = logs.values as [unknown, string[]?, string[]?, number[]?];
  eachGroup(logs, records, (record, from, to) => {
    record.logs = made(from, to, (row) => ({
      level: levels[row] as string,
      message: messages[row] as string,
      at: times[row] as number,
    }));
  });
  for (const result of kept) addArtifacts(result, records);
  return inOrder(read, records);
}

/** `flow.step.run.path` of the scopes with these sids, in this order. */
export async function readIds(tables: ScopeTables, sids: readonly number[]): Promise<readonly string[]> {
  if (sids.length === 0) return [];
  const [result = nothing] = await ask(tables, sids, [{ table: 'scopes', columns: `sid, ${idText}` }]);
  const [keys = [], ids = []] = result.values as [number[]?, string[]?];
  const found = new Map<number, string>();
  for (let row = 0; row < keys.length; row++) found.set(keys[row] as number, ids[row] as string);
  return inOrder(sids, found);
}

/** What is read of a table. Children come by sid, then in their order. */
interface Reading {
  readonly table: TableName;
  readonly columns: string;
  /** Of artifacts only those with these names. */
  readonly names?: readonly string[];
}

/** Scopes, tags, logs, artifacts: their values where all of them are fetched, else their names, and then the values of some. */
function readings(artifacts: ArtifactChoice): readonly Reading[] {
  const values = 'sid, name, codec, text, bytes';
  const all: Reading[] = [
    {
      table: 'scopes',
      columns: `sid, flow, run, step, path, attempt, parent_sid, ref_sid, status, epoch_ms(started_at), duration_ms,
    error_message, error_stack, params`,
    },
    { table: 'tags', columns: 'sid, content, value' },
    { table: 'logs', columns: 'sid, level, message, epoch_ms(logged_at)' },
    { table: 'artifacts', columns: artifacts === true ? values : 'sid, name' },
  ];
  if (typeof artifacts === 'boolean' || artifacts.length === 0) return all;
  return [...all, { table: 'artifacts', columns: values, names: artifacts }];
}

/** The answers to all, those that nothing can be in left out of the question. */
async function ask(
  { run, mayHold }: ScopeTables,
  sids: readonly number[],
  readings: readonly Reading[],
): Promise<readonly Result[]> {
  const extent = extentOfSids(sids);
  const asked = readings.filter(({ table }) => mayHold?.(table, extent) ?? true);
  if (asked.length === 0) return readings.map(() => nothing);
  const statements = asked.map((reading) => statementOf(reading, extent));
  const results = await run({ ...extent, tables: new Set(asked.map(({ table }) => table)) }, statements);
  return readings.map((one) => results[asked.indexOf(one)] ?? nothing);
}

const nothing: Result = { columns: [], values: [], rowCount: 0 };

function statementOf({ table, columns, names }: Reading, extent: Extent): Statement {
  const values = new Values();
  const predicates = sidPredicates(extent, values);
  if (names !== undefined) predicates.push(`name IN (SELECT unnest(${values.bind(names)}::VARCHAR[]))`);
  const order = table === 'scopes' ? '' : ' ORDER BY sid, seq';
  return { text: `SELECT ${columns} FROM raw.${table}${where(predicates)}${order}`, values: values.bound };
}

/**
 * From the first sid to the last, which prunes files and row groups; and, where they are several ranges, among those. The database counts
 * these out: what a search has found is mostly dense, and to hand over each sid would take longer than to read its scope.
 */
function sidPredicates({ sids }: Extent, values: Values): string[] {
  const ranges = sids ?? [];
  const [first, last] = [ranges[0]?.first ?? 0, ranges.at(-1)?.last ?? -1];
  const hull = `sid BETWEEN ${values.bind(BigInt(first))} AND ${values.bind(BigInt(last))}`;
  if (ranges.length <= 1) return [hull];
  const firsts = values.bind(ranges.map((range) => BigInt(range.first)));
  const ends = values.bind(ranges.map((range) => BigInt(range.last + 1)));
  const each = `SELECT unnest(${firsts}::BIGINT[]) AS first, unnest(${ends}::BIGINT[]) AS beyond`;
  return [hull, `sid IN (SELECT unnest(range(first, beyond)) FROM (${each}))`];
}

/** As many of the first sids as have artifacts of so many bytes together, but some in any case. */
async function lightest(tables: ScopeTables, sids: readonly number[], bytes: number): Promise<readonly number[]> {
  const columns = 'sid, coalesce(strlen(text), 0) + coalesce(octet_length(bytes), 0)';
  const [result = nothing] = await ask(tables, sids, [{ table: 'artifacts', columns }]);
  const [owners = [], weights = []] = result.values as [number[]?, number[]?];
  const weightOf = new Map<number, number>();
  for (let row = 0; row < owners.length; row++) {
    const sid = owners[row] as number;
    weightOf.set(sid, (weightOf.get(sid) ?? 0) + (weights[row] as number));
  }
  let left = bytes;
  const end = sids.findIndex((sid) => (left -= weightOf.get(sid) ?? 0) < 0);
  return end === -1 ? sids : sids.slice(0, Math.max(1, end));
}

/** A record whose children are still to come. */
type Growing = { -readonly [Field in keyof ScopeRecord]: ScopeRecord[Field] };

/** The columns of `raw.scopes` that are read, in their order. */
type ScopeColumns = { readonly [Column in keyof ScopeFields]: readonly ScopeFields[Column][] } & readonly unknown[];

type ScopeFields = [
  sid: number,
  flow: string,
  run: string,
  step: string,
  path: string,
  attempt: number,
  parentSid: number | null,
  refSid: number | null,
  status: Status,
  startedAt: number,
  durationMs: number,
  errorMessage: string | null,
  errorStack: string | null,
  params: string | null,
];

const none: readonly never[] = Object.freeze([]);

/** By sid. */
function recordsOf({ values, rowCount }: Result): ReadonlyMap<number, Growing> {
  const [sids, flows, runs, steps, paths, attempts, parents, references, statuses, starts, durations, messages, stacks, params] =
    values as unknown as ScopeColumns;
  const records = new Map<number, Growing>();
  for (let row = 0; row < rowCount; row++) {
    const sid = sids[row] as number;
    records.set(sid, {
      sid,
      flow: flows[row] as string,
      run: runs[row] as string,
      step: steps[row] as string,
      path: paths[row] as string,
      attempt: attempts[row] as number,
      parentSid: parents[row] as number | null,
      refSid: references[row] as number | null,
      status: statuses[row] as Status,
      startedAt: starts[row] as number,
      durationMs: durations[row] as number,
      errorMessage: messages[row] as string | null,
      errorStack: stacks[row] as string | null,
      params: params[row] as string | null,
      tags: none,
      logs: none,
      artifacts: none,
    });
  }
  return records;
}

/** Visits the rows of children, which come by sid: those of one scope together, up to `to`. */
function eachGroup(
  { values, rowCount }: Result,
  records: ReadonlyMap<number, Growing>,
  visit: (record: Growing, from: number, to: number) => void,
): void {
  const sids = values[0] as readonly number[];
  for (let from = 0, to = 0; from < rowCount; from = to) {
    while (to < rowCount && sids[to] === sids[from]) to++;
    const record = records.get(sids[from] as number);
    if (record !== undefined) visit(record, from, to);
  }
}

/** Not by `push`, which makes room for seventeen. */
function made<T>(from: number, to: number, make: (row: number) => T): T[] {
  const list = new Array<T>(to - from);
  for (let row = from; row < to; row++) list[row - from] = make(row);
  return list;
}

function addArtifacts(result: Result, records: ReadonlyMap<number, Growing>): void {
  const [, names = [], codecs, texts, bytes] = result.values;
  eachGroup(result, records, (record, from, to) => {
    const some = made(from, to, (row) => {
      const [codec = null, text = null, data = null] = [codecs?.[row], texts?.[row], bytes?.[row]];
      return { name: names[row], codec, text, bytes: data } as EncodedArtifact | UnreadArtifact;
    });
    const all = record.artifacts.length === 0 ? some : [...record.artifacts, ...some];
    record.artifacts = all.length === 1 ? all : latestByName(all);
  });
}

/** Of artifacts with the same name the last one, where the first of them stood. */
function latestByName<T extends { readonly name: string }>(artifacts: readonly T[]): readonly T[] {
  return [...new Map(artifacts.map((artifact) => [artifact.name, artifact])).values()];
}

function inOrder<T>(sids: readonly number[], found: ReadonlyMap<number, T>): readonly T[] {
  const all: T[] = [];
  for (const sid of sids) {
    const one = found.get(sid);
    if (one !== undefined) all.push(one);
  }
  return all;
}
