import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DeltaActions } from '../src/storage/delta-actions.ts';
import { packState, unpackState } from '../src/storage/packed-state.ts';
import { segmentName, type Range, type SegmentFile } from '../src/storage/segment.ts';
import { TableState } from '../src/storage/table-state.ts';

/** Texts as they can stand in a log: whatever JSON can hold, line breaks, quotes and lone surrogates among it. */
const text = fc.string({ unit: 'binary' });
const time = fc.integer({ min: 0, max: 4_000_000_000_000 });

const range: fc.Arbitrary<Range> = fc.oneof(
  fc.record({ min: text, max: text, nulls: fc.nat() }),
  fc.record({ min: fc.maxSafeInteger(), max: fc.maxSafeInteger(), nulls: fc.nat() }),
  fc.record({ min: fc.constant(null), max: fc.constant(null), nulls: fc.nat() }),
);

const segment: fc.Arbitrary<SegmentFile> = fc.record({
  name: fc.oneof(text, fc.record({ writer: fc.constant('01-a/3'), number: fc.integer({ min: 1, max: 99 }) }).map(segmentName)),
  bytes: fc.nat(),
  rows: fc.option(fc.nat()),
  checksum: fc.option(text),
  stats: fc.dictionary(fc.constantFrom('sid', 'flow', 'run', 'step', 'status', 'started_at'), range, { noNullPrototype: true }),
});

const actions: fc.Arbitrary<DeltaActions> = fc.record({
  added: fc.array(segment, { maxLength: 20 }),
  removed: fc.array(fc.record({ name: text, removedAt: time })),
  batches: fc.array(fc.record({ writer: text, number: fc.integer({ min: 1 }) })),
  metaData: fc.constant({ id: 'x', configuration: { 'marque.formatVersion': '2', more: '"\n' } }),
  formatVersion: fc.constant('2'),
  protocol: fc.constant({ reader: 1, writer: 2 }),
  committedAt: time,
  operation: fc.constant(null),
  needs: fc.record({ scopes: fc.nat(), tags: fc.nat() }, { requiredKeys: [] }),
  rebuilt: fc.constant([]),
  isOurs: fc.constant(true),
  isSigned: fc.constant(true),
});

/** All that a state says. */
function said(state: TableState): unknown {
  const { version, segments, needs } = state.capture();
  const { batches, tombstones, metaData, committedAt, format } = state;
  return { version, segments, needs, batches: [...batches], tombstones: [...tombstones], metaData, committedAt, format };
}

test('a packed state says what the state said, whatever its segments are called and their statistics know', () => {
  fc.assert(
    fc.property(actions, fc.nat(), (given, version) => {
      const state = new TableState('tags');
      state.load(given, version);
      const lines = [...packState(state, state.tombstones)];
      expect(lines.every((line) => !line.includes('\n'))).toBe(true);
      const unpacked = unpackState(`${lines.join('\n')}\n`);
      const again = new TableState('tags');
      again.load(unpacked.actions, unpacked.version);
      expect(said(again)).toEqual(said(state));
    }),
    { seed: 5, numRuns: 300 },
  );
});

test('a packed state can be gone on from, and packed again', () => {
  const [one, other] = fc.sample(segment, { seed: 9, numRuns: 2 }) as [SegmentFile, SegmentFile];
  const [given] = fc.sample(actions, { seed: 9, numRuns: 1 }) as [DeltaActions];
  const state = new TableState('tags');
  state.load({ ...given, added: [{ ...one, name: 'a' }], removed: [], batches: [{ writer: 'w/0', number: 3 }] }, 7);
  const { version, actions: first } = unpackState([...packState(state, new Map())].join('\n'));
  const again = new TableState('tags');
  again.load(first, version);
  const next = { ...given, added: [{ ...other, name: 'b' }], removed: [{ name: 'a', removedAt: 5 }], batches: [] };
  for (const each of [state, again]) each.apply(next, 'the next version');
  expect(said(again)).toEqual(said(state));
  expect(again.has({ writer: 'w/0', number: 3 })).toBe(true);
  expect([...packState(again, again.tombstones)]).toEqual([...packState(state, state.tombstones)]);
});
