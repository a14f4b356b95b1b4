import { MarqueError } from '../error.ts';
import type { Row } from '../schema.ts';
import { ordinalOf, runNumberOf, sidOf } from '../sid.ts';
import type { Snapshot } from '../store.ts';
import { Arrivals, type Destination, type Incoming, type Late, type Place } from './bring-in.ts';
import { chosenRuns, listRuns, type RunChoice, type RunEntry } from './chosen-runs.ts';
import type { TableRowLists } from './row-batch.ts';
import { runPieces } from './run-pieces.ts';

/** What a merge has done, by the slugs of runs. */
export interface MergeResult {
  /** `from` is the slug in the other store, `run` the one here. */
  readonly merged: readonly { readonly from: string; readonly run: string }[];
  readonly skipped: readonly { readonly run: string; readonly why: string }[];
}

export interface MergeSource {
  readonly label: string;
  snapshot(): Promise<Snapshot>;
}

export interface MergePlan extends RunChoice {
  /** Runs keep their numbers and slugs, which the destination must not have yet. */
  readonly keepNumbers?: boolean;
}

/**
 * Copies runs into another store, one after another, each with everything that belongs to it. Of a run that has been copied before,
 * or in part by an attempt that was stopped, only what is missing is written.
 */
export async function mergeRuns(destination: Destination, source: MergeSource, plan: MergePlan): Promise<MergeResult> {
  // A snapshot may see the end of a run that ended while it was taken, and yet not its last scopes. The next one sees them.
  const ended = new Set((await using(source, (snapshot) => chosenRuns(snapshot, plan))).filter(hasEnded).map(({ uuid }) => uuid));
  return await using(source, async (snapshot) => {
    const arrivals = await Arrivals.into(destination);
    try {
      const merge = new Merge(arrivals, source.label, snapshot, plan.keepNumbers === true);
      return await merge.run(await chosenRuns(snapshot, plan), ended, await listRuns(snapshot));
    } finally {
      await arrivals.end();
    }
  });
}

/** Why runs in these states are left where they are. */
const unended: Readonly<Record<string, string>> = {
  running: 'it is still running',
  unknown: 'it may still be running',
  merging: 'it is there in part only: the merge that brings it has not ended',
};

function hasEnded({ state }: RunEntry): boolean {
  return unended[state] === undefined;
}

class Merge {
  readonly #arrivals: Arrivals;
  readonly #label: string;
  readonly #snapshot: Snapshot;
  readonly #keepNumbers: boolean;
  /** By their numbers in the source: the runs that are copied, and all there are. */
  readonly #chosen = new Map<number, RunEntry>();
  readonly #all = new Map<number, RunEntry>();

  constructor(arrivals: Arrivals, label: string, snapshot: Snapshot, keepNumbers: boolean) {
    this.#arrivals = arrivals;
    this.#label = label;
    this.#snapshot = snapshot;
    this.#keepNumbers = keepNumbers;
  }

  async run(chosen: readonly RunEntry[], ended: ReadonlySet<string>, all: readonly RunEntry[]): Promise<MergeResult> {
    for (const run of all) this.#all.set(run.number, run);
    const skipped: { run: string; why: string }[] = [];
    for (const run of chosen) {
      const why = this.#arrivals.whySkipped({ uuid: run.uuid, content: null });
      if (!ended.has(run.uuid)) skipped.push({ run: run.slug, why: unended[run.state] ?? 'it was still running' });
      else if (why !== null) skipped.push({ run: run.slug, why });
      else this.#chosen.set(run.number, run);
    }
    const merged: { from: string; run: string }[] = [];
    for (const run of this.#chosen.values()) {
      const incoming = await this.#incoming(run);
      const place = await this.#begin(incoming, run);
      if ('why' in place) {
        skipped.push({ run: run.slug, why: place.why });
        continue;
      }
      await this.#arrivals.complete(incoming, place);
      merged.push({ from: run.slug, run: place.slug });
    }
    return { merged, skipped };
  }

