import type { Row } from '../src/schema.ts';
import { sidOf } from '../src/sid.ts';
import { batchOfRows } from '../src/storage/row-batch.ts';
import type { Batch } from '../src/store.ts';

export interface SampleBatch {
  /** `<uuid>/<epoch>`. */
  readonly writer?: string;
  /** Of the batch, from 1. */
  readonly number?: number;
  readonly runNumber?: number;
  readonly run?: string;
  /** How many scopes: each has two tags, one artifact and one log. Ordinals go on from batch to batch. */
  readonly scopes?: number;
  /** An event for `runs`, or none. */
  readonly event?: string | null;
}

/** A batch as a flow would write it, small and always the same. */
export async function sampleBatch(sample: SampleBatch = {}): Promise<Batch> {
  const { writer = 'uuid/0', number = 1, runNumber = 1, run = 'brave-otter', scopes = 2, event = 'started' } = sample;
  const sids = Array.from({ length: scopes }, (_, index) => sidOf(runNumber, number * 1_000 + index));
  const place = (sid: number) => ({ sid, flow: 'sample', run, step: 'work' });
  const at = Date.UTC(2024, 0, 1);
  const batch = await batchOfRows({
    artifacts: sids.map((sid) => ({ ...place(sid), seq: 0, name: 'data', codec: 'json', text: '{"answer":42}', bytes: null })),
    tags: sids.flatMap((sid) => [0, 1].map((seq) => ({ ...place(sid), seq, content: 'loss', value: seq / 2 }))),
    logs: sids.map((sid) => ({ ...place(sid), seq: 0, level: 'info', message: 'done', at })),
    edges: sids.map((sid) => ({ sid, flow: 'sample', run, kind: 'recalled', target_sid: sid, name: 'data' })),
    scopes: sids.map((sid, index): Row<'scopes'> => ({
      ...place(sid),
      path: `${number}-${index}`,
      attempt: 1,
      parent_sid: null,
      ref_sid: null,
      status: 'ok',
      started_at: at,
      duration_ms: 1.5,
      dispatch_ms: null,
      encode_ms: null,
      error_message: null,
      error_stack: null,
      params: '{"lr":0.1}',
      pushes: null,
      seed: 42,
      source_hash: null,
    })),
    runs: event === null ? [] : [{ run_number: runNumber, uuid: writer, slug: run, flow: 'sample', event, at, details: '{}' }],
  });
  return { id: { writer, number }, tables: batch.tables };
}
