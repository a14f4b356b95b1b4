import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { tableFromArrays } from 'apache-arrow';
import { Flow, ParquetStorage, repeat, type StepFlow } from 'marque';
import { tag } from '../src/predicate.ts';
import type { Comparison, Contender } from './compare.ts';
import { HandWritten } from './hand-written.ts';
import { flowOf, type Size, slugOf, type SweepScope, sweepScopes, writeSweepStore } from './sweep-store.ts';

/**
 * Questions to a history of a thousand runs, none of them compacted, each answered three times: by hand (somebody who knows DuckDB, the store
 * and the question), by this library, and by looking at every scope as an object, as a tool does that has no database.
 * All three have to give the same answer. The goal: at most 1.3 times what the query by hand takes, or at most 10 ms more.
 *
 * `BENCH_SIZE=small` or `large` asks a history of a hundredth or ten times the scopes; `BENCH_STORE=<folder>` keeps it for the next time.
 */
const sizes: Readonly<Record<string, Size>> = {
  small: { runs: 100, scopesPerRun: 100 },
  usual: { runs: 1_000, scopesPerRun: 1_000 },
  large: { runs: 1_000, scopesPerRun: 10_000 },
};
const size = sizes[process.env.BENCH_SIZE ?? 'usual'] as Size;
const scopeCount = size.runs * size.scopesPerRun;
/** Ten million scopes as objects do not fit into the memory of most machines. */
const hasObjects = scopeCount <= 1_000_000;
/** Scopes that are not flushed, in the last question. */
const unflushed = 20_000;

const temporary = mkdtempSync(join(tmpdir(), 'marque-bench-'));
const folder = process.env.BENCH_STORE ?? join(temporary, 'history');
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
if (!existsSync(folder)) {
  console.log(`\nsearch: writing ${scopeCount.toLocaleString('en-US')} scopes`);
  await writeSweepStore(folder, size);
}
const storage = new ParquetStorage(folder);
const hand = await HandWritten.open(folder);

/** A scope as a tool without a database has it in memory. */
interface PlainScope extends SweepScope {
  readonly id: string;
  readonly flow: string;
  readonly run: string;
}

const objects: readonly PlainScope[] = hasObjects ? [...plainScopes()] : [];

interface Question {
  readonly title: string;
  readonly byHand: () => Promise<unknown>;
  readonly ours: () => Promise<unknown>;
  readonly scan?: () => unknown;
}

/** The last run of the flow `sweep`. */
const lastSweep = flowOf(size.runs) === 'sweep' ? size.runs : size.runs - 1;
const middle = slugOf(Math.floor(size.runs / 2) + 1);
const visible = `status <> 'retried'`;
const id = `concat_ws('.', flow, step, run, path) AS id`;
const allScopes = hand.files('scopes');
const allTags = hand.files('tags');
const thousandth = 1_000 / scopeCount; // a threshold that about a thousand scopes pass

