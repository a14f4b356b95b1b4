import type { Row } from '../schema.ts';
import { slugDraws } from '../slug.ts';
import type { Batch, Claim, ClaimRequest, Snapshot } from '../store.ts';
import { batchOfRows, type TableRowLists } from './row-batch.ts';

/** The store that runs are brought into. */
export interface Destination {
  claim(request: ClaimRequest): Promise<Claim>;
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
  /** Its events, the one called `started` included, but for number, uuid, slug and flow. */
  readonly events: readonly Pick<Row<'runs'>, 'event' | 'happened_at' | 'details'>[];
  /** The same rows in the same pieces whenever it is asked, as rows of the run at this place. */
  pieces(place: Place): AsyncIterable<TableRowLists>;
}

/** A run that a store knows by its uuid. */
export interface Known extends Place {
  /** `begun` is one whose bringing in has not ended. */
  readonly state: 'begun' | 'whole' | 'deleted';
}

/** The runs that a store has, by uuid: all of them, or the one that has a given uuid. */
export async function knownRuns(destination: Destination, only: string | null = null): Promise<Map<string, Known>> {
  const snapshot = await destination.snapshot();
  if (snapshot === null) return new Map();
  try {
    return await readKnown(snapshot, only);
  } finally {
    await snapshot.release();
  }
}

/** Why a run that a store knows is not brought in once more; null where it is to be. */
export function whySkipped(known: Known | undefined): string | null {
  if (known === undefined || known.state === 'begun') return null;
  return known.state === 'deleted'
    ? `it was here, as ${known.slug}, and has been deleted`
    : `it is here already, as ${known.slug}`;
}

/**
 * Gives a run a number and a slug of this store, its own slug if that is free. From then on the store knows its uuid, by an event
 * `merging`, so that another attempt goes on with the same place; of two that begin it at once, the one whose event was stored.
 */
export async function beginRun(
  destination: Destination,
  run: Incoming,
  known: Map<string, Known>,
  after?: number,
): Promise<Place> {
  const begun = known.get(run.uuid);
  if (begun !== undefined) return begun;
  const { uuid, flow } = run;
  const claim = await destination.claim({
    uuid,
    flow,
    drawSlug: ownSlugFirst(run.slug),
    ...(after === undefined ? {} : { after }),
  });
  try {
    const place = { number: claim.number, slug: claim.slug };
    const mark = { event: 'merging', happened_at: run.startedAt, details: JSON.stringify({ origin: run.origin }) };
    await write(destination, run, 1, { runs: [eventRow(run, place, mark)] });
    const stored = (await knownRuns(destination, uuid)).get(uuid) as Known; // just written, by us or by who was faster
    known.set(uuid, stored);
    return stored;
  } finally {
    await claim.release();
  }
}

/** Writes the rows of a run that has been begun, and last what happened to it, with which it counts as ended. */
export async function bringIn(destination: Destination, run: Incoming, place: Place): Promise<void> {
  let number = 2;
  for await (const rows of run.pieces(place)) await write(destination, run, number++, rows);
  const events = run.events.map((event) => {
    const details = event.event === 'started' ? withOrigin(event.details, run.origin) : event.details;
    return eventRow(run, place, { ...event, details });
  });
  await write(destination, run, number, { runs: events });
}

async function readKnown(snapshot: Snapshot, only: string | null): Promise<Map<string, Known>> {
  const { values, rowCount } = await snapshot.select({
    text: `SELECT uuid, min(run_number), arg_min(slug, run_number),
      CASE WHEN bool_or(event = 'deleted') THEN 'deleted' WHEN bool_or(event = 'merging') AND NOT bool_or(event = 'started') THEN 'begun' ELSE 'whole' END
      FROM raw.runs WHERE $1::VARCHAR IS NULL OR uuid = $1 GROUP BY uuid`,
    values: [only],
  });
  const [uuids = [], numbers = [], slugs = [], states = []] = values;
  return new Map(
    Array.from({ length: rowCount }, (_, row) => {
      return [
        uuids[row] as string,
        { number: numbers[row] as number, slug: slugs[row] as string, state: states[row] as Known['state'] },
      ];
    }),
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
