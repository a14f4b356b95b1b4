import { nearestName } from '../name.ts';
import { sidOf } from '../sid.ts';
import type { Arrivals, Destination, Known } from './bring-in.ts';
import { type PythonRun, pythonUuid, splitPythonId } from './python-scope.ts';

/** The uuid of a run of the Python package in a store, and why it is not to be brought in; null where it is. */
export interface Identity {
  readonly uuid: string;
  readonly why: string | null;
}

/**
 * Recognises a run that has been imported before, also where it has grown since, or the store was copied or renamed: by its flow and name, and
 * by its scopes, since the names are few enough that two runs may have the same.
 */
export async function identify(run: PythonRun, arrivals: Arrivals, destination: Destination): Promise<Identity> {
  for (let copy = 0; ; copy++) {
    const uuid = pythonUuid(run, copy);
    const known = arrivals.known(uuid);
    if (known === undefined) return { uuid, why: null };
    if (known.state === 'dropped') continue; // its batches are taken
    const why = arrivals.whySkipped({ uuid, content: run.content });
    if (known.state === 'deleted' || known.content === run.content) return { uuid, why };
    const kinship = await kinshipOf(run, known, destination);
    if (kinship === 'other') continue;
    if (known.state === 'begun' || kinship === 'same') return { uuid, why };
    return {
      uuid,
      why: `it is here already, as ${known.slug}, and has grown since it was imported: none of it is brought in again`,
    };
  }
}

/** What the scopes of a run say of the run that is known by its name. A step and a path of two words are drawn anew for each. */
async function kinshipOf(run: PythonRun, { number }: Known, destination: Destination): Promise<'same' | 'grown' | 'other'> {
  const { count, ids } = await storedScopes(destination, number);
  let found = 0;
  for await (const { id } of run.scopes()) {
    const { step, path } = splitPythonId(id) as { step: string; path: string };
    if (ids.delete(`${nearestName('step', step)}.${nearestName('run', path)}`)) found++;
  }
  if (found < ids.size) return 'other'; // most of those that are here are not there: chance
  return run.count > count ? 'grown' : 'same';
}

async function storedScopes(
  destination: Destination,
  number: number,
): Promise<{ readonly count: number; readonly ids: Set<string> }> {
  const snapshot = await destination.snapshot();
  if (snapshot === null) return { count: 0, ids: new Set() };
  try {
    const { values, rowCount } = await snapshot.select({
      text: `SELECT step || '.' || path FROM raw.scopes WHERE sid BETWEEN $1 AND $2`,
      values: [BigInt(sidOf(number, 0)), BigInt(sidOf(number + 1, 0) - 1)],
    });
    return { count: rowCount, ids: new Set(values[0] as readonly string[]) };
  } finally {
    await snapshot.release();
  }
}
