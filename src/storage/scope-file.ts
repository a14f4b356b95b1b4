import { columnsOf, type ColumnType, type Row, type TableName } from '../schema.ts';
import { ordinalOf, sidOf } from '../sid.ts';
import { type FileContent, layOut, parseContent } from './json-layout.ts';
import { type ChildRows, type ChildTable, childTables, type ScopeRows } from './scope-rows.ts';

/**
 * The JSON form of a scope, and that of a run: text a person can read, a line for each tag, artifact or log, from which every row
 * comes back exactly. What JSON cannot say is marked by a type that the column does not have otherwise:
 *
 * - numbers: NaN, the infinities and -0 are strings, `"NaN"`
 * - times: ISO 8601 in UTC
 * - bytes: `{"base64": "…"}`
 * - text that is JSON itself, where writing it out keeps it to the letter: `{"json": …}`
 */

/** What a run's own file holds: its events, what belongs to the run itself, and how far its writers have come. */
export interface RunRows {
  readonly number: number;
  readonly flow: string;
  readonly run: string;
  /** By writer, the last batch of which the rows are in this file. */
  readonly written: Readonly<Record<string, number>>;
  readonly events: readonly Row<'runs'>[];
  readonly children: ChildRows;
}

const jsonColumns: ReadonlySet<string> = new Set(['params', 'pushes', 'text', 'details']);

/** Columns of a child row that say whose child it is, and are said once for the whole file. */
const placeColumns: ReadonlySet<string> = new Set(['sid', 'flow', 'run', 'step']);
const none: ReadonlySet<string> = new Set();

/** The text of a scope's file, in pieces. Throws an Error while it is iterated where a row is too long for JSON. */
export function encodeScope({ scope, children }: ScopeRows): Iterable<string> {
  return layOut({ scope: encodeRow('scopes', scope, none), ...encodeChildren(children) });
}

/** Throws an Error saying what is wrong where a file cannot be what `encodeScope` wrote for this ordinal. */
export function decodeScope(content: FileContent, ordinal: number): ScopeRows {
  const file = objectIn('the file', parseContent(content));
  const scope = decodeRow('scopes', file.scope, {});
  const { sid, flow, run, step } = scope;
  if (sid === null || ordinalOf(sid) !== ordinal) throw new Error(`sid ${sid} belongs into another file`);
  return { scope, children: decodeChildren(file, { sid, flow, run, step }) };
}

export function encodeRun({ number, flow, run, written, events, children }: RunRows): Iterable<string> {
  return layOut({
    run: { number, flow, run },
    written,
    events: encodeRows('runs', events, none),
    ...encodeChildren(children),
  });
}

/** Throws an Error saying what is wrong where a file cannot be what `encodeRun` wrote. */
export function decodeRun(content: FileContent): RunRows {
  const file = objectIn('the file', parseContent(content));
  const { number, flow, run } = objectIn('run', file.run);
  if (!Number.isSafeInteger(number) || typeof flow !== 'string' || typeof run !== 'string')
    throw new Error('run has no number, flow or run');
  const written = objectIn('written', file.written) as Record<string, number>;
  const events = listIn('events', file.events).map((row) => decodeRow('runs', row, {}));
  return {
    number: number as number,
    flow,
    run,
    written,
    events,
    children: decodeChildren(file, { sid: sidOf(number as number, 0), flow, run, step: null }),
  };
}

function encodeChildren(children: ChildRows): Record<ChildTable, Iterable<object>> {
  const entries = childTables.map((table) => [table, encodeRows(table, children[table], placeColumns)]);
  return Object.fromEntries(entries) as Record<ChildTable, Iterable<object>>;
}

/** One row at a time, when it is written: together they may be large. */
function* encodeRows<T extends TableName>(table: T, rows: readonly Row<T>[], leftOut: ReadonlySet<string>): Generator<object> {
  for (const row of rows) yield encodeRow(table, row, leftOut);
}

function decodeChildren(file: Readonly<Record<string, unknown>>, place: object): ChildRows {
  const rows = <T extends ChildTable>(table: T) => listIn(table, file[table]).map((row) => decodeRow(table, row, place));
  return { artifacts: rows('artifacts'), tags: rows('tags'), logs: rows('logs'), edges: rows('edges') };
}

function encodeRow<T extends TableName>(table: T, row: Row<T>, leftOut: ReadonlySet<string>): object {
  const values: Readonly<Record<string, unknown>> = row;
  const columns = columnsOf(table).filter(([name]) => !leftOut.has(name));
  return Object.fromEntries(columns.map(([name, type]) => [name, encodeValue(name, type, values[name])]));
}

function decodeRow<T extends TableName>(table: T, value: unknown, place: object): Row<T> {
  const row = objectIn(table, value);
  const given: Readonly<Record<string, unknown>> = { ...place };
  const columns = columnsOf(table).map(([name, type]) => {
    if (Object.hasOwn(given, name)) return [name, given[name]];
    if (!Object.hasOwn(row, name)) throw new Error(`a row of ${table} has no ${name}`);
    return [name, decodeValue(name, type, row[name])];
  });
  return Object.fromEntries(columns) as Row<T>;
}

function encodeValue(name: string, type: ColumnType, value: unknown): unknown {
  if (value === null) return null;
  switch (type) {
    case 'double':
      return encodeNumber(value as number);
    case 'timestamp':
      return new Date(value as number).toISOString();
    case 'bytes':
      return { base64: Buffer.from(value as Uint8Array).toString('base64') };
    case 'text':
      return jsonColumns.has(name) ? writtenOut(value as string) : value;
    default:
      return value;
  }
}

function encodeNumber(value: number): number | string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}

function decodeValue(name: string, type: ColumnType, value: unknown): unknown {
  if (value === null) return null;
  const decoded = decoders[type](value);
  if (decoded === undefined) throw new Error(`${name} is ${JSON.stringify(value)?.slice(0, 80)}, which is no ${type}`);
  return decoded;
}

const decoders: Readonly<Record<ColumnType, (value: unknown) => unknown>> = {
  bigint: wholeNumber,
  integer: wholeNumber,
  double: (value) => {
    if (typeof value === 'number') return value;
    return typeof value === 'string' && /^(NaN|-?Infinity|-0)$/.test(value) ? Number(value) : undefined;
  },
  text: (value) => {
    if (typeof value === 'string') return value;
    return isObject(value) && 'json' in value ? JSON.stringify(value.json) : undefined;
  },
  bytes: (value) =>
    isObject(value) && typeof value.base64 === 'string' ? new Uint8Array(Buffer.from(value.base64, 'base64')) : undefined,
  timestamp: (value) => {
    const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
    return Number.isNaN(ms) ? undefined : ms;
  },
};

function wholeNumber(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}

/** JSON text as a value, if it can be had back letter by letter; any other text stays text. */
function writtenOut(text: string): unknown {
  try {
    const json: unknown = JSON.parse(text);
    return JSON.stringify(json) === text ? { json } : text;
  } catch {
    return text;
  }
}

function objectIn(label: string, value: unknown): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw new Error(`${label} is not an object`);
  return value;
}

function listIn(label: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`${label} is not a list`);
  return value as unknown[];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
