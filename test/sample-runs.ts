import { Flow, type StepFlow, type Storage, step } from '../src/index.ts';

/** A text that quoting, escaping, encodings and line ends all could spoil. */
export const hardText = '\uFEFFit\'s "quoted", a\\b\n\r\t\0 🦦 ünï 中文 {"json": [1]}';

/** Two runs of `sample` and one of `other`: every kind of value, a failed scope, a retried one, references within and across runs. */
export async function sampleRuns(storage: Storage): Promise<void> {
  function first(flow: StepFlow): void {
    flow.tag('loss', 0.5);
    flow.tag('loss', Number.NaN);
    flow.tag('loss', Number.POSITIVE_INFINITY);
    flow.tag('loss', Number.NEGATIVE_INFINITY);
    flow.tag(hardText);
    flow.keep('json', { list: [1, null, 'x'], hardText });
    flow.keep('exact', [Number.NaN, undefined, 2n ** 70n, -0]);
    flow.keep('bytes', new Uint8Array([0, 255, 10, 13, 0]));
    flow.keep('again', 1);
    flow.keep('again', 2, { overwrite: true });
    flow.log(hardText, 'warning');
    flow.push(second, { lr: 0.1 }, { scope: flow.scope });
  }
  function second(flow: StepFlow): void {
    flow.keep('seen', flow.recall('json'));
  }
  function fails(): never {
    throw new RangeError(hardText);
  }
  const flow = new Flow('sample', storage, { logLevel: 'silent' }).put({ number: 7 }).tag('of the run', 1);
  flow.push([step('first', first), fails], { text: hardText });
  await flow.execute();
  const [found] = await storage.search('sample.first.*');
  const third = new Flow('sample', storage, { logLevel: 'silent' });
  third.push(second, {}, { scope: found }).tag(hardText, -1.5);
  await third.execute();
  await new Flow('other', storage, { logLevel: 'silent' }).push(step('nothing', () => {})).execute();
}

/** Everything that a storage shows, in which run numbers are replaced by how many runs there are before. */
export async function everything(storage: Storage): Promise<unknown> {
  const rank = (column: string) => `(SELECT count(*) FROM runs AS r WHERE r.run_number < ${column} // 4294967296)`;
  const sid = (column: string) => `${rank(column)} AS ${column}_rank, ${column} % 4294967296 AS ${column}_ordinal`;
  const ask = async (text: string): Promise<readonly unknown[]> => await storage.sql(Object.assign([text], { raw: [text] }));
  return {
    scopes: await ask(
      `SELECT * EXCLUDE (sid, run_number, parent_sid, ref_sid), ${['sid', 'parent_sid', 'ref_sid'].map(sid).join(', ')} FROM scopes ORDER BY sid`,
    ),
    tags: await ask(`SELECT * EXCLUDE (sid), ${sid('sid')} FROM tags ORDER BY sid, seq`),
    artifacts: await ask(
      `SELECT * EXCLUDE (sid) REPLACE (CASE WHEN strlen(text) > 10000 THEN md5(text) ELSE text END AS text), ${sid('sid')} FROM artifacts ORDER BY sid, seq`,
    ),
    logs: await ask(`SELECT * EXCLUDE (sid), ${sid('sid')} FROM logs ORDER BY sid, seq`),
    edges: await ask(`SELECT * EXCLUDE (sid, target_sid), ${sid('sid')}, ${sid('target_sid')} FROM edges ORDER BY sid`),
    runs: await ask(
      `SELECT * EXCLUDE (run_number, start_details), json_extract_string(start_details, '$.params.number') AS number FROM runs ORDER BY run_number`,
    ),
  };
}
