import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { Flow, Random, repeat, retry, type Scope, step, type StepFlow } from '../../src/index.ts';

const flow = new Flow('types');
declare const inside: StepFlow;
const train = step({ lr: Number, name: String }, function train(flow, { lr, name }) {
  expectTypeOf(lr).toEqualTypeOf<number>();
  expectTypeOf(name).toEqualTypeOf<string>();
  expectTypeOf(flow.get('lr')).toEqualTypeOf<number>();
});

test('get is typed by what is asked for', () => {
  expectTypeOf(inside.get(Number, ['a', 'b'])).toEqualTypeOf<[number, number]>();
  expectTypeOf(inside.get(Random)).toEqualTypeOf<Random>();
  expectTypeOf(inside.get(Number, 'a')).toEqualTypeOf<number>();
  expectTypeOf(inside.get(String)).toEqualTypeOf<string>();
  expectTypeOf(inside.get(Boolean)).toEqualTypeOf<boolean>();
  expectTypeOf(inside.get(BigInt)).toEqualTypeOf<bigint>();
  expectTypeOf(inside.get(Array)).toEqualTypeOf<unknown[]>();
  expectTypeOf(inside.get(Date, 'at')).toEqualTypeOf<Date>();
  expectTypeOf(inside.get('anything')).toEqualTypeOf<unknown>();
  expectTypeOf(inside.get(Number, 'a', { strict: false })).toEqualTypeOf<number | undefined>();
  expectTypeOf(inside.get(Number, ['a', 'b'], { strict: false })).toEqualTypeOf<[number | undefined, number | undefined]>();
  expectTypeOf(inside.get(z.object({ a: z.number() }), 'config')).toEqualTypeOf<{ a: number }>();
});

test('put tells the compiler what is in the context', () => {
  expectTypeOf(flow.put({ lr: 0.1 }).get('lr')).toEqualTypeOf<number>();
  expectTypeOf(flow.put({ lr: 0.1 }).put({ lr: 'high' }).get('lr')).toEqualTypeOf<string>();
});

test('recall is typed by its type argument', () => {
  expectTypeOf(inside.recall<{ answer: number }>('data').answer).toEqualTypeOf<number>();
  expectTypeOf(inside.recall('data')).toEqualTypeOf<unknown>();
});

test('push refuses a step whose values are missing or of another type', () => {
  flow.push(train, { lr: 0.1, name: 'a' });
  flow.put({ lr: 0.1, name: 'a' }).push(train);
  flow.put({ lr: 0.1 }).push(train, { name: 'a' });
  flow.put({ lr: 'wrong', name: 'a' }).push(train, { lr: 0.1 });
  // @ts-expect-error nothing is there
  flow.push(train);
  // @ts-expect-error name is missing
  flow.push(train, { lr: 0.1 });
  // @ts-expect-error lr is of another type
  flow.push(train, { lr: '0.1', name: 'a' });
  // @ts-expect-error lr was put with another type
  flow.put({ lr: 'wrong', name: 'a' }).push(train);
  // @ts-expect-error the value that overrides is of another type
  flow.put({ lr: 0.1, name: 'a' }).push(train, { lr: 'wrong' });
  // @ts-expect-error a step that pushes is held to the same
  inside.push(train);
  inside.push(train, { lr: 0.1, name: 'a' });
  inside.put({ lr: 0.1, name: 'a' }).push(train);
});

test('lists, repeats and retries need what their steps need', () => {
  const tune = step({ depth: Number }, function tune() {});
  flow.push([train, tune], { lr: 0.1, name: 'a', depth: 3 });
  // @ts-expect-error depth is missing
  flow.push([train, tune], { lr: 0.1, name: 'a' });
  // @ts-expect-error lr and name are missing
  flow.push(repeat(train, 3));
  // @ts-expect-error lr and name are missing
  flow.push(retry(train, 3));
  flow.push(repeat(retry(train, 3), 2), { lr: 0.1, name: 'a' });
});

test('a step that pushes a step knows what it declared itself', () => {
  step({ lr: Number, name: String }, function parent(flow) {
    flow.push(train);
    flow.push(train, { lr: 1 });
  });
  step({ lr: Number }, function parent(flow) {
    // @ts-expect-error name is missing
    flow.push(train);
  });
});

test('a Standard Schema validator declares its output', () => {
  const configured = step({ config: z.object({ depth: z.number() }) }, function configured(_flow, { config }) {
    expectTypeOf(config).toEqualTypeOf<{ depth: number }>();
  });
  flow.push(configured, { config: { depth: 3 } });
  // @ts-expect-error depth is a number
  flow.push(configured, { config: { depth: '3' } });
});

test('a plain function needs nothing, and takes any values', () => {
  function plain(_flow: StepFlow): void {}
  flow.push(plain);
  flow.push(plain, { anything: 1 });
  flow.push([plain, () => {}], {});
  // @ts-expect-error a step returns nothing
  flow.push(function returns() {
    return 1;
  });
});

test('a handle with declared values is a handle', () => {
  const helper = (_flow: StepFlow): void => {};
  step({ lr: Number }, function uses(flow) {
    helper(flow);
  });
  const takesFlow = (_flow: Flow): void => {};
  takesFlow(flow.put({ lr: 1 }));
});

test('queries are awaited and iterated', async () => {
  expectTypeOf(await flow.search('*')).toEqualTypeOf<Scope[]>();
  expectTypeOf(await flow.search('*').first()).toEqualTypeOf<Scope | undefined>();
  expectTypeOf(await flow.sql<{ n: number }>`SELECT 1 AS n`).toEqualTypeOf<{ n: number }[]>();
  // @ts-expect-error an async predicate is always true
  void flow.search('*', { where: async () => true });
});
