import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrowSchema, recordBatch } from '../src/batch.ts';
import { ConstantColumn, ListColumn, NumberColumn } from '../src/columns.ts';
import { rowsOf } from '../src/record-rows.ts';
import { type ColumnType, columnsOf, tableNames } from '../src/schema.ts';

const texts = fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.toWellFormed());
const values: Record<ColumnType, fc.Arbitrary<unknown>> = {
  bigint: fc.maxSafeInteger(),
  integer: fc.integer(),
  double: fc.double(),
  text: fc.oneof(fc.constantFrom('same', ''), texts),
  bytes: fc.uint8Array({ maxLength: 12 }),
  timestamp: fc.integer({ min: -1e14, max: 1e14 }),
};

test.each(tableNames)('rows of %s read back from Arrow as they were recorded', (table) => {
  const row = fc.tuple(...columnsOf(table).map(([, type]) => fc.option(values[type])));
  fc.assert(
    fc.property(fc.array(row, { maxLength: 70 }), fc.nat(70), (rows, upTo) => {
      const columns = Object.fromEntries(
        columnsOf(table).map(([name, type], index) => {
          const column = type === 'text' || type === 'bytes' ? new ListColumn<string>() : new NumberColumn();
          for (const one of rows) column.push(one[index] as never);
          return [name, column];
        }),
      );
      const length = Math.min(upTo, rows.length);
      const batch = recordBatch(table, columns, length);
      expect(Array.from(rowsOf(table, batch), (one) => Object.values(one))).toStrictEqual(rows.slice(0, length));
    }),
    { seed: 3, numRuns: 200 },
  );
});

test('a column that grows behind a reader does not change what it took', () => {
  const sid = new NumberColumn();
  for (let row = 0; row < 1_000; row++) sid.push(row);
  const columns = {
    ...Object.fromEntries(['run', 'flow', 'kind', 'name'].map((name) => [name, new ConstantColumn(name)])),
    sid,
    target_sid: sid,
  };
  const batch = recordBatch('edges', columns, 500);
  for (let row = 0; row < 1_000; row++) sid.push(-1);
  expect(batch.numRows).toBe(500);
  expect([...rowsOf('edges', batch)].at(-1)).toEqual({
    sid: 499,
    flow: 'flow',
    run: 'run',
    kind: 'kind',
    target_sid: 499,
    name: 'name',
  });
});

test('a table whose columns differ in length is refused', () => {
  const short = { sid: new NumberColumn() };
  expect(() => recordBatch('edges', short, 1)).toThrow(/edges has 1 rows, its column sid fewer/);
});

test('the Arrow schema has the columns of the table', () => {
  expect(arrowSchema('tags').toString()).toContain('sid: Int64');
});
