import { type Extent, extentOfSids } from './extent.ts';
import type { TableName } from './schema.ts';
import type { ArtifactChoice, EncodedArtifact, Result, ScopeRecord, Statement, Status, UnreadArtifact } from './store.ts';
import type { Tag } from './tag.ts';

/** One state of a store, as far as scopes are read from it. */
export interface ScopeTables {
  /** Runs statements that depend on nothing beyond the extent. */
  readonly run: (extent: Extent, statements: readonly Statement[]) => Promise<readonly Result[]>;
  /** Whether a table can have rows within an extent; where it cannot, it is not read. */
  readonly mayHold?: (table: TableName, extent: Extent) => boolean;
}

type Log = ScopeRecord['logs'][number];

/** The scopes with these sids, in this order, with one SELECT a table. */
export async function readScopes(
  tables: ScopeTables,
  sids: readonly number[],
  artifacts: ArtifactChoice,
): Promise<readonly ScopeRecord[]> {
  if (sids.length === 0) return [];
  const results = await ask(tables, sids, readings(sids, artifacts));
  const [scopes, tags, logs, names, values] = results as readonly [Result, Result, Result, Result, Result?];
  const tagsOf = grouped(tags, ([, content, value]) => ({ content, value }) as Tag);
  const logsOf = grouped(logs, ([, level, message, at]) => ({ level, message, at }) as Log);
  const namesOf = grouped(names, ([, name, codec, text, bytes]) =>
    artifacts === true
      ? ({ name, codec, text, bytes } as EncodedArtifact)
      : ({ name, codec: null, text: null, bytes: null } as UnreadArtifact),
  );
  const valuesOf = grouped(
    values ?? nothing,
    ([, name, codec, text, bytes]) => ({ name, codec, text, bytes }) as EncodedArtifact,
  );
  const found = new Map<number, ScopeRecord>();
  for (const row of rowsOf(scopes)) {
    const sid = row[0] as number;
    found.set(sid, {
      ...scopeOf(row),
      tags: tagsOf.get(sid) ?? [],
      logs: logsOf.get(sid) ?? [],
      artifacts: latestByName([...(namesOf.get(sid) ?? []), ...(valuesOf.get(sid) ?? [])]),
    });
  }
  return sids.flatMap((sid) => found.get(sid) ?? []);
}

/** `flow.step.run.path` of the scopes with these sids, in this order. */
export async function readIds(tables: ScopeTables, sids: readonly number[]): Promise<readonly string[]> {
  if (sids.length === 0) return [];
  const [result] = await ask(tables, sids, [reading(sids, 'scopes', `sid, concat_ws('.', flow, step, run, path)`, '')]);
  const [keys = [], ids = []] = (result as Result).values as [number[]?, string[]?];
  const found = new Map(keys.map((sid, row) => [sid, ids[row] as string]));
  return sids.flatMap((sid) => found.get(sid) ?? []);
}

interface Reading extends Statement {
  readonly table: TableName;
}

/** The answers to all, those that nothing can be in left out of the question. */
async function ask({ run, mayHold }: ScopeTables, sids: readonly number[], all: readonly Reading[]): Promise<readonly Result[]> {
  const extent = extentOfSids(sids);
  const asked = all.filter(({ table }) => mayHold?.(table, extent) ?? true);
  const results = await run({ ...extent, tables: new Set(asked.map(({ table }) => table)) }, asked);
  return all.map((one) => results[asked.indexOf(one)] ?? nothing);
}

const nothing: Result = { columns: [], values: [], rowCount: 0 };

/** Scopes, tags, logs, the names of artifacts with the values if all of them are fetched, and the values if only some are. */
function readings(sids: readonly number[], artifacts: ArtifactChoice): readonly Reading[] {
  const scopeColumns = `sid, flow, run, step, path, attempt, parent_sid, ref_sid, status, epoch_ms(started_at), duration_ms,
    error_message, error_stack, params`;
  const values = 'sid, name, codec, text, bytes';
  const all = [
    reading(sids, 'scopes', scopeColumns, ''),
    reading(sids, 'tags', 'sid, content, value', ' ORDER BY sid, seq'),
    reading(sids, 'logs', 'sid, level, message, epoch_ms(logged_at)', ' ORDER BY sid, seq'),
    reading(sids, 'artifacts', artifacts === true ? values : 'sid, name', ' ORDER BY sid, seq'),
  ];
  if (typeof artifacts === 'boolean' || artifacts.length === 0) return all;
  return [
    ...all,
    reading(sids, 'artifacts', values, ' AND name IN (SELECT unnest($4::VARCHAR[])) ORDER BY sid, seq', [artifacts]),
  ];
}

/** The range prunes files and row groups, which the list does not. */
function reading(
  sids: readonly number[],
  table: TableName,
  columns: string,
  rest: string,
  more: Statement['values'] = [],
): Reading {
  const values = [sids.map(BigInt), BigInt(least(sids)), BigInt(greatest(sids)), ...more];
  const text = `SELECT ${columns} FROM raw.${table} WHERE sid BETWEEN $2 AND $3 AND sid IN (SELECT unnest($1::BIGINT[]))${rest}`;
  return { table, text, values };
}

function scopeOf(row: readonly unknown[]): Omit<ScopeRecord, 'tags' | 'logs' | 'artifacts'> {
  const [
    sid,
    flow,
    run,
    step,
    path,
    attempt,
    parentSid,
    refSid,
    status,
    startedAt,
    durationMs,
    errorMessage,
    errorStack,
    params,
  ] = row;
  return {
    sid: sid as number,
    flow: flow as string,
    run: run as string,
    step: step as string,
    path: path as string,
    attempt: attempt as number,
    parentSid: parentSid as number | null,
    refSid: refSid as number | null,
    status: status as Status,
    startedAt: startedAt as number,
    durationMs: durationMs as number,
    errorMessage: errorMessage as string | null,
    errorStack: errorStack as string | null,
    params: params as string | null,
  };
}

/** The rows of a result by their first column, a sid, in the order of the result. */
function grouped<T>(result: Result, make: (row: readonly unknown[]) => T): ReadonlyMap<number, readonly T[]> {
  const groups = new Map<number, T[]>();
  for (const row of rowsOf(result)) {
    const sid = row[0] as number;
    const group = groups.get(sid);
    if (group === undefined) groups.set(sid, [make(row)]);
    else group.push(make(row));
  }
  return groups;
}

/** Of artifacts with the same name the last one, where the first of them stood. */
function latestByName<T extends { readonly name: string }>(artifacts: readonly T[]): readonly T[] {
  return [...new Map(artifacts.map((artifact) => [artifact.name, artifact])).values()];
}

function* rowsOf(result: Result): Generator<readonly unknown[]> {
  for (let row = 0; row < result.rowCount; row++) yield result.values.map((column) => column[row]);
}

/** Not `Math.min(...sids)`: a call takes only so many arguments. */
function least(sids: readonly number[]): number {
  return sids.reduce((a, b) => Math.min(a, b));
}

function greatest(sids: readonly number[]): number {
  return sids.reduce((a, b) => Math.max(a, b));
}
