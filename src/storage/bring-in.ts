import type { Row } from '../schema.ts';
import { slugDraws } from '../slug.ts';
import type { Batch, Claim, ClaimRequest, Snapshot } from '../store.ts';
import { batchOfRows, type TableRowLists } from './row-batch.ts';

/** The store that runs are brought into. */
export interface Destination {
  claim(request: ClaimRequest): Promise<Claim>;
  /** As a `Store` has it; null where that has none. */
  reclaim(request: ClaimRequest, mayBe: (number: number) => boolean): Promise<Claim | null>;
  write(batch: Batch): Promise<void>;
  /** Null where there is no store yet: claiming a run makes it. */
  snapshot(): Promise<Snapshot | null>;
}

/** Where a run stands in a store. */
export interface Place {
  readonly number: number;
  readonly slug: string;
}

/** A run of another store. */
export interface Incoming {
  readonly uuid: string;
  readonly flow: string;
  readonly slug: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** What its `started` event will say about where it was before; null leaves the event as it is. */
  readonly origin: object | null;
  /** What tells its rows from others that have the same uuid; null where the uuid alone does. */
  readonly content: string | null;
  /** Its events, the one called `started` included, but for number, uuid, slug and flow. */
  readonly events: readonly Pick<Row<'runs'>, 'event' | 'happened_at' | 'details'>[];
  /** The same rows in the same pieces whenever it is asked, as rows of the run at this place. */
  pieces(place: Place): AsyncIterable<TableRowLists>;
}

/** A run that a store knows by its uuid. */
export interface Known extends Place {
  /** `begun` is one whose bringing in has not ended, `dropped` one that was deleted before it had. */
  readonly state: 'begun' | 'whole' | 'deleted' | 'dropped';
  /** The `content` with which it was begun. */
  readonly content: string | null;
}

/** Why a run has no place: it was not known when the bringing in began, and somebody else has brought it, or another of its uuid. */
export interface Late {
  readonly why: string;
}

/** Brings runs into a store, each once. */
export class Arrivals {
  readonly #destination: Destination;
  readonly #known: Map<string, Known>;
  readonly #numbers: Set<number>;
  /** Of the runs that are begun and not complete. */
  readonly #claims = new Map<string, Claim | null>();

  private constructor(destination: Destination, known: Map<string, Known>) {
    this.#destination = destination;
    this.#known = known;
    this.#numbers = new Set(Array.from(known.values(), ({ number }) => number));
  }

  static async into(destination: Destination): Promise<Arrivals> {
    return new Arrivals(destination, await knownRuns(destination));
  }

  known(uuid: string): Known | undefined {
    return this.#known.get(uuid);
  }

  /** Why a run is not brought in once more, or cannot be; null where it is to be. */
  whySkipped({ uuid, content }: Pick<Incoming, 'uuid' | 'content'>): string | null {
    const known = this.#known.get(uuid);
    if (known === undefined) return null;
    if (known.state === 'whole') return `it is here already, as ${known.slug}`;
    if (known.state !== 'begun') return `it was here, as ${known.slug}, and has been deleted`;
    if (known.content === content) return null;
    return `it is here in part, as ${known.slug}: another import of it, of other content, was stopped`;
  }

