import type { BatchId } from '../store.ts';
import type { Segment } from './table-state.ts';

const ending = '-deleted/0';

/** How that reads in the name of a segment. */
const inName = '-deleted-0-';

/** The batch that says that a run is deleted, with the event and nothing else: the same whoever deletes it, so it is stored once. */
export function deletionOf(uuid: string): BatchId {
  return { writer: `${uuid}${ending}`, number: 1 };
}

/** Whether a batch is one of those. */
export function isDeletion({ writer }: BatchId): boolean {
  return writer.endsWith(ending);
}

/**
 * The numbers of deleted runs that may have rows left, by the segments of the table `runs`: those whose event stands in a segment of its
 * own. It is merged into another only when their rows have gone.
 */
export function openDeletions(segments: readonly Segment[]): readonly number[] {
  return segments.flatMap((segment) => deletedBy(segment) ?? []);
}

/** The number of the run whose deletion is what a segment of the table `runs` holds; null where it holds something else. */
export function deletedBy(segment: Segment): number | null {
  if (!segment.name.includes(inName)) return null; // of thousands of others nothing else is worked out
  const number = segment.stats['run_number']?.min;
  return segment.batch !== null && isDeletion(segment.batch) && typeof number === 'number' ? number : null;
}