  async #begin(incoming: Incoming, run: RunEntry): Promise<Place | Late> {
    const place = await this.#arrivals.begin(incoming, this.#keepNumbers ? run.number - 1 : undefined);
    if (this.#keepNumbers && !('why' in place) && (place.number !== run.number || place.slug !== run.slug)) {
      throw new MarqueError(
        'STORE_DAMAGED',
        `run ${run.slug} cannot keep its number ${run.number}: two runs of ${this.#label} have it`,
      );
    }
    return place;
  }

  async #incoming(run: RunEntry): Promise<Incoming> {
    const { number, uuid, flow, slug } = run;
    const { values, rowCount } = await this.#snapshot.select({
      text: `SELECT event, happened_at, details FROM raw.runs WHERE run_number = $1 AND event <> 'merging' ORDER BY happened_at, event`,
      values: [BigInt(number)],
    });
    const [names = [], times = [], details = []] = values;
    const events = Array.from({ length: rowCount }, (_, row) => ({
      event: names[row] as string,
      happened_at: (times[row] as Date).getTime(),
      details: details[row] as string | null,
    }));
    const startedAt = events.find(({ event }) => event === 'started')?.happened_at ?? events[0]?.happened_at ?? 0;
    const snapshot = this.#snapshot;
    const places = (place: Place) => this.#places(number, place);
    return {
      uuid,
      flow,
      slug,
      startedAt,
      origin: this.#keepNumbers ? null : { slug, number, store: this.#label },
      content: null,
      events,
      async *pieces(place) {
        const moved = await places(place);
        for await (const rows of runPieces(snapshot, number)) yield moveRows(rows, place, moved);
      },
    };
  }

  /**
   * Where the runs that a run refers to stand in the destination, by their numbers in the source. They may be younger, and are then
   * begun before their turn. A run that is not copied has no place.
   */
  async #places(number: number, own: Place): Promise<ReadonlyMap<number, Place>> {
    const { values } = await this.#snapshot.select({
      text: `SELECT DISTINCT sid // 4294967296 FROM (
        SELECT ref_sid AS sid FROM raw.scopes WHERE sid BETWEEN $1 AND $2
        UNION ALL SELECT parent_sid FROM raw.scopes WHERE sid BETWEEN $1 AND $2
        UNION ALL SELECT target_sid FROM raw.edges WHERE sid BETWEEN $1 AND $2
      ) WHERE sid IS NOT NULL`,
      values: [BigInt(sidOf(number, 0)), BigInt(sidOf(number + 1, 0) - 1)],
    });
    const places = new Map<number, Place>();
    for (const referred of (values[0] ?? []) as readonly number[]) {
      const place = referred === number ? own : await this.#placeOf(referred);
      if (place !== null) places.set(referred, place);
    }
    return places;
  }

  async #placeOf(number: number): Promise<Place | null> {
    const chosen = this.#chosen.get(number);
    if (chosen !== undefined) {
      if (this.#keepNumbers) return chosen;
      const place = await this.#begin(await this.#incoming(chosen), chosen);
      if (!('why' in place)) return place;
    }
    const run = this.#all.get(number);
    const known = run === undefined ? undefined : this.#arrivals.known(run.uuid);
    return known === undefined || known.state === 'deleted' || known.state === 'dropped' ? null : known;
  }
}

/** Rows at their new place. What refers to a run without one loses the reference: its number would mean another run here. */
function moveRows(rows: TableRowLists, place: Place, places: ReadonlyMap<number, Place>): TableRowLists {
  const moved = (sid: number | null | undefined): number | null => {
    if (sid === null || sid === undefined) return null;
    const there = places.get(runNumberOf(sid));
    return there === undefined ? null : sidOf(there.number, ordinalOf(sid));
  };
  const own = <R extends { readonly sid?: number | null }>(row: R): R => ({
    ...row,
    sid: sidOf(place.number, ordinalOf(row.sid as number)),
    run: place.slug,
  });
  const { scopes = [], edges = [], artifacts = [], tags = [], logs = [] } = rows;
  return {
    artifacts: artifacts.map(own),
    tags: tags.map(own),
    logs: logs.map(own),
    edges: edges.map((row) => ({ ...own(row), target_sid: moved(row.target_sid) })).filter((row) => row.target_sid !== null),
    scopes: scopes.map((row): Partial<Row<'scopes'>> => ({
      ...own(row),
      parent_sid: moved(row.parent_sid),
      ref_sid: moved(row.ref_sid),
    })),
  };
}

async function using<T>(source: MergeSource, job: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  const snapshot = await source.snapshot();
  try {
    return await job(snapshot);
  } finally {
    await snapshot.release();
  }
}
