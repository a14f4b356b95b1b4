import { tableFromArrays, type Table } from 'apache-arrow';

/** A value that every storage keeps exactly. Each call of `make` gives a new one. */
export interface AcceptedValue {
  readonly name: string;
  readonly codec: 'json' | 'superjson' | 'bytes' | 'arrow';
  readonly make: () => unknown;
  /** What is compared; the value itself unless given. */
  readonly view: (value: unknown) => unknown;
}

/** A value that no storage keeps, with what the error says after the label. */
export interface RefusedValue {
  readonly name: string;
  readonly make: () => unknown;
  readonly says: string;
}

function accepted(
  codec: AcceptedValue['codec'],
  name: string,
  make: () => unknown,
  view: (value: unknown) => unknown = (value) => value,
): AcceptedValue {
  return { name, codec, make, view };
}

function nested(depth: number): unknown {
  let value: unknown = 'core';
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { inner: value };
  return value;
}

function failure(): Error {
  const error = Object.assign(new TypeError('no such column', { cause: new RangeError('inner', { cause: { code: -0 } }) }), {
    code: 'E1',
  });
  error.name = 'ColumnError';
  return error;
}

const shared = () => {
  const point = { x: 1n };
  return { a: point, b: [point, point], c: new Map([[point, new Set([point])]]) };
};

const tableView = (value: unknown) => ({ schema: String((value as Table).schema), rows: (value as Table).toArray().map(String) });

