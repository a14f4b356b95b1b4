import { DuckDBInstance } from '@duckdb/node-api';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, paramsJson } from '../src/json.ts';

class Model {
  weight = 1;
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

/** 2^40 leaves in 40 arrays. */
function sharing(): unknown {
  let value: unknown = [1];
  for (let level = 0; level < 40; level++) value = [value, value];
  return value;
}

function cycle(): unknown {
  const list: unknown[] = [];
  list.push(list, list);
  return list;
}

describe('canonicalJson', () => {
  test.each([
    [{ b: 1, a: [true, null, 'x'] }, '{"a":[true,null,"x"],"b":1}'],
    [{ '10': 1, '9': 2, a: 3, B: 4 }, '{"10":1,"9":2,"B":4,"a":3}'],
    [{ a: undefined, b: {} }, '{"b":{}}'],
    [[Number.NaN, Infinity, -Infinity, -0], '["NaN","Infinity","-Infinity",0]'],
    [2n ** 70n, '"1180591620717411303424"'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ['"\u2028\n', '"\\"\u2028\\n"'],
    [JSON.parse('{"__proto__": 1}') as unknown, '{"__proto__":1}'],
    [Object.assign(Object.create(null) as object, { z: 1 }), '{"z":1}'],
  ])('of %o is %s', (value, expected) => {
    expect(canonicalJson(value)).toBe(expected);
  });

  test('is the same for equal values, whatever the order of their keys', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ noUnicodeString: true })), (object) => {
        const backwards = Object.fromEntries(Object.entries(object).toReversed());
        expect(canonicalJson(backwards)).toBe(canonicalJson(object));
        expect(JSON.parse(canonicalJson(object))).toEqual(JSON.parse(JSON.stringify(object)));
      }),
      { seed: 1 },
    );
  });

  test.each<[string, () => unknown]>([
    ['undefined', () => undefined],
    ['a function', () => () => 1],
    ['undefined in an array', () => [undefined]],
    ['a symbol', () => ({ a: Symbol('x') })],
    ['a class instance', () => new Model()],
    ['an invalid date', () => new Date(Number.NaN)],
    ['half of a surrogate pair', () => '\ud800'],
    ['a cycle', cycle],
    ['201 levels', () => nested(201)],
  ])('refuses %s', (_, make) => {
    expect(() => canonicalJson(make())).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }));
  });
});

describe('paramsJson', () => {
  test.each<[string, () => Record<string, unknown>, string | null]>([
    ['nothing', () => ({}), null],
    ['nothing plain', () => ({ model: new Model(), f: () => 1, s: Symbol('x'), u: undefined }), null],
    [
      'plain members among others',
      () => ({ lr: 0.1, model: new Model(), a: 'x', layers: [1, 2] }),
      '{"a":"x","layers":[1,2],"lr":0.1}',
    ],
    [
      'members plain in part',
      () => ({ deep: { f: () => 1 }, list: [1, new Map()], ok: { a: { b: null } } }),
      '{"ok":{"a":{"b":null}}}',
    ],
    [
      'what JSON lacks',
      () => ({ at: new Date(0), id: 5n, loss: Number.NaN }),
      '{"at":"1970-01-01T00:00:00.000Z","id":"5","loss":"NaN"}',
    ],
    [
      'cycles and depth',
      () => ({ a: 1, cycle: cycle(), deep: nested(201), deepest: nested(200) }),
      `{"a":1,"deepest":${JSON.stringify(nested(200))}}`,
    ],
    ['halves of surrogate pairs and holes', () => ({ a: 1, text: '\ud800', [`\udc00`]: 1, holes: [1, , 2] }), '{"a":1}'], // eslint-disable-line no-sparse-arrays
    ['65,537 characters', () => ({ a: 1, text: 'x'.repeat(65_535) }), '{"a":1}'],
    ['65,536 characters', () => ({ a: 1, text: 'x'.repeat(65_534) }), `{"a":1,"text":"${'x'.repeat(65_534)}"}`],
  ])('of %s', (_, make, expected) => {
    expect(paramsJson(make())).toBe(expected);
  });

  test('gives up on arrays that share each other before it has written them all', () => {
    const start = performance.now();
    expect(paramsJson({ a: 1, sharing: sharing() })).toBe('{"a":1}');
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  test('is not harmed by getters and proxies that throw', () => {
    const trap = () => {
      throw new Error('trap');
    };
    const hostile = {
      a: 1,
      get b() {
        return trap();
      },
      c: new Proxy({}, { ownKeys: trap }),
      d: new Proxy({}, { getPrototypeOf: trap }),
    };
    expect(paramsJson(hostile)).toBe('{"a":1}');
    expect(paramsJson(new Proxy({}, { ownKeys: trap }))).toBe(null);
  });

  test('writes what DuckDB reads as numbers', async () => {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const names = ['a', 'b', 'c', 'd', 'e'];
    const json = paramsJson({ a: 0.1, b: Number.NaN, c: -Infinity, d: 2n ** 60n, e: 1e300 });
    const columns = names.map((name) => `($1 ->> '${name}')::DOUBLE AS ${name}`).join(', ');
    const reader = await connection.runAndReadAll(`SELECT ${columns}`, [json]);
    expect(reader.getRowsJS()[0]).toEqual([0.1, Number.NaN, -Infinity, 2 ** 60, 1e300]);
    connection.closeSync();
    instance.closeSync();
  });
});
