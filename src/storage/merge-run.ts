import { tableNames } from '../schema.ts';
import { defaultSegmentBytes, mergeSegments, piecesOf } from './compact.ts';
import type { Tables } from './tables.ts';

/** With fewer small segments of a run in a table, merging them would save a reader less than it costs. */
const worthMerging = 4;

/** Merges the small segments that a run, which has ended, has left in the tables. */
export async function mergeRun(tables: Tables, uuid: string): Promise<void> {
  for (const table of tableNames) {
    await mergeSegments(tables, table, (segments) => {
      const own = segments.filter(({ batch }) => batch?.writer.startsWith(`${uuid}/`) === true);
      return piecesOf(table, own, defaultSegmentBytes).filter((piece) => piece.length >= worthMerging);
    });
  }
}