export const acceptedValues: readonly AcceptedValue[] = [
  accepted('json', 'a text', () => 'grün 𝒜 \0 \u2028 "quoted" \\'),
  accepted('json', 'an empty text', () => ''),
  accepted('json', 'a number', () => 0.1),
  accepted('json', 'the smallest number', () => 5e-324),
  accepted('json', 'the largest number', () => Number.MAX_VALUE),
  accepted('json', 'a large integer', () => Number.MAX_SAFE_INTEGER),
  accepted('json', 'true', () => true),
  accepted('json', 'null', () => null),
  accepted('json', 'an empty array', () => []),
  accepted('json', 'an empty object', () => ({})),
  accepted('json', 'objects in arrays in objects', () => ({ a: [{ b: [1, 'x', null, [true]] }], c: { d: {} } })),
  accepted('json', 'keys with dots and backslashes', () => ({
    'a.b': 1,
    'a\\.b': 2,
    '': 3,
    '0': 4,
    '\\': 5,
    toJSON: 6,
    length: 7,
  })),
  accepted('json', '200 levels', () => nested(200)),
  accepted('json', '20,000 numbers', () => Array.from({ length: 20_000 }, (_, index) => index / 7)),
  accepted('json', 'a frozen object', () => Object.freeze({ a: 1 })),
  accepted('superjson', 'undefined', () => undefined),
  accepted('superjson', 'undefined members', () => ({ a: undefined, b: [undefined, 1] })),
  accepted('superjson', 'NaN', () => Number.NaN),
  accepted('superjson', 'infinities', () => [Infinity, -Infinity]),
  accepted('superjson', '-0', () => [-0, 0]),
  accepted('superjson', 'bigints', () => [2n ** 64n, -1n, 0n, 2n ** 64n]),
  accepted('superjson', 'keys with dots and backslashes over odd values', () => ({
    'a.b': 1n,
    'a\\.b': { '': -0 },
    '0': [{ '1.0': undefined }],
    '\\': 5n,
  })),
  accepted('superjson', 'dates', () => [
    new Date(0),
    new Date(8.64e15),
    new Date(-8.64e15),
    new Date('2024-02-29T12:00:00.123Z'),
  ]),
  accepted('superjson', 'regular expressions', () => [/a\/b[/]\n/giu, /(?:)/, new RegExp('\n/'), new RegExp('[\\p{L}--a]', 'v')]),
  accepted('superjson', 'a URL', () => new URL('https://user@example.org:8080/a%20b/../c?q=1&r=ü#x')),
  accepted(
    'superjson',
    'a map',
    () =>
      new Map<unknown, unknown>([
        ['constructor', 1],
        [1, 'x'],
        [Number.NaN, { a: -0 }],
        [{ k: 1n }, undefined],
        [null, []],
      ]),
  ),
  accepted('superjson', 'a set', () => new Set<unknown>([3, 1, 2, { a: new Date(1) }, Number.NaN, undefined, [1n]])),
  accepted(
    'superjson',
    'maps and sets in each other',
    () => new Map([[new Set([1]), new Map([[new Map(), new Set([new Set()])]])]]),
  ),
  accepted('superjson', 'an error', () => new Error('went wrong')),
  accepted('superjson', 'an error with class, name, cause and properties', failure),
  accepted('superjson', 'an error of several', () => new AggregateError([new Error('a'), 1n], 'two')),
  accepted('superjson', 'an error without a stack', () => {
    const error = new SyntaxError('x');
    delete error.stack;
    return error;
  }),
  accepted('superjson', 'floats in typed arrays', () => ({
    a: new Float64Array([Number.NaN, -0, Infinity, 0.1]),
    b: new Float32Array([0.1, -0]),
  })),
  accepted('superjson', 'integers in typed arrays', () => [
    new Int8Array([-1]),
    new Uint8ClampedArray([255]),
    new Int16Array([-2]),
    new Uint16Array(),
    new Int32Array([1]),
    new Uint32Array([2 ** 32 - 1]),
  ]),
  accepted('superjson', 'bigints in typed arrays', () => [new BigInt64Array([-1n]), new BigUint64Array([2n ** 64n - 1n])]),
  accepted('superjson', 'a part of a typed array', () => [new Float64Array([1, 2, 3]).subarray(1, 2)]),
  accepted('superjson', 'bytes inside of an object', () => ({ a: new Uint8Array([0, 255]), b: Buffer.from('text') })),
  accepted('superjson', 'one object in many places', shared),
  accepted('bytes', 'bytes', () => new Uint8Array([0, 1, 255])),
  accepted('bytes', 'no bytes', () => new Uint8Array()),
  accepted('bytes', 'a part of a byte array', () => new Uint8Array([0, 1, 2, 3]).subarray(1, 3)),
  accepted(
    'bytes',
    'a Buffer',
    () => Buffer.from('text'),
    (value) => [...(value as Uint8Array)],
  ),
  accepted(
    'arrow',
    'an Arrow table',
    () => tableFromArrays({ id: Int32Array.of(1, 2, 3), loss: [0.5, null, -0], name: ['a', 'ü', 'a'] }),
    tableView,
  ),
  accepted('arrow', 'an Arrow table without rows', () => tableFromArrays({ id: new Int32Array() }), tableView),
];

class Model {
  weight = 1;
}

function cycle(): unknown {
  const top: Record<string, unknown> = {};
  top['down'] = { up: [top] };
  return top;
}

function hiddenMember(): unknown {
  return Object.defineProperty({ a: 1 }, 'b', { value: 2 });
}

const refused = (name: string, says: string, make: () => unknown): RefusedValue => ({ name, make, says });
const useFields = 'keep its fields as a plain object';
const useBytes = 'keep a Uint8Array of it';

