import type { StepFlow, Storage } from 'marque';
import type { Hyperparameters } from './hyperparameters.ts';

/** One cell of the grid over all splits: how many there were, and the mean and standard deviation of its accuracy. */
export interface Standing extends Hyperparameters {
  readonly n: number;
  readonly mean: number;
  readonly sd: number | null;
}

/**
 * The best cells of a run, best first: by mean, then by steadiness, then the simplest. Works on a storage and from inside a
 * step alike. Means are rounded, so that the order in which a database adds up cannot break a tie.
 */
export async function leaderboard(from: Pick<StepFlow | Storage, 'sql'>, run: string, limit: number): Promise<Standing[]> {
  return await from.sql<Standing>`
    SELECT
      CAST(scopes.params ->> 'neighbours' AS INTEGER) AS neighbours,
      CAST(scopes.params ->> 'petals' AS DOUBLE) AS petals,
      CAST(scopes.params ->> 'widths' AS DOUBLE) AS widths,
      CAST(count(*) AS INTEGER) AS n,
      round(avg(tags.value), 6) AS mean,
      round(stddev_samp(tags.value), 6) AS sd
    FROM scopes JOIN tags ON tags.sid = scopes.sid
    WHERE scopes.run = ${run} AND scopes.step = 'evaluate' AND scopes.status = 'ok' AND tags.content = 'mean accuracy'
    GROUP BY ALL
    ORDER BY mean DESC, sd, neighbours, petals, widths
    LIMIT CAST(${limit} AS BIGINT)`;
}

/** A leaderboard as lines of text under a heading, columns aligned. */
export function formatLeaderboard(standings: readonly Standing[]): string {
  const heading = ['neighbours', 'petals', 'widths', 'n', 'mean accuracy', 'sd'];
  const rows = standings.map(({ neighbours, petals, widths, n, mean, sd }) => {
    return [`${neighbours}`, `${petals}`, `${widths}`, `${n}`, mean.toFixed(4), sd?.toFixed(4) ?? ''];
  });
  const lengths = heading.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [heading, ...rows].map((row) => row.map((text, column) => text.padStart(lengths[column] ?? 0)).join('  ')).join('\n');
}
