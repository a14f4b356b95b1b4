import { join } from 'node:path';
import type { ClaimedRun } from './claim-check.ts';
import { namesIn } from './files.ts';
import { isGone, segmentFaults } from './segment-faults.ts';
import type { SegmentFile } from './segment.ts';
import type { SegmentWriter } from './segment-writer.ts';

/** A file of a claim that is missing although its run has been recorded: somebody else could be given the number, or the slug. */
export interface LostClaim {
  readonly file: string;
  readonly run: RecordedRun;
}

/** A run as the table `runs` has it. */
export interface RecordedRun extends ClaimedRun {
  /** Whether it has ended, been found dead or been deleted. */
  readonly isOver: boolean;
}

/** The runs that the table `runs` names, by number. Segments that are damaged, or have gone since, say nothing. */
export async function recordedRuns(
  folder: string,
  segments: readonly SegmentFile[],
  writer: SegmentWriter,
): Promise<ReadonlyMap<number, RecordedRun>> {
  const faulty = new Set((await segmentFaults(folder, 'runs', segments, writer)).map(({ segment }) => segment));
  const names = segments.filter((segment) => !faulty.has(segment)).map(({ name }) => name);
  if (names.length === 0) return new Map();
  const text = `SELECT run_number, min(uuid), min(slug), min(flow), bool_or(event NOT IN ('started', 'resumed', 'merging'))
    FROM read_parquet($1, hive_partitioning = false) GROUP BY run_number ORDER BY run_number`;
  const found = await writer.ask(text, 'runs', names).catch((error: unknown) => {
    if (isGone(error)) return null;
    throw error;
  });
  const [numbers, uuids, slugs, flows, over] = (found?.values ?? [[], [], [], [], []]) as [
    number[],
    string[],
    string[],
    string[],
    boolean[],
  ];
  return new Map(
    numbers.map((number, row) => [
      number,
      {
        number,
        uuid: uuids[row] as string,
        slug: slugs[row] as string,
        flow: flows[row] as string,
        isOver: over[row] as boolean,
      },
    ]),
  );
}

/** Which of these runs have lost a claim. They have to be read before this looks: a claim comes before any row. */
export async function lostClaims(place: string, runs: ReadonlyMap<number, RecordedRun>): Promise<readonly LostClaim[]> {
  const names = new Set(await namesIn(place));
  return [...runs.values()].flatMap((run) =>
    [`${run.number}.json`, `${run.slug}.json`]
      .filter((name) => !names.has(name))
      .map((name) => ({ file: join(place, name), run })),
  );
}

/**
 * The text of a claim that keeps the number and the slug of a run taken. It is nobody's: whether the process of a run that is not over lives
 * cannot be told any more, but for its heartbeat, which goes on.
 */
export function claimOfNobody({ number, uuid, slug, flow, isOver }: RecordedRun): string {
  const nobody = { host: '', bootId: null, pid: 0, processStartedAt: null, pidNamespace: null };
  const now = new Date().toISOString();
  const end = isOver ? { abandonedAt: now } : {};
  return `${JSON.stringify({ uuid, flow, ...nobody, claimedAt: now, number, slug, ...end }, null, 2)}\n`;
}
