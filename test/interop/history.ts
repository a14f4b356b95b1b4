import { Flow, repeat, retry, type Storage, step, type StepFlow } from '../../src/index.ts';

/** Texts that a format with escapes, separators, terminators or several encodings gets wrong. */
const texts = [
  'plain',
  ' ',
  'größe, 漢字, 😀, e\u0301',
  'a NUL \0 inside',
  `quotes ' " \` and \\`,
  'lines\nof\r\ntext\r',
  '\uFEFFafter a byte order mark',
  '\u2028 and \u2029',
  'NULL',
  'NaN',
  '[1, {"a": null}]',
  'x'.repeat(100_000),
];

/** Numbers that tags have. Null is a tag without one. */
const numbers = [1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, null, 5e-324, 2 ** 53, -1 / 3];

/** The tags of one `measure`, in order. */
export const measured = texts.map((content, index) => ({ content, value: numbers[index % numbers.length] ?? null }));

const bytes = Uint8Array.from({ length: 300 }, (_, index) => index % 256);

/** Tags, logs and artifacts of every kind. */
export function measure(flow: StepFlow): void {
  for (const { content, value } of measured) {
    flow.tag(content, value);
    flow.log(content, value === null ? 'warning' : 'info');
  }
  flow.keep('result', { texts, numbers, when: new Date(1_750_000_000_123) });
  flow.keep('raw', bytes);
  flow.keep('empty', new Uint8Array(0));
  flow.keep('small', 1);
  flow.keep('small', 2, { overwrite: true });
}

function train(flow: StepFlow): void {
  const lr = flow.get(Number, 'lr');
  for (let epoch = 0; epoch < 20; epoch++) flow.tag('loss', lr / (epoch + 1));
  flow.push(measure, { note: texts.slice(0, -1).join('') });
}

function broken(): void {
  throw new Error(`broken on purpose: ${texts.slice(0, -1).join('')}`);
}

/** Every third attempt succeeds. */
function flaky(): (flow: StepFlow) => void {
  let attempts = 0;
  return (flow) => {
    flow.tag('attempt', ++attempts);
    if (attempts % 3 !== 0) throw new RangeError(`attempt ${attempts}`);
  };
}

/** Two runs of one flow and one of another: nested, failed and retried scopes, and values of every kind. */
export async function recordRuns(storage: Storage): Promise<void> {
  for (const [name, lr] of [
    ['study', 0.1],
    ['study', 0.01],
    ['größe', 1],
  ] as const) {
    await new Flow(name, storage, { logLevel: 'silent' })
      .tag('of the run', lr)
      .put({ lr })
      .push(repeat(train, 3), { lr, text: texts[2] })
      .push([retry(step('flaky', flaky()), 3), broken])
      .execute();
  }
}

/** One run whose every scope is flushed by itself, so that the log of each table that it writes grows by as many versions. */
export async function recordCommits(storage: Storage, commits: number): Promise<string> {
  const flow = new Flow('often', storage, { logLevel: 'silent' }).push(
    repeat(
      step('one', async (flow) => {
        flow.tag('round', 1);
        flow.log(texts[2]);
        flow.keep('result', bytes);
        await storage.flush();
      }),
      commits,
    ),
  );
  await flow.execute();
  return flow.run;
}
