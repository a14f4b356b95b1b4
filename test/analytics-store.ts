import { Random } from '../src/index.ts';
import { Storage } from '../src/storage/storage.ts';
import type { Store } from '../src/store.ts';
import { paramsText, type ReferenceScope } from './analytics-reference.ts';
import { claimRows, type RowMaker } from './store-rows.ts';

/** A storage over any store, so that a test can make up its rows. */
export class StorageOver extends Storage {}

/** A scope as a test says it: what it leaves out has a value anyway. */
export type MadeUp = Partial<Omit<ReferenceScope, 'sid' | 'flow' | 'run'>> & {
  readonly error?: string;
  readonly tags?: readonly (readonly [content: string, value: number | null])[];
};

/** Makes a run of them up, the first with ordinal 1, and says what it made up. Their series are of the tag `loss`. */
export async function writeScopes(
  store: Store,
  slug: string,
  scopes: readonly MadeUp[],
  { flow = 'flow', runParams = null, runTags = [] }: RunParts = {},
): Promise<readonly ReferenceScope[]> {
  const run = await claimRows(store, slug, flow);
  run.event('started', 1_750_000_000_000 + run.number, runParams === null ? {} : { params: runParams });
  for (const [seq, [content, value]] of runTags.entries()) run.tag(0, seq, content, value);
  const made = scopes.map((scope, index) => writeScope(run, index + 1, scope));
  await store.write(await run.event('ended', 1_750_000_001_000, { state: 'finished', durationMs: 1_000 }).batch());
  return made;
}

export interface RunParts {
  readonly flow?: string;
  readonly runParams?: object | null;
  readonly runTags?: readonly (readonly [content: string, value: number | null])[];
}

function writeScope(run: RowMaker, ordinal: number, scope: MadeUp): ReferenceScope {
  const { step = 'train', path = `0-${ordinal}`, attempt = 1, status = 'ok', params = null, durationMs = ordinal } = scope;
  const { dispatchMs = null, encodeMs = null, series = [], tags = [], error } = scope;
  run.scope(ordinal, {
    step,
    path,
    attempt,
    status,
    duration_ms: durationMs,
    dispatch_ms: dispatchMs,
    encode_ms: encodeMs,
    params: paramsText(params),
    error_message: error ?? (status === 'error' || status === 'retried' ? 'it failed' : null),
  });
  const all = [...series.map((value) => ['loss', value] as const), ...tags];
  for (const [seq, [content, value]] of all.entries()) run.tag(ordinal, seq, content, value, { step });
  return {
    sid: run.sid(ordinal),
    flow: run.flow,
    step,
    run: run.slug,
    path,
    attempt,
    status,
    params,
    durationMs,
    dispatchMs,
    encodeMs,
    series,
  };
}

/** Scopes in which everything occurs that a history may hold: ties, gaps, NaN, infinities, one level, several types of a parameter. */
export function randomScopes(seed: number, count: number): MadeUp[] {
  const random = new Random(seed);
  const number = () => random.choice([0, 1, 1, 2.5, -3, 0.1, random.normal(), null, Number.NaN, Number.POSITIVE_INFINITY, 1e200]);
  const level = () => random.choice<unknown>([0.1, 0.01, 1, 'adam', true, null, [1, 2], { deep: 'x' }]);
  const scopes: MadeUp[] = [];
  for (let index = 0; index < count; index++) {
    const params: Record<string, unknown> = { lr: random.choice([0.1, 0.01, 1]), same: 'x' };
    if (random.number() < 0.7) params['a/~b'] = level();
    if (random.number() < 0.8) params['é "q"'] = random.integer(0, 3);
    const common = {
      step: random.choice(['train', 'train', 'test', 'other']),
      path: `0-${index}`,
      params: random.number() < 0.1 ? null : params,
      durationMs: random.number() * 100,
      dispatchMs: random.choice([null, random.number()]),
      encodeMs: random.choice([null, random.number() / 2]),
    };
    const series = () => Array.from({ length: common.step === 'other' ? 0 : random.integer(0, 3) }, number);
    const failures = random.number() < 0.2 ? random.integer(1, 2) : 0;
    for (let attempt = 1; attempt <= failures; attempt++)
      scopes.push({ ...common, attempt, status: 'retried', series: series() });
    const status = random.choice(['ok', 'ok', 'ok', 'error']);
    scopes.push({ ...common, attempt: failures + 1, status, series: series() });
  }
  return scopes;
}