const questions: readonly Question[] = [
  {
    // By the log the flow's newest file is known, and it has train steps.
    title: 'ids of the latest run of a step',
    byHand: () =>
      ids(`SELECT ${id} FROM ${hand.files('scopes', { flow: 'sweep', step: 'train' }, 1)}
        WHERE flow = 'sweep' AND step = 'train' AND ${visible} ORDER BY sid DESC`),
    ours: () => storage.search('sweep.train.*').ids(),
    scan: () => scan((scope) => scope.run === slugOf(lastSweep) && scope.step === 'train'),
  },
  {
    // The same files as above, scopes and tags of one run; the rows become objects with their tags.
    title: 'a hundred scopes of the latest run of a step, with their tags',
    byHand: () => handScopes(100),
    ours: async () => (await storage.search('sweep.train.*', { limit: 100 })).map(({ id, tags }) => ({ id, tags })),
    scan: () =>
      objects
        .filter((scope) => scope.run === slugOf(lastSweep) && scope.step === 'train' && scope.status !== 'retried')
        .toReversed()
        .slice(0, 100)
        .map(({ id, tags }) => ({ id, tags })),
  },
  {
    // The log says which file holds the run.
    title: 'ids of one run',
    byHand: () =>
      ids(`SELECT ${id} FROM ${hand.files('scopes', { run: middle })} WHERE run = '${middle}' AND ${visible} ORDER BY sid DESC`),
    ours: () => storage.search(`*.*.${middle}.*`).ids(),
    scan: () => scan((scope) => scope.run === middle),
  },
  {
    // The files of the flow, nine of ten.
    title: 'how many match a prefix glob',
    byHand: () =>
      value(`SELECT count(*) FROM ${hand.files('scopes', { flow: 'sweep' })}
        WHERE flow = 'sweep' AND starts_with(step, 'tr') AND ${visible}`),
    ours: () => storage.search('sweep.tr*', { runs: 'all' }).count(),
    scan: () => scan(({ flow, step }) => flow === 'sweep' && step.startsWith('tr')).length,
  },
  {
    // All files: nothing is known of paths, but that they are the end of ids.
    title: 'ids that match a suffix glob',
    byHand: () => ids(`SELECT ${id} FROM ${allScopes} WHERE ends_with(path, '-77') AND ${visible} ORDER BY sid DESC`),
    ours: () => storage.search('*-77', { runs: 'all' }).ids(),
    scan: () => scan(({ id }) => id.endsWith('-77')),
  },
  {
    // All files of both tables: every run has such tags.
    title: 'ids by a threshold of a tag, a thousand of all',
    byHand: () =>
      ids(`SELECT ${id} FROM ${allScopes} WHERE ${visible}
        AND sid IN (SELECT sid FROM ${allTags} WHERE content = 'loss' AND value < ${thousandth}) ORDER BY sid DESC`),
    ours: () => storage.search('*', { runs: 'all', where: tag('loss').lt(thousandth) }).ids(),
    scan: () => scan(({ tags }) => tags.some(({ content, value }) => content === 'loss' && (value as number) < thousandth)),
  },
  {
    // All files of both tables.
    title: 'ids by two tags combined',
    byHand: () =>
      ids(`SELECT ${id} FROM ${allScopes} WHERE ${visible}
        AND sid IN (SELECT sid FROM ${allTags} WHERE content = 'loss' AND value < 0.03)
        AND sid IN (SELECT sid FROM ${allTags} WHERE content = 'accuracy' AND value > 0.97) ORDER BY sid DESC`),
    ours: () => storage.search('*', { runs: 'all', where: [tag('loss').lt(0.03), tag('accuracy').gt(0.97)] }).ids(),
    scan: () =>
      scan(
        ({ tags }) =>
          tags.some(({ content, value }) => content === 'loss' && (value as number) < 0.03) &&
          tags.some(({ content, value }) => content === 'accuracy' && (value as number) > 0.97),
      ),
  },
  {
    // The same condition written as SQL, since by hand nobody calls JavaScript.
    title: 'how many pass a JavaScript where over contents',
    byHand: () =>
      value(`SELECT count(*) FROM ${allScopes} WHERE ${visible}
        AND sid IN (SELECT sid FROM ${allTags} WHERE content LIKE 'model=l%')`),
    ours: () => storage.search('*', { runs: 'all', where: (tag) => tag.content.startsWith('model=l') }).count(),
    scan: () => scan(({ tags }) => tags.some(({ content }) => content.startsWith('model=l'))).length,
  },
  {
    // As above; each of the million losses is another, so a where that reads values has to see all of them.
    title: 'how many pass a JavaScript where over values, all of them distinct',
    byHand: () =>
      value(`SELECT count(*) FROM ${allScopes} WHERE ${visible}
        AND sid IN (SELECT sid FROM ${allTags} WHERE content = 'loss' AND value < ${thousandth})`),
    ours: () =>
      storage.search('*', { runs: 'all', where: (tag) => tag.content === 'loss' && (tag.value as number) < thousandth }).count(),
    scan: () =>
      scan(({ tags }) => tags.some(({ content, value }) => content === 'loss' && (value as number) < thousandth)).length,
  },
  {
    // By the log the newest file is known; the tags of the one scope come from the newest file of tags.
    title: 'the first of all, with its tags',
    byHand: async () => {
      const [[first], [sid]] = (await hand.columns(
        `SELECT ${id}, sid FROM ${hand.files('scopes', {}, 1)} WHERE ${visible} ORDER BY sid DESC LIMIT 1`,
      )) as [string[], bigint[]];
      const [contents, values] = await hand.columns(
        `SELECT content, value FROM ${hand.files('tags', {}, 1)} WHERE sid = ${sid} ORDER BY seq`,
      );
      return { id: first, tags: contents?.map((content, row) => ({ content, value: values?.[row] })) };
    },
    ours: async () => {
      const first = await storage.search('*', { runs: 'all' }).first();
      return { id: first?.id, tags: first?.tags };
    },
    scan: () => {
      const { id, tags } = objects.findLast(({ status }) => status !== 'retried') as PlainScope;
      return { id, tags };
    },
  },
  {
    // All files.
    title: 'how many there are',
    byHand: () => value(`SELECT count(*) FROM ${allScopes} WHERE ${visible}`),
    ours: () => storage.search('*', { runs: 'all' }).count(),
    scan: () => scan(() => true).length,
  },
  {
    // The files of the flow. Whoever asks knows that a scope has each tag once and which type each parameter has; our statement finds that
    // out. Rows to JavaScript columns by hand, to Arrow in ours.
    title: 'a wide table of one step: two tags and two parameters of each scope',
    byHand: async () => {
      const columns = await hand.columns(`
        SELECT ${id}, s.sid, flow, run, step, status, started_at, duration_ms, (params ->> 'lr')::DOUBLE AS param_lr,
          params ->> 'model' AS param_model, tag_loss, tag_accuracy
        FROM (FROM ${hand.files('scopes', { flow: 'sweep' })} WHERE flow = 'sweep' AND step = 'load' AND ${visible}) AS s
        JOIN (
          SELECT sid, any_value(value) FILTER (content = 'loss') AS tag_loss,
            any_value(value) FILTER (content = 'accuracy') AS tag_accuracy
          FROM ${hand.files('tags', { flow: 'sweep' })}
          WHERE flow = 'sweep' AND step = 'load' AND content IN ('loss', 'accuracy') GROUP BY sid
        ) AS t ON t.sid = s.sid
        ORDER BY s.sid`);
      return [columns[0]?.length, columns[10]?.at(-1), columns[9]?.[0]];
    },
    ours: async () => {
      const table = await storage
        .wide({ flow: 'sweep', step: 'load', params: ['lr', 'model'], tags: ['loss', 'accuracy'] })
        .toArrow();
      return [table.numRows, table.at(-1)?.tag_loss, table.at(0)?.param_model];
    },
  },
  {
    // The files of the flow; the interval by the normal distribution, where ours has Student's.
    title: 'the leaderboard of a tag by a parameter',
    byHand: async () =>
      best(
        await hand.columns(`
          SELECT step, params ->> 'model' AS model, count(*)::DOUBLE AS n, avg(value) AS mean, stddev_samp(value) AS sd,
            mean - 1.96 * sd / sqrt(n) AS ci_low, mean + 1.96 * sd / sqrt(n) AS ci_high, min(value), max(value)
          FROM ${hand.files('scopes', { flow: 'sweep' })} AS s
          JOIN (SELECT sid, value FROM ${hand.files('tags', { flow: 'sweep' })} WHERE flow = 'sweep' AND content = 'loss') AS t
            ON t.sid = s.sid
          WHERE s.flow = 'sweep' AND ${visible} GROUP BY ALL ORDER BY mean`),
      ),
    ours: async () =>
      (await storage.best('loss', { order: 'lowest', flow: 'sweep', by: ['model'] })).map(({ step, params, n, mean }) =>
        [step, (JSON.parse(params) as { model: string }).model, n, (mean as number).toFixed(9)].join(' '),
      ),
  },
  {
    // All files of both tables; by hand the columns of the bindings become an Arrow table by apache-arrow's own means.
    title: 'a million rows as an Arrow table',
    byHand: async () => {
      const [run, loss] = await hand.columns(
        `SELECT run, value AS loss FROM ${allTags} WHERE content = 'loss' AND sid IN (SELECT sid FROM ${allScopes})`,
      );
      return tableFromArrays({ run: run as string[], loss: Float64Array.from(loss as number[]) }).numRows;
    },
    ours: async () => (await storage.sql`SELECT run, value AS loss FROM tags WHERE content = 'loss'`.toArrow()).numRows,
    scan: () => {
      const losses = objects.flatMap(({ run, tags }) =>
        tags.filter(({ content }) => content === 'loss').map(({ value }) => ({ run, value: value as number })),
      );
      const loss = Float64Array.from(losses, ({ value }) => value);
      return tableFromArrays({ run: losses.map(({ run }) => run), loss }).numRows;
    },
  },
  {
    // The unflushed rows stand in a table of DuckDB's own, as if that had come for free.
    title: `ids by a tag of a running flow, ${unflushed.toLocaleString('en-US')} scopes of it not flushed`,
    byHand: async () => {
      const run = (await running()).id.split('.')[2] as string;
      return await ids(`SELECT concat_ws('.', 'live', 'work', '${run}', path) AS id FROM live_scopes
        WHERE sid IN (SELECT sid FROM live_tags WHERE content = 'loss' AND value < 0.05) ORDER BY sid DESC`);
    },
    ours: async () => await (await running()).search('live.work.*', { where: tag('loss').lt(0.05) }).ids(),
  },
];

