import type { DeltaActions } from './delta-actions.ts';
import { deltaProtocol, type Needs } from './delta-entry.ts';
import type { Range, SegmentFile, Stats } from './segment.ts';
import type { TableState } from './table-state.ts';

/**
 * What a log adds up to, in a form of our own: JSON lines of which each is a column, so that the thousand segments of a table are parsed by
 * some twenty calls, and what a query does not ask for is never made. The first line says what there is once.
 */

interface Head {
  readonly version: number;
  /** Epoch milliseconds. */
  readonly committedAt: number;
  readonly needs: Needs;
  readonly metaData: { readonly configuration?: Readonly<Record<string, string>> };
  /** The columns that have ranges: each has three lines, of which one, `nulls`, tells by null in which segments it has none. */
  readonly ranged: readonly string[];
}

/** The columns of the segments, in the order in which they were added. */
interface Columns {
  readonly names: readonly string[];
  readonly bytes: readonly number[];
  readonly rows: readonly (number | null)[];
  readonly checksums: readonly (string | null)[];
  readonly ranges: readonly RangeColumn[];
}

interface RangeColumn {
  readonly name: string;
  readonly min: readonly Range['min'][];
  readonly max: readonly Range['max'][];
  readonly nulls: readonly (number | null)[];
}

/** The lines of a state; `tombstones` are the removed segments to keep, by name, with the time in epoch milliseconds. */
export function* packState(state: TableState, tombstones: ReadonlyMap<string, number>): Generator<string> {
  const { segments, needs } = state.capture();
  const ranged = [...new Set(segments.flatMap(({ stats }) => Object.keys(stats)))];
  const { version, committedAt, metaData } = state;
  yield JSON.stringify({ version, committedAt, needs, metaData, ranged } satisfies Head);
  for (const pairs of [state.batches, tombstones]) {
    yield JSON.stringify([...pairs.keys()]);
    yield JSON.stringify([...pairs.values()]);
  }
  const column = (of: (segment: SegmentFile) => unknown): string => JSON.stringify(segments.map(of));
  yield column(({ name }) => name);
  yield column(({ bytes }) => bytes);
  yield column(({ rows }) => rows);
  yield column(({ checksum }) => checksum);
  for (const name of ranged) {
    for (const end of ['min', 'max', 'nulls'] as const) yield column(({ stats }) => stats[name]?.[end] ?? null);
  }
}

/** Reads what {@link packState} gave. That it is as it was written, and of this form, is for the caller to know. */
export function unpackState(text: string): { readonly version: number; readonly actions: DeltaActions } {
  const lines = text.split('\n').values();
  const next = <T>(): T => JSON.parse(lines.next().value as string) as T;
  const { version, committedAt, needs, metaData, ranged } = next<Head>();
  const [writers, numbers, removed, removedAt] = [next<string[]>(), next<number[]>(), next<string[]>(), next<number[]>()];
  const columns: Columns = {
    names: next(),
    bytes: next(),
    rows: next(),
    checksums: next(),
    ranges: ranged.map((name) => ({ name, min: next(), max: next(), nulls: next() })),
  };
  const actions: DeltaActions = {
    added: columns.names.map((_, index) => new PackedSegment(columns, index)),
    removed: removed.map((name, index) => ({ name, removedAt: removedAt[index] as number })),
    batches: writers.map((writer, index) => ({ writer, number: numbers[index] as number })),
    metaData,
    formatVersion: metaData.configuration?.['marque.formatVersion'] ?? null,
    protocol: deltaProtocol,
    committedAt,
    operation: null,
    needs,
    rebuilt: [],
    isOurs: true,
    isSigned: false,
  };
  return { version, actions };
}

/** One row of the columns. */
class PackedSegment implements SegmentFile {
  readonly #columns: Columns;
  readonly #index: number;

  constructor(columns: Columns, index: number) {
    this.#columns = columns;
    this.#index = index;
  }

  get name(): string {
    return this.#columns.names[this.#index] as string;
  }

  get bytes(): number {
    return this.#columns.bytes[this.#index] as number;
  }

  get rows(): number | null {
    return this.#columns.rows[this.#index] as number | null;
  }

  get checksum(): string | null {
    return this.#columns.checksums[this.#index] as string | null;
  }

  get stats(): Stats {
    const stats: Record<string, Range> = {};
    for (const { name, min, max, nulls } of this.#columns.ranges) {
      const count = nulls[this.#index] as number | null;
      if (count !== null)
        stats[name] = { min: min[this.#index] as Range['min'], max: max[this.#index] as Range['max'], nulls: count };
    }
    return stats;
  }
}