export const refusedValues: readonly RefusedValue[] = [
  refused('a function', ' is a function', () => () => 1),
  refused('a function deep inside', '.a[3] is a function', () => ({ a: [1, 2, 3, () => 1] })),
  refused('a class', '.model is a function', () => ({ model: Model })),
  refused('a symbol', '[0] is a symbol', () => [Symbol('x')]),
  refused('a symbol as a key', ' has the symbol Symbol(x) as a key', () => ({ [Symbol('x')]: 1 })),
  refused('a class instance', `.model is an instance of Model: ${useFields}`, () => ({ model: new Model() })),
  refused('a subclass of Map', ` is an instance of Sub: ${useFields}`, () => new (class Sub extends Map {})()),
  refused('a subclass of Array', ` is an instance of List: ${useFields}`, () => new (class List extends Array {})()),
  refused('a subclass of Error', ` is an instance of Failure: ${useFields}`, () => new (class Failure extends Error {})()),
  refused('a subclass of Uint8Array', ` is an instance of Bytes: ${useFields}`, () => new (class Bytes extends Uint8Array {})()),
  refused('what only looks like a date', ` is an instance of Date: ${useFields}`, () => Object.create(Date.prototype) as unknown),
  refused('an object without a prototype', '.a is an object without a prototype', () => ({ a: Object.create(null) as unknown })),
  refused('an invalid date', '["the date"] is an invalid date', () => ({ 'the date': new Date(Number.NaN) })),
  refused('a date with a property', ' is an instance of Date with the property "zone"', () =>
    Object.assign(new Date(0), { zone: 'UTC' }),
  ),
  refused('a sparse array', '.a has a hole at index 1', () => ({ a: [1, , 3] })), // eslint-disable-line no-sparse-arrays
  refused('an array with a property', ' is an array with the property "index"', () => 'abc'.match(/b/)),
  refused('a hole made up for by a property', ' has a hole at index 0', () => Object.assign([, 1], { x: 1 })), // eslint-disable-line no-sparse-arrays
  refused('a getter', ' has the getter "a"', () => ({
    get a() {
      throw new Error('called');
    },
  })),
  refused('a setter', ' has the getter "a"', () => ({ set a(_: number) {} })),
  refused('a hidden property', ' has the property "b", which is not enumerable', hiddenMember),
  refused('arguments', ' has the property "length", which is not enumerable', function () {
    return arguments;
  }),
  refused('the key __proto__', ' has the key "__proto__"', () => JSON.parse('{"__proto__": 1}') as unknown),
  refused('the key constructor', '.a has the key "constructor"', () => ({ a: { constructor: 1 } })),
  refused('the key prototype', ' has the key "prototype"', () => ({ prototype: 1 })),
  refused('an ArrayBuffer', ` is an instance of ArrayBuffer: ${useBytes}`, () => new ArrayBuffer(8)),
  refused('a SharedArrayBuffer', ` is an instance of SharedArrayBuffer: ${useBytes}`, () => new SharedArrayBuffer(8)),
  refused('a DataView', ` is an instance of DataView: ${useBytes}`, () => new DataView(new ArrayBuffer(8))),
  refused('a promise', '.values()[0] is an instance of Promise', () => new Set([Promise.resolve()])),
  refused(
    'a WeakMap',
    '.values()[1] is an instance of WeakMap',
    () =>
      new Map<string, unknown>([
        ['a', 1],
        ['b', new WeakMap()],
      ]),
  ),
  refused('a function as a key of a map', '.keys()[0] is a function', () => new Map([[() => 1, 1]])),
  refused('a map with a property', ' is an instance of Map with the property "x"', () => Object.assign(new Map(), { x: 1 })),
  refused('a boxed number', ' is a boxed primitive: keep 3 itself', () => Object(3) as unknown),
  refused('a boxed text', ' is a boxed primitive: keep x itself', () => Object('x') as unknown),
  refused('a regular expression half way', ' is a RegExp with lastIndex 2', () => Object.assign(/a/g, { lastIndex: 2 })),
  refused('an error with a function', '.retry is a function', () => Object.assign(new Error('x'), { retry: () => 1 })),
  refused('an error with an odd cause', '.cause.a is an instance of Model', () => new Error('x', { cause: { a: new Model() } })),
  refused('half of a surrogate pair', '[0] contains half of a surrogate pair', () => ['\ud800']),
  refused('half of a surrogate pair in a key', ' has half of a surrogate pair in a key', () => ({ 'a\udc00': 1 })),
  refused('a cycle', '.down.up[0] refers back to what it is part of', cycle),
  refused('201 levels', ' is nested over 200 deep', () => nested(201)),
  refused(
    'an object that cannot be read',
    ' cannot be encoded: trap',
    () =>
      new Proxy(
        {},
        {
          ownKeys() {
            throw new Error('trap');
          },
        },
      ),
  ),
];