async function ids(sql: string): Promise<unknown> {
  return (await hand.columns(sql))[0];
}

async function value(sql: string): Promise<number> {
  return Number((await hand.columns(sql))[0]?.[0]);
}

function best(columns: unknown[][]): string[] {
  const [steps, models, counts, means] = columns as [string[], string[], number[], number[]];
  return steps.map((step, row) => [step, models[row], counts[row], means[row]?.toFixed(9)].join(' '));
}

async function handScopes(limit: number): Promise<unknown> {
  const newest = { flow: 'sweep', step: 'train' } as const;
  const [names, sids] = (await hand.columns(
    `SELECT ${id}, sid FROM ${hand.files('scopes', newest, 1)}
      WHERE flow = 'sweep' AND step = 'train' AND ${visible} ORDER BY sid DESC LIMIT ${limit}`,
  )) as [string[], bigint[]];
  const [owners, contents, values] = (await hand.columns(
    `SELECT sid, content, value FROM ${hand.files('tags', newest, 1)}
      WHERE sid BETWEEN ${sids.at(-1)} AND ${sids[0]} ORDER BY sid, seq`,
  )) as [bigint[], string[], (number | null)[]];
  const tagsOf = new Map(sids.map((sid) => [sid, [] as unknown[]]));
  owners.forEach((sid, row) => tagsOf.get(sid)?.push({ content: contents[row], value: values[row] }));
  return names.map((id, row) => ({ id, tags: tagsOf.get(sids[row] as bigint) }));
}