  /**
   * Gives a run a number and a slug of this store, its own slug if that is free. From then on the store knows its uuid, by an event
   * `merging`, so that another attempt goes on with the same place; of two that begin it at once, the one whose event was stored.
   * Where that is one of other content, or has come to its end, nothing of this run may be written, and it has no place.
   */
  async begin(run: Incoming, after?: number): Promise<Place | Late> {
    const { uuid, flow } = run;
    const begun = this.#known.get(uuid);
    const late = begun === undefined ? null : lateBy(begun, run);
    if (late !== null) return late;
    if (begun !== undefined && this.#claims.has(uuid)) return begun;
    const request = { uuid, flow, drawSlug: ownSlugFirst(run.slug), ...(after === undefined ? {} : { after }) };
    const mayBe = (number: number) => (begun === undefined ? !this.#numbers.has(number) : number === begun.number);
    const earlier = await this.#destination.reclaim(request, mayBe);
    this.#claims.set(uuid, earlier); // one of a run that was begun may be somebody else's, who is bringing in the same
    if (begun === undefined) {
      const claim = earlier ?? (await this.#destination.claim(request));
      this.#claims.set(uuid, claim);
      const details = JSON.stringify({ origin: run.origin, content: run.content });
      const mark = { event: 'merging', happened_at: run.startedAt, details };
      await write(this.#destination, run, 1, { runs: [eventRow(run, { number: claim.number, slug: claim.slug }, mark)] });
    }
    return await this.#asStored(run);
  }

  /** What the store says of a run that has its event `merging`: ours, or that of somebody who was faster. */
  async #asStored(run: Incoming): Promise<Place | Late> {
    const { uuid } = run;
    const stored = (await knownRuns(this.#destination, uuid)).get(uuid) as Known;
    this.#known.set(uuid, stored);
    this.#numbers.add(stored.number);
    const late = lateBy(stored, run);
    const claim = this.#claims.get(uuid);
    if (late !== null || claim?.number !== stored.number) {
      await claim?.release({ abandoned: true });
      this.#claims.set(uuid, null);
    }
    if (late !== null) this.#claims.delete(uuid);
    return late ?? stored;
  }

  /** Writes the rows of a run that has been begun, and last what happened to it, with which it counts as ended. */
  async complete(run: Incoming, place: Place): Promise<void> {
    let number = 2;
    for await (const rows of run.pieces(place)) await write(this.#destination, run, number++, rows);
    const events = run.events.map((event) => {
      const details = event.event === 'started' ? withOrigin(event.details, run.origin) : event.details;
      return eventRow(run, place, { ...event, details });
    });
    await write(this.#destination, run, number, { runs: events });
    const claim = this.#claims.get(run.uuid);
    this.#claims.delete(run.uuid);
    this.#known.set(run.uuid, { ...place, state: 'whole', content: run.content });
    await claim?.release();
  }

  /** Runs that are not complete are nobody's from now on. */
  async end(): Promise<void> {
    for (const claim of this.#claims.values()) await claim?.release({ abandoned: true });
    this.#claims.clear();
  }
}

/** Null where the run may be written to the place at which it is known: the same was begun there, and has not ended. */
function lateBy(known: Known, { content }: Incoming): Late | null {
  const where = `was brought in by another process meanwhile, as ${known.slug}`;
  if (known.content !== content) return { why: `one of the same uuid and other content ${where}` };
  return known.state === 'begun' ? null : { why: `it ${where}` };
}

/** The runs that a store has, by uuid: all of them, or the one that has a given uuid. */
async function knownRuns(destination: Destination, only: string | null = null): Promise<Map<string, Known>> {
  const snapshot = await destination.snapshot();
  if (snapshot === null) return new Map();
  try {
    return await readKnown(snapshot, only);
  } finally {
    await snapshot.release();
  }
}

async function readKnown(snapshot: Snapshot, only: string | null): Promise<Map<string, Known>> {
  const { values, rowCount } = await snapshot.select({
    text: `SELECT uuid, min(run_number), arg_min(slug, run_number),
      CASE
        WHEN bool_or(event = 'deleted') THEN CASE WHEN bool_or(event = 'merging') AND NOT bool_or(event = 'started') THEN 'dropped' ELSE 'deleted' END
        WHEN bool_or(event = 'merging') AND NOT bool_or(event = 'started') THEN 'begun'
        ELSE 'whole'
      END,
      min(CASE WHEN event = 'merging' AND json_valid(details) THEN details ->> 'content' END)
      FROM raw.runs WHERE $1::VARCHAR IS NULL OR uuid = $1 GROUP BY uuid`,
    values: [only],
  });
  const [uuids = [], numbers = [], slugs = [], states = [], contents = []] = values;
  return new Map(
    Array.from({ length: rowCount }, (_, row) => [
      uuids[row] as string,
      {
        number: numbers[row] as number,
        slug: slugs[row] as string,
        state: states[row] as Known['state'],
        content: contents[row] as string | null,
      },
    ]),
  );
}

/** Batches of other pieces than these need another writer: a number stands for the same rows for ever. */
async function write(destination: Destination, { uuid }: Incoming, number: number, rows: TableRowLists): Promise<void> {
  const { tables } = await batchOfRows(rows);
  await destination.write({ id: { writer: `${uuid}-merge1/0`, number }, tables });
}

function eventRow(run: Incoming, place: Place, event: Incoming['events'][number]): Row<'runs'> {
  return { run_number: place.number, uuid: run.uuid, slug: place.slug, flow: run.flow, ...event };
}

/** What the run brought along stays; where it was merged before, its earlier origin is within the new one. */
function withOrigin(details: string | null, origin: object | null): string | null {
  if (origin === null) return details;
  const before = parsed(details);
  return JSON.stringify({ ...before, origin: 'origin' in before ? { ...origin, origin: before['origin'] } : origin });
}

function parsed(details: string | null): Readonly<Record<string, unknown>> {
  if (details === null) return {};
  try {
    const value: unknown = JSON.parse(details);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Another program wrote it. It stays readable as a text.
  }
  return { details };
}

function ownSlugFirst(slug: string): () => string {
  const draw = slugDraws();
  let first = true;
  return () => {
    if (!first) return draw();
    first = false;
    return slug;
  };
}
