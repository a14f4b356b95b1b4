import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tableOf } from '../src/arrow-table.ts';
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

test('a table of query results keeps names, nulls and nested values', () => {
  const table = tableOf([
    { name: 'n', type: 'double', values: [1, null, Number.NaN] },
    { name: 'at', type: 'timestamp', values: [new Date(5), null, new Date(-1)] },
    { name: 'text', type: 'text', values: ['a', null, 'ü'] },
    { name: 'list', type: null, values: [[1, 2], [], null] },
    { name: 'flag', type: null, values: [true, null, false] },
    { name: 'point', type: null, values: [{ x: 1, label: 'a' }, null, { x: null, label: 'b' }] },
  ]);
  expect(table.toArray().map((row: { toJSON(): unknown }) => row.toJSON())).toMatchObject([
    { n: 1, at: 5, text: 'a', flag: true },
    { n: null, at: null, text: null, list: expect.objectContaining({ length: 0 }) as unknown, flag: null, point: null },
    { n: Number.NaN, at: -1, text: 'ü', list: null, flag: false },
  ]);
  expect(String(table.getChild('list')?.get(0))).toBe('[1,2]');
  expect(String(table.getChild('point')?.get(2))).toBe('{"x": null, "label": "b"}');
  expect(table.schema.names).toEqual(['n', 'at', 'text', 'list', 'flag', 'point']);
});
