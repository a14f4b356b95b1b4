import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';
import * as arrow from 'apache-arrow';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encode, type Encoded } from '../src/codec.ts';
import { MarqueError } from '../src/error.ts';
import { acceptedValues, refusedValues } from './values.ts';

describe('encode keeps', () => {
  test.each(acceptedValues)('$name', ({ make, codec, view }) => {
    const encoded = encode('artifact "x"', make());
    expect(encoded.codec).toBe(codec);
    expect([encoded.text, encoded.bytes].filter((column) => column === null)).toHaveLength(1);
    expect(view(decode(encoded))).toStrictEqual(view(make()));
  });

  test('what a value was, not what becomes of it', () => {
    const list = [1];
    const bytes = new Uint8Array([1]);
    const encoded = [encode('a', list), encode('b', bytes)];
    list.push(2);
    bytes[0] = 2;
    expect(encoded.map(decode)).toStrictEqual([[1], new Uint8Array([1])]);
  });

  test('a new value for each reading', () => {
    const encoded = encode('a', new Uint8Array([1]));
    (decode(encoded) as Uint8Array)[0] = 2;
    expect(decode(encoded)).toStrictEqual(new Uint8Array([1]));
  });

  test('the order of sets and maps', () => {
    const point = { x: -0 };
    const read = decode(
      encode('a', [
        point,
        new Set<unknown>([point, 2, 1]),
        new Map<unknown, number>([
          [{ y: 1n }, 1],
          [point, 2],
        ]),
      ]),
    ) as [unknown, Set<unknown>, Map<unknown, unknown>];
    expect([...read[1]]).toStrictEqual([point, 2, 1]);
    expect([...read[2].keys()]).toStrictEqual([{ y: 1n }, point]);
  });

  test('errors as errors, their stack, class and hidden properties included', () => {
    const error = new RangeError('x');
    const read = decode(encode('a', error)) as Error;
    expect(read).toBeInstanceOf(RangeError);
    expect(Object.prototype.toString.call(read)).toBe('[object Error]');
    expect(read.stack).toBe(error.stack);
    expect(Object.keys(read)).toEqual([]);
    expect('cause' in read).toBe(false);
  });
});

describe('encode refuses', () => {
  test.each(refusedValues)('$name', ({ make, says }) => {
    expect(() => encode('artifact "x"', make())).toThrow(MarqueError);
    expect(() => encode('artifact "x"', make())).toThrow(
      expect.objectContaining({ code: 'VALUE_INVALID', message: expect.stringMatching(/^artifact "x"/) }),
    );
    expect(() => encode('artifact "x"', make())).toThrow(says);
  });
});

const word = fc.string({ unit: 'binary', maxLength: 6 });
const oddKey = fc.oneof(
  word,
  fc.string({ maxLength: 4 }),
  fc.constantFrom('a.b', 'a\\.b', '', '0', '1.0', '\\', 'toJSON', 'length', 'json', 'meta', 'size'),
);

/** Whatever there is, most of it unkeepable somewhere. */
const anything = fc.anything({
  key: fc.oneof(oddKey, fc.constantFrom('__proto__', 'constructor')),
  maxDepth: 3,
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  withUnicodeString: true,
});

/** Values made only of what is to be kept, with one part often in several places. */
const { keepable } = fc.letrec<{ keepable: unknown }>((tie) => {
  const inner = tie('keepable');
  const words = word.filter((text) => !/\p{Surrogate}/u.test(text));
  const keys = oddKey.filter((key) => !/\p{Surrogate}/u.test(key) && !['__proto__', 'constructor', 'prototype'].includes(key));
  const leaf: fc.Arbitrary<unknown> = fc.oneof(
    words,
    fc.double(),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.bigInt(),
    fc.constantFrom(null, undefined, -0, Number.NaN, Infinity),
    fc.date({ noInvalidDate: true }),
    fc.constantFrom(/a.b/g, /\\/u).map((pattern) => new RegExp(pattern)),
    fc.webUrl({ withQueryParameters: true }).map((url) => new URL(url)),
    fc.float64Array({ maxLength: 3 }),
    fc.float32Array({ maxLength: 3 }),
    fc.bigInt64Array({ maxLength: 3 }),
    fc.uint8Array({ maxLength: 3 }),
    fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
  );
  const error = fc
    .tuple(words, inner, fc.constantFrom(Error, TypeError, URIError))
    .map(([message, cause, Type]) => new Type(message, { cause }));
  return {
    keepable: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      fc.array(inner, { maxLength: 4 }),
      fc.dictionary(keys, inner, { maxKeys: 4, noNullPrototype: true }),
      fc.array(fc.tuple(inner, inner), { maxLength: 3 }).map((entries) => new Map(entries)),
      fc.array(inner, { maxLength: 3 }).map((items) => new Set(items)),
      inner.map((part) => [part, { again: part }, new Set([part])]),
      error,
    ),
  };
});

