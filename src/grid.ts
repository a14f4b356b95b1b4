import { MarqueError, show } from './error.ts';
import type { Within } from './extent.ts';
import { canonicalJson } from './json.ts';
import type { Snapshot, SqlValue } from './store.ts';

/** Names of parameters, each with its values, or with `observed` for all that any of the scopes has. */
export type Grid = Readonly<Record<string, readonly unknown[] | 'observed'>>;

/** A grid of more points is refused. */
const mostPoints = 1_000_000;

/** A grid that can be asked about. */
interface CheckedGrid {
  /** As `coverage.sql` takes it: null for what is to be observed. */
  readonly json: string;
  /** Of the values that are given. */
  readonly points: number;
  /** The names of the parameters whose values are not known before the store is asked. */
  readonly observed: readonly string[];
}

/** Throws OPTION_INVALID, also where the given values alone make more than a million points; their number is looked at first. */
export function checkGrid(grid: Grid): CheckedGrid {
  if (typeof grid !== 'object' || grid === null || Array.isArray(grid) || Object.keys(grid).length === 0)
    invalid('grid', grid, 'an object of names, each with the list of its values');
  const axes: readonly [string, unknown][] = Object.entries(grid);
  let points = 1;
  for (const [name, values] of axes) {
    if (values === 'observed') continue;
    if (!Array.isArray(values) || values.length === 0) invalid(`grid.${name}`, values, "a list of values, or 'observed'");
    points *= values.length;
  }
  checkCount(points);
  const members = axes.map(
    ([name, values]) => `${JSON.stringify(name)}:${axisJson(name, values as readonly unknown[] | 'observed')}`,
  );
  return {
    json: `{${members.join(',')}}`,
    points,
    observed: axes.flatMap(([name, values]) => (values === 'observed' ? [name] : [])),
  };
}

/**
 * Counts the values that are there to be observed. Throws OPTION_INVALID where with them the grid has more than a million points.
 *
 * @param about the scopes that are asked about, as in `coverage.sql`
 */
export async function checkPoints(
  snapshot: Snapshot,
  { points, observed }: CheckedGrid,
  about: { readonly flow: SqlValue; readonly step: SqlValue; readonly runs: SqlValue },
  within: Within,
): Promise<void> {
  if (observed.length === 0) return;
  const { values } = await snapshot.select({ text: levelsText, values: [about.flow, about.step, about.runs, observed], within });
  checkCount((values[0] as readonly number[]).reduce((product, levels) => product * levels, points));
}

/** How many values each of the parameters `$4` has among those scopes. */
const levelsText = `
  WITH
    names AS (SELECT unnest($4::VARCHAR[]) AS name),
    texts AS (
      SELECT DISTINCT s.params
      FROM scopes AS s
      WHERE
        s.status IN ('ok', 'error')
        AND ($1::VARCHAR IS NULL OR s.flow = $1::VARCHAR)
        AND ($2::VARCHAR IS NULL OR s.step = $2::VARCHAR)
        AND ($3::VARCHAR[] IS NULL OR s.run IN (SELECT unnest($3::VARCHAR[])))
    )
  SELECT count(DISTINCT CAST(json_extract(t.params, '/' || replace(replace(n.name, '~', '~0'), '/', '~1')) AS VARCHAR))
  FROM names AS n
  LEFT JOIN texts AS t ON true
  GROUP BY n.name`;

function axisJson(name: string, values: readonly unknown[] | 'observed'): string {
  if (values === 'observed') return 'null';
  const levels = new Set<string>();
  for (const value of values) {
    const level = levelJson(name, value);
    if (levels.has(level)) invalid(`grid.${name}`, values, `each value once, ${level.slice(0, 80)} is there twice`);
    levels.add(level);
  }
  return `[${[...levels].join(',')}]`;
}

/** As parameters are recorded. */
function levelJson(name: string, value: unknown): string {
  if (value === undefined || Number.isNaN(value)) invalid(`grid.${name}`, value, 'values that equal themselves in JSON');
  return canonicalJson(value);
}

function checkCount(points: number): void {
  if (points > mostPoints)
    throw new MarqueError('OPTION_INVALID', `the grid has ${points} points: give one of at most ${mostPoints}`);
}

function invalid(option: string, value: unknown, wanted: string): never {
  throw new MarqueError('OPTION_INVALID', `${option} is ${show(value)}: give ${wanted}`);
}