function scan(passes: (scope: PlainScope) => boolean): string[] {
  const found: string[] = [];
  for (let index = objects.length - 1; index >= 0; index--) {
    const scope = objects[index] as PlainScope;
    if (scope.status !== 'retried' && passes(scope)) found.push(scope.id);
  }
  return found;
}

function* plainScopes(): Generator<PlainScope> {
  for (let run = 1; run <= size.runs; run++) {
    const [flow, slug] = [flowOf(run), slugOf(run)];
    for (const scope of sweepScopes(run, size.scopesPerRun))
      yield { ...scope, id: `${flow}.${scope.step}.${slug}.${scope.path}`, flow, run: slug };
  }
}

let live: Promise<StepFlow> | null = null;
let letGo: (() => void) | null = null;
let ended: Promise<unknown> | null = null;

/** A step of a flow that has recorded its scopes and flushed none; it goes on until the benchmark is through. */
async function running(): Promise<StepFlow> {
  live ??= new Promise((resolve, reject) => {
    const gate = new Promise<void>((open) => (letGo = open));
    function work(flow: StepFlow): void {
      flow.tag('loss', ((Number(flow.path.slice('0-'.length)) * 7_919) % 1_000) / 1_000);
    }
    async function ask(flow: StepFlow): Promise<void> {
      await hand.run(`CREATE TABLE live_scopes AS SELECT range AS sid, '0-' || range AS path FROM range(${unflushed})`);
      await hand.run(`CREATE TABLE live_tags AS
        SELECT range AS sid, 'loss' AS content, ((range * 7919) % 1000)::DOUBLE / 1000 AS value FROM range(${unflushed})`);
      resolve(flow);
      await gate;
    }
    const rarely = { scopes: 10 * unflushed, bytes: 2 ** 27, ms: Infinity };
    const own = new ParquetStorage(join(temporary, 'live'), { flush: rarely });
    const flow = new Flow('live', own, { capture: false, logLevel: 'silent' }).push(repeat(work, unflushed)).push(ask);
    ended = flow.execute().then(() => own.close());
    ended.catch(reject);
  });
  return await live;
}

/** Measured only once all have given the same answer. */
function contenders({ title, byHand, ours, scan }: Question): Comparison['contenders'] {
  let expected: Promise<unknown> | null = null;
  const checked = (name: string, answer: () => unknown): Contender => {
    let isRight = false;
    const run = async (): Promise<void> => {
      const given = await answer();
      if (isRight) return;
      if (!isDeepStrictEqual(given, await (expected ??= byHand()))) throw new Error(`${title}: another answer by ${name}`);
      isRight = true;
    };
    return { name, run };
  };
  const others = scan === undefined || !hasObjects ? [] : [checked('every scope as an object', scan)];
  return [checked('DuckDB by hand', byHand), checked('marque', ours), ...others];
}

export const comparisons: readonly Comparison[] = questions.map((question) => ({
  title: `${question.title} (${scopeCount.toLocaleString('en-US')} scopes in ${size.runs.toLocaleString('en-US')} runs)`,
  operation: 'question',
  unit: 'ms',
  operations: 1,
  contenders: contenders(question),
}));

export async function close(): Promise<void> {
  letGo?.();
  await ended;
  hand.close();
  await storage.close();
}
