import { Random } from 'marque';
import { type Row } from '../src/schema.ts';
import { sidOf } from '../src/sid.ts';
import { ParquetStore } from '../src/storage/parquet-store.ts';
import { batchOfRows } from '../src/storage/row-batch.ts';

/** How large the made-up history is. */
export interface Size {
  readonly runs: number;
  readonly scopesPerRun: number;
}

/** A scope of the made-up history, before it becomes rows or an object. */
export interface SweepScope {
  /** From 1. */
  readonly ordinal: number;
  readonly step: string;
  readonly path: string;
  readonly status: 'ok' | 'error' | 'retried';
  readonly startedAt: number;
  readonly durationMs: number;
  readonly params: string;
  readonly tags: readonly { readonly content: string; readonly value: number | null }[];
}

const models = ['forest', 'knn', 'linear', 'logistic', 'mlp', 'ridge', 'svm', 'tree'];

/** Nine runs of ten are of the flow `sweep`, the others of `report`. */
export function flowOf(run: number): string {
  return run % 10 === 0 ? 'report' : 'sweep';
}

export function slugOf(run: number): string {
  return `${models[run % models.length] as string}-run${run}`;
}

/** The scopes of a run, the same whenever they are asked for: each run has a random stream of its own. */
export function* sweepScopes(run: number, count: number): Generator<SweepScope> {
  const random = new Random(42).fork(`${run}`);
  for (let ordinal = 1; ordinal <= count; ordinal++) {
    const model = models[random.integer(0, models.length - 1)] as string;
    const chance = random.number();
    yield {
      ordinal,
      step: chance < 0.7 ? 'train' : chance < 0.9 ? 'evaluate' : 'load',
      path: `0-${ordinal - 1}`,
      status: ordinal % 100 === 0 ? 'error' : ordinal % 250 === 1 ? 'retried' : 'ok',
      startedAt: 1_750_000_000_000 + run * 600_000 + ordinal,
      durationMs: random.number() * 100,
      params: `{"lr":${random.integer(1, 10) / 100},"model":"${model}","seed":${random.integer(0, 9)}}`,
      tags: [
        { content: 'loss', value: random.number() },
        { content: 'accuracy', value: random.number() },
        { content: `model=${model}`, value: null },
      ],
    };
  }
}

/** Writes the history into a folder: one segment a table and run, as runs leave it before anything is compacted. */
export async function writeSweepStore(folder: string, { runs, scopesPerRun }: Size): Promise<void> {
  const store = new ParquetStore(folder);
  for (let number = 1; number <= runs; number++) {
    const slug = slugOf(number);
    const uuid = `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`;
    const claim = await store.claim({ uuid, flow: flowOf(number), drawSlug: () => slug });
    await claim.release();
    const batch = await batchOfRows(rowsOf(claim.number, slug, uuid, scopesPerRun));
    await store.write({ id: { writer: `${uuid}/0`, number: 1 }, tables: batch.tables });
  }
  await store.close();
}

function rowsOf(number: number, run: string, uuid: string, scopesPerRun: number) {
  const flow = flowOf(number);
  const scopes: Partial<Row<'scopes'>>[] = [];
  const tags: Partial<Row<'tags'>>[] = [];
  for (const { ordinal, step, startedAt, durationMs, tags: marks, ...scope } of sweepScopes(number, scopesPerRun)) {
    const place = { sid: sidOf(number, ordinal), flow, run, step };
    scopes.push({ ...place, ...scope, attempt: 1, started_at: startedAt, duration_ms: durationMs });
    marks.forEach(({ content, value }, seq) => tags.push({ ...place, seq, content, value }));
  }
  const event = (name: string, at: number, details: string): Partial<Row<'runs'>> => {
    return {
      run_number: number,
      uuid,
      slug: run,
      flow,
      event: name,
      happened_at: 1_750_000_000_000 + number * 600_000 + at,
      details,
    };
  };
  const events = [event('started', 0, `{"seed":${number}}`), event('ended', 500_000, '{"state":"finished","durationMs":500000}')];
  return { scopes, tags, runs: events };
}
