import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { encode } from '../codec.ts';
import { MarqueError, messageOf, show } from '../error.ts';
import { nearestName } from '../name.ts';
import type { Row } from '../schema.ts';
import { sidOf } from '../sid.ts';
import { Arrivals, type Destination, type Incoming, type Place } from './bring-in.ts';
import { exactJson } from './exact-json.ts';
import type { DuckDBLimits } from './limits.ts';
import type { MergeResult } from './merge.ts';
import { openPythonJson } from './python-json.ts';
import { openPythonParquet } from './python-parquet.ts';
import { identify } from './python-identity.ts';
import { type Loss, type PythonRun, type PythonScope, type PythonStore, splitPythonId } from './python-scope.ts';
import type { TableRowLists } from './row-batch.ts';
import { storePath } from './store-path.ts';

/** What an import has done. */
export interface PythonImport extends MergeResult {
  /** What was there and could not be taken over: the first 1,000 of `lostCount`. */
  readonly lost: readonly { readonly id: string; readonly what: string; readonly why: string }[];
  readonly lostCount: number;
  /** What the store does not hold, or not exactly. */
  readonly notes: readonly string[];
}

const mostLost = 1_000;

/** Bytes of text, roughly, in a batch. */
const pieceBytes = 8 * 2 ** 20;

/**
 * Copies the runs of a store of the Python package marque: names that ours cannot have are changed to the nearest, and nothing
 * is known of the flow's own tags and logs, or of who pushed whom.
 */
export async function importPython(destination: Destination, given: string, limits: DuckDBLimits): Promise<PythonImport> {
  const store = await openStore(given, limits);
  const lost = new Lost();
  try {
    for (const id of store.strangeIds) lost.add(id, { what: 'the scope', why: 'its id is not flow.step.run.path' });
    const arrivals = await Arrivals.into(destination);
    const merged: { from: string; run: string }[] = [];
    const skipped: { run: string; why: string }[] = [];
    try {
      for (const run of store.runs) {
        const { uuid, why } = await identify(run, arrivals, destination);
        if (why !== null) {
          skipped.push({ run: run.run, why });
          continue;
        }
        const incoming = incomingOf(run, uuid, given, lost);
        const place = await arrivals.begin(incoming);
        if ('why' in place) {
          skipped.push({ run: run.run, why: place.why });
          continue;
        }
        await arrivals.complete(incoming, place);
        merged.push({ from: run.run, run: place.slug });
      }
    } finally {
      await arrivals.end();
    }
    const notes = ['whether a run failed is not recorded there: each counts as finished', ...store.notes];
    return { merged, skipped, lost: lost.first, lostCount: lost.count, notes };
  } finally {
    await store.close();
  }
}

async function openStore(given: string, limits: DuckDBLimits): Promise<PythonStore> {
  const path = storePath(given);
  try {
    const found = await stat(path);
    if (!found.isDirectory()) return await openPythonParquet(await realpath(path), limits);
    const own = await stat(join(path, 'marque.json')).catch(() => null);
    if (own === null) return await openPythonJson(path);
  } catch (error) {
    if (error instanceof MarqueError) throw error;
    throw new MarqueError('STORE_PATH', `${show(path, 300)} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  throw new MarqueError('STORE_PATH', `${show(path, 300)} is a JsonStorage of this library: open it and use merge`);
}

function incomingOf(run: PythonRun, uuid: string, store: string, lost: Lost): Incoming {
  const flow = nearestName('flow', run.flow);
  const origin = { slug: run.run, flow: run.flow, store, package: 'marque for Python' };
  return {
    uuid,
    flow,
    slug: nearestName('run', run.run),
    startedAt: run.startedAt,
    origin,
    content: run.content,
    events: [
      { event: 'started', happened_at: run.startedAt, details: '{"params":{}}' },
      { event: 'ended', happened_at: Math.ceil(run.endedAt), details: '{"state":"finished","error":null}' },
    ],
    pieces: (place) => piecesOf(run, { ...place, flow }, lost),
  };
}

/** The scopes of a run as rows. Of several with one id each counts as a further attempt, since the id with the attempt is unique. */
async function* piecesOf(run: PythonRun, place: Place & { readonly flow: string }, lost: Lost): AsyncGenerator<TableRowLists> {
  const attempts = new Map<string, number>();
  let ordinal = 0;
  let rows = new PieceRows();
  for await (const scope of run.scopes()) {
    const attempt = (attempts.get(scope.id) ?? 0) + 1;
    attempts.set(scope.id, attempt);
    rows.add(scope, place, ++ordinal, attempt, lost);
    if (rows.bytes < pieceBytes) continue;
    yield rows.lists;
    rows = new PieceRows();
  }
  if (rows.bytes > 0) yield rows.lists;
}

class PieceRows {
  readonly lists = {
    scopes: [] as Partial<Row<'scopes'>>[],
    tags: [] as Partial<Row<'tags'>>[],
    artifacts: [] as Partial<Row<'artifacts'>>[],
  };
  bytes = 0;

  add(scope: PythonScope, place: Place & { readonly flow: string }, ordinal: number, attempt: number, lost: Lost): void {
    const { id, error, tags, artifacts } = scope;
    const { step, path } = splitPythonId(id) as { step: string; path: string };
    const owner = { sid: sidOf(place.number, ordinal), flow: place.flow, run: place.slug, step: nearestName('step', step) };
    const kept = (what: string, text: string): string => {
      if (!text.isWellFormed()) lost.add(id, { what, why: 'it has half of a surrogate pair, which is U+FFFD here' });
      return text.toWellFormed();
    };
    for (const loss of scope.lost) lost.add(id, loss);
    for (const [seq, { content, value }] of tags.entries())
      this.lists.tags.push({ ...owner, seq, content: kept(`tag ${show(content)}`, content), value });
    const last = new Map(artifacts.map(({ name }, index) => [name.toWellFormed(), index]));
    for (const [seq, { name, json }] of artifacts.entries()) {
      const what = `artifact ${show(name)}`;
      try {
        if (name === '') throw new Error('its name is empty');
        if (last.get(name.toWellFormed()) !== seq) throw new Error('a later one of the scope has its name');
        const encoded = encode(what, exactJson(json));
        this.lists.artifacts.push({ ...owner, seq, name: kept(`the name of ${what}`, name), ...encoded });
      } catch (reason) {
        lost.add(id, { what, why: messageOf(reason) });
      }
    }
    const stack = error === null ? null : kept('the traceback', error);
    this.lists.scopes.push({
      ...owner,
      path: nearestName('run', path),
      attempt,
      status: error === null ? 'ok' : 'error',
      started_at: scope.startedAt,
      duration_ms: scope.durationMs,
      error_message: stack === null ? null : messageIn(stack),
      error_stack: stack,
    });
    const texts = [error ?? '', ...tags.map((tag) => tag.content), ...artifacts.map((artifact) => artifact.json)];
    this.bytes += texts.reduce((sum, text) => sum + 100 + text.length, 100);
  }
}

/** The last lines of a traceback, from that which names the error. */
function messageIn(traceback: string): string {
  const lines = traceback.trimEnd().split('\n');
  const last = lines.findLastIndex((line) => /^\s/.test(line) || line.startsWith('Traceback '));
  return lines.slice(last + 1).join('\n') || traceback;
}

class Lost {
  readonly first: { id: string; what: string; why: string }[] = [];
  count = 0;

  add(id: string, loss: Loss): void {
    if (this.count++ < mostLost) this.first.push({ id, ...loss });
  }
}
