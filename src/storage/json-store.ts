import { join } from 'node:path';
import { show } from '../error.ts';
import { type Mark, rowsIn } from '../recorder.ts';
import type { Row } from '../schema.ts';
import { ordinalOf, runNumberOf } from '../sid.ts';
import type { Batch, BatchId, Claim, ClaimRequest, ParkedBatch, Snapshot, Store, UnwrittenBatch } from '../store.ts';
import { claimRun, diedAt, lapsedRuns, overRuns, reclaimRun, silentRuns } from './claims.ts';
import { makeFolder, putIfAbsent, writeWhole } from './files.ts';
import { type Estate, inherit, liveRunOf } from './heir.ts';
import { JsonFolder, scopePath } from './json-folder.ts';
import { JsonSource } from './json-source.ts';
import { inLanes } from './lanes.ts';
import type { DuckDBLimits, SqlFiles } from './limits.ts';
import { MemoryRows } from './memory-rows.ts';
import { MemorySnapshot } from './memory-snapshot.ts';
import { MemorySql } from './memory-sql.ts';
import { markOfRows } from './row-batch.ts';
import { encodeRun, encodeScope, type RunRows } from './scope-file.ts';
import { type ChildRows, type ChildTable, childTables, isEmpty, joinChildren, noChildren, type ScopeRows } from './scope-rows.ts';
import { Spills } from './spills.ts';
import { storePath } from './store-path.ts';

/**
 * A history as files that a person can read: `<folder>/<flow>/<run>/<ordinal>.json`, one a scope, and `0.json` for the run itself.
 * Each file is whole or absent. Rows that arrive before the scope they belong to wait in memory: if the process dies, so does the
 * step that they are from.
 */
export class JsonStore implements Store {
  readonly label: string;
  readonly place: string;
  readonly #folder: JsonFolder;
  readonly #sql: MemorySql;
  readonly #written = new Set<string>();
  readonly #made = new Set<string>();
  /** Of the runs claimed here, by uuid. */
  readonly #numbers = new Map<string, number>();
  readonly #spills: Spills;
  #inheritance: Promise<void> | null = null;
  #waiting: ReadonlyMap<number, ChildRows> = new Map();
  #last: Promise<void> = Promise.resolve();

  /** Nothing is read or made before it is needed. */
  constructor(folder: string, limits: DuckDBLimits & SqlFiles = {}) {
    const path = storePath(folder);
    this.label = `JsonStorage(${show(path, 300)})`;
    this.place = path;
    this.#folder = new JsonFolder(path);
    this.#sql = new MemorySql(limits, (live) => lapsedRuns(this.#claims, live));
    this.#spills = new Spills(join(path, 'spill'));
  }

