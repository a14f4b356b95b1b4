/**
 * A run whose scopes can be told whole from broken: each has one tag, one artifact and one log line, and all three say the scope's key,
 * `<label>-<index>`. Used with the sources by tests and with the built package by processes that are killed.
 *
 * @param marque the package, as imported
 * @param each called in every step, after what it recorded
 */
export function workFlow({ Flow, step }, storage, label, count, each) {
  const flow = new Flow('work', storage, { logLevel: 'silent', capture: false });
  const steps = Array.from({ length: count }, (_, index) =>
    step('work', (handle) => {
      const key = `${label}-${index}`;
      handle.tag(key, index);
      handle.keep('data', { key });
      handle.log(`did ${key}`);
      return each?.(index, handle);
    }),
  );
  return flow.push(steps);
}

/** The keys of a run of {@link workFlow}. */
export function keysOf(label, count) {
  return Array.from({ length: count }, (_, index) => `${label}-${index}`);
}

/**
 * The keys of all scopes in a store, sorted. Throws where one is not whole or is there twice. A store that is not there holds none. The
 * raw tables say the same of scopes that are there as the views do, in half the time, and this is asked a thousand times.
 */
export async function heldBy(storage) {
  let rows;
  try {
    rows = await storage.sql`
      WITH tag AS (SELECT sid, list(content) AS said FROM raw.tags WHERE step = 'work' GROUP BY sid),
        log AS (SELECT sid, list(message) AS said FROM raw.logs WHERE step = 'work' GROUP BY sid),
        artifact AS (SELECT sid, list("text") AS said FROM raw.artifacts WHERE step = 'work' GROUP BY sid)
      SELECT id, status, tag.said AS tags, log.said AS logs, artifact.said AS artifacts
      FROM scopes LEFT JOIN tag USING (sid) LEFT JOIN log USING (sid) LEFT JOIN artifact USING (sid) WHERE step = 'work'`;
  } catch (error) {
    if (error.code === 'STORE_PATH' && /nothing has been written yet|run a flow/.test(error.message)) return [];
    throw error;
  }
  const keys = rows.map(({ id, status, tags, logs, artifacts }) => {
    const key = tags?.[0];
    const whole = JSON.stringify(['ok', [key], [`did ${key}`], [JSON.stringify({ key })]]);
    const found = JSON.stringify([status, tags, logs, artifacts]);
    if (found !== whole) throw new Error(`the scope ${id} is not whole: ${found}`);
    return key;
  });
  const twice = keys.filter((key, index) => keys.indexOf(key) !== index);
  if (keys.length < 1_000 && twice.length > 0) throw new Error(`scopes are there twice: ${twice.join(', ')}`);
  if (new Set(keys).size !== keys.length) throw new Error('scopes are there twice');
  return keys.sort();
}