describe('decode gives back what encode took', () => {
  test('for any value, or encode refuses it', () => {
    let kept = 0;
    fc.assert(
      fc.property(anything, (value) => {
        const encoded = encodeOrNull(value);
        if (encoded === null) return true;
        kept++;
        return isDeepStrictEqual(decode(encoded), value instanceof Buffer ? new Uint8Array(value) : value);
      }),
      { seed: 7, numRuns: 8_000 },
    );
    expect(kept).toBeGreaterThan(2_000);
  });

  test('for every value made of what is kept', () => {
    fc.assert(
      fc.property(keepable, (value) => {
        expect(isDeepStrictEqual(decode(encode('value', [value])), [value])).toBe(true);
      }),
      { seed: 11, numRuns: 4_000 },
    );
  });
});

function encodeOrNull(value: unknown): Encoded | null {
  try {
    return encode('value', value);
  } catch (error) {
    if (error instanceof MarqueError && error.code === 'VALUE_INVALID') return null;
    throw error;
  }
}

describe('an Arrow table', () => {
  const columns = (from: typeof arrow) => ({
    word: from.vectorFromArray(['a', 'ü', null, 'a'], new from.Dictionary(new from.Utf8(), new from.Int8())),
    list: from.vectorFromArray([[1], null, [], [2, 3]], new from.List(new from.Field('item', new from.Float64(), true))),
    point: from.vectorFromArray(
      [{ x: 1 }, { x: 2 }, null, { x: 4 }],
      new from.Struct([new from.Field('x', new from.Int32(), true)]),
    ),
    at: from.vectorFromArray(
      [0, 1, 2, null].map((ms) => ms && new Date(ms)),
      new from.TimestampMillisecond(),
    ),
    wide: from.vectorFromArray([1n, 2n, null, 4n], new from.Int64()),
    plain: from.vectorFromArray(['x', 'y', null, 'z'], new from.Utf8()),
  });
  const rows = (table: arrow.Table) => table.toArray().map(String);

  test('comes back with its types, in the classes of the package that `import` gets', () => {
    const table = new arrow.Table(columns(arrow));
    const read = decode(encode('t', table)) as arrow.Table;
    expect(String(read.schema)).toBe(String(table.schema));
    expect(rows(read)).toEqual(rows(table));
    expect(read.constructor).toBe(arrow.Table);
    expect(read.schema.fields[0]?.type).toBeInstanceOf(arrow.DataType);
  });

  test('comes back also if it is of the CommonJS build, in several batches', () => {
    const other = createRequire(import.meta.url)('apache-arrow') as typeof arrow;
    expect(other.Table).not.toBe(arrow.Table);
    const table = new other.Table(columns(other)).concat(new other.Table(columns(other)));
    expect(table.batches.length).toBe(2);
    const read = decode(encode('t', table)) as arrow.Table;
    expect(String(read.schema)).toBe(String(table.schema));
    expect(rows(read)).toEqual(rows(table));
  });

  test('of types that are not ours is refused', () => {
    class Int24 extends arrow.Int32 {}
    class FutureTable {
      batches = [];
      numRows = 0;
      schema = { fields: [new arrow.Field('a', new Int24())], metadata: new Map() };
      getChildAt(): null {
        return null;
      }
    }
    expect(() => encode('t', new FutureTable())).toThrow('t is a table of another apache-arrow than ours');
  });
});

describe('decode tells', () => {
  test.each<[string, Encoded, string]>([
    ['a codec of the future', { codec: 'cbor', text: null, bytes: new Uint8Array() }, 'STORE_FORMAT'],
    ['a codec that every object has', { codec: 'toString', text: '', bytes: null }, 'STORE_FORMAT'],
    ['broken JSON', { codec: 'json', text: '{', bytes: null }, 'STORE_DAMAGED'],
    ['a missing text', { codec: 'superjson', text: null, bytes: null }, 'STORE_DAMAGED'],
    ['missing bytes', { codec: 'bytes', text: null, bytes: null }, 'STORE_DAMAGED'],
    ['broken Arrow', { codec: 'arrow', text: null, bytes: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9]) }, 'STORE_DAMAGED'],
    ['an error class of the future', damaged('error', { type: 'NewError', hidden: {}, shown: {} }), 'STORE_DAMAGED'],
    ['a typed array of the future', damaged('view', { type: 'Float8Array', base64: '' }), 'STORE_DAMAGED'],
  ])('%s', (_, encoded, code) => {
    expect(() => decode(encoded)).toThrow(expect.objectContaining({ code }));
  });
});

function damaged(transformer: string, json: unknown): Encoded {
  return { codec: 'superjson', text: JSON.stringify({ json, meta: { values: [['custom', transformer]], v: 1 } }), bytes: null };
}