  async claim(request: ClaimRequest): Promise<Claim> {
    await this.#folder.open(true);
    const claim = await claimRun(this.#claims, request);
    this.#numbers.set(request.uuid, claim.number);
    return claim;
  }

  async reclaim(request: ClaimRequest, mayBe: (number: number) => boolean): Promise<Claim | null> {
    await this.#folder.open(true);
    const claim = await reclaimRun(this.#claims, request, mayBe);
    if (claim !== null) this.#numbers.set(request.uuid, claim.number);
    return claim;
  }

  /** Batches of several writers are written one after another. */
  async write(batch: Batch): Promise<void> {
    const writing = this.#last.then(() => this.#writeAsHeir(batch));
    this.#last = writing.catch(() => undefined); // whoever wrote it is told; the next one is not held up
    await writing;
  }

  /** What is not in files is taken first: a file that is written meanwhile is then seen as well, and counts instead. */
  async snapshot(unflushed: readonly Batch[]): Promise<Snapshot> {
    await this.#folder.open(false);
    const spilled = await this.#spills.batches(unflushed);
    const waiting = this.#waiting;
    const unwritten = [...spilled, ...unflushed].filter(({ id }) => !this.#written.has(keyOf(id)));
    const source = new JsonSource(this.#folder, await this.#folder.list(), unwritten, waiting);
    return new MemorySnapshot(source, this.#sql);
  }

  /** Rows that have been written before their scopes are in memory only: they go first, under the last number written. */
  spill(batches: readonly UnwrittenBatch[]): void {
    const unwritten = batches.filter(({ id }) => !this.#written.has(keyOf(id)));
    const [first] = unwritten;
    if (first === undefined) return;
    const { writer, number } = first.id;
    const run = this.#numbers.get(uuidOf(writer));
    const waiting = [...this.#waiting].flatMap(([sid, children]) => (runNumberOf(sid) === run ? [children] : []));
    const all = <T extends ChildTable>(table: T) => waiting.flatMap((children): ChildRows[T] => children[table]);
    const ahead = markOfRows({ artifacts: all('artifacts'), tags: all('tags'), logs: all('logs'), edges: all('edges') });
    this.#spills.writeSync([...(rowsIn(ahead) === 0 ? [] : [{ id: { writer, number: number - 1 }, rows: ahead }]), ...unwritten]);
  }

  park(id: BatchId, mark: Mark): ParkedBatch {
    return this.#spills.parkSync(id, mark);
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#sql.close();
  }

  get #claims(): string {
    return join(this.#folder.path, '_runs');
  }

  #estate(): Estate {
    return {
      spills: this.#spills,
      write: (batch) => this.#write(batch),
      liveRuns: async () => {
        const runs = (await this.#folder.runs()).filter(({ events }) => events.length > 0);
        const silent = await silentRuns(this.#claims, new Set(runs.map(({ number }) => number)));
        return [...runs.flatMap(({ events }) => liveRunOf(events) ?? []), ...silent];
      },
      diedAt: ({ number, uuid }) => diedAt(this.#claims, number, uuid),
      overRuns: () => overRuns(this.#claims),
    };
  }

  /** What earlier processes left goes first, once. */
  async #writeAsHeir(batch: Batch): Promise<void> {
    await this.#folder.open(true);
    this.#inheritance ??= inherit(this.#estate());
    await this.#inheritance;
    await this.#write(batch);
  }

  /** Scopes first, then what is said about their run. Until all of it is done a second try does the same once more. */
  async #write(batch: Batch): Promise<void> {
    const key = keyOf(batch.id);
    if (this.#written.has(key)) return;
    await this.#folder.open(true);
    const rows = new MemoryRows([batch]);
    const scopes = [...rows.sids('scopes')].map((sid): ScopeRows => {
      return {
        scope: rows.scope(sid) as Row<'scopes'>,
        children: joinChildren(this.#waiting.get(sid) ?? noChildren, rows.children(sid)),
      };
    });
    const runs = runsIn(rows, scopes);
    for (const run of runs) await this.#makeRun(run);
    const failures: unknown[] = [];
    await inLanes(scopes, async (one) => {
      const { flow, run, sid } = one.scope;
      const path = scopePath(this.#folder.pathOf(flow as string, run as string), ordinalOf(sid as number));
      await writeWhole(path, encodeScope(one)).catch((error: unknown) => failures.push(error));
    });
    if (failures.length > 0) throw failures[0]; // the others have been written: one too long for JSON does not keep them from it
    for (const run of runs) await this.#addToRun(run, batch.id);
    this.#written.add(key);
    this.#waiting = waitingAfter(this.#waiting, rows);
  }

  /** A run's file comes before its scopes: it says which run they are of. */
  async #makeRun({ number, flow, run }: RunRows): Promise<void> {
    const path = this.#folder.pathOf(flow, run);
    if (this.#made.has(path)) return;
    await makeFolder(path);
    await putIfAbsent(scopePath(path, 0), encodeRun({ number, flow, run, written: {}, events: [], children: noChildren }));
    this.#made.add(path);
  }

  async #addToRun({ flow, run, events, children }: RunRows, { writer, number }: BatchId): Promise<void> {
    if (events.length === 0 && isEmpty(children)) return;
    const path = this.#folder.pathOf(flow, run);
    const known = (await this.#folder.readRun(path)) as RunRows; // made before
    if (number <= (known.written[writer] ?? 0)) return;
    const whole = {
      ...known,
      written: { ...known.written, [writer]: number },
      events: [...known.events, ...events],
      children: joinChildren(known.children, children),
    };
    await writeWhole(scopePath(path, 0), encodeRun(whole));
  }
}

/** The runs that a batch has rows of, with what it says about them. */
function runsIn(rows: MemoryRows, scopes: readonly ScopeRows[]): readonly RunRows[] {
  const runs = new Map<number, RunRows>();
  const runOf = (number: number, flow: string | null, run: string | null): RunRows =>
    runs.get(number) ?? { number, flow: flow as string, run: run as string, written: {}, events: [], children: noChildren };
  for (const { scope } of scopes) {
    const number = runNumberOf(scope.sid as number);
    runs.set(number, runOf(number, scope.flow, scope.run));
  }
  for (const event of rows.all('runs')) {
    const number = event.run_number as number;
    const run = runOf(number, event.flow, event.slug);
    runs.set(number, { ...run, events: [...run.events, event] });
  }
  for (const sid of childSids(rows)) {
    if (ordinalOf(sid) !== 0) continue;
    const children = rows.children(sid);
    const [first] = childTables.flatMap((table): readonly { flow: string | null; run: string | null }[] => children[table]);
    const run = runOf(runNumberOf(sid), first?.flow ?? null, first?.run ?? null);
    runs.set(run.number, { ...run, children });
  }
  return [...runs.values()];
}

/** What waits once a batch has been written: its scopes have got their rows, and rows whose scope is yet to come are added. */
function waitingAfter(before: ReadonlyMap<number, ChildRows>, rows: MemoryRows): ReadonlyMap<number, ChildRows> {
  const scopes = rows.sids('scopes');
  const waiting = new Map([...before].filter(([sid]) => !scopes.has(sid)));
  for (const sid of childSids(rows)) {
    if (ordinalOf(sid) !== 0 && !scopes.has(sid))
      waiting.set(sid, joinChildren(waiting.get(sid) ?? noChildren, rows.children(sid)));
  }
  return waiting;
}

function childSids(rows: MemoryRows): ReadonlySet<number> {
  return new Set(childTables.flatMap((table) => [...rows.sids(table)]));
}

function uuidOf(writer: string): string {
  return writer.slice(0, writer.indexOf('/'));
}

function keyOf({ writer, number }: BatchId): string {
  return `${writer} ${number}`;
}
