import { expectTypeOf, test } from 'vitest';
import { sidOf } from '../../src/sid.ts';
import type { Row } from '../../src/schema.ts';

test('a sid is a plain number', () => {
  expectTypeOf(sidOf(1, 2)).toEqualTypeOf<number>();
  // @ts-expect-error a bigint is not taken
  sidOf(1n, 2);
});

test('every column of a row may be null', () => {
  expectTypeOf<Row<'tags'>['content']>().toEqualTypeOf<string | null>();
});
