import { expectTypeOf, test } from 'vitest';
import { and, duration, Flow, param, type Predicate, started, status, tag, type Tag } from '../../src/index.ts';

const flow = new Flow('types');

test('where takes predicates and functions of a tag, alone or in a list', () => {
  void flow.search('*', { where: tag('loss').lt(0.1) });
  void flow.search('*', { where: (one) => (expectTypeOf(one).toEqualTypeOf<Tag>(), one.value === 1) });
  void flow.search('*', { where: [param('lr').eq('high'), (one) => one.content === 'a', and(status('ok'), duration.lt(1))] });
  // @ts-expect-error what asks nothing is no predicate
  void flow.search('*', { where: tag('loss') });
});

test('where takes no async function, for a promise is always true', () => {
  const late = async (one: Tag): Promise<boolean> => one.value === 1;
  // @ts-expect-error alone
  void flow.search('*', { where: late });
  // @ts-expect-error written in place
  void flow.search('*', { where: async (one) => one.value === 1 });
  // @ts-expect-error in a list
  void flow.search('*', { where: [tag('loss').exists(), late] });
});

test('a condition is held to the type of what it is about', () => {
  expectTypeOf(tag('loss').eq(null)).toEqualTypeOf<Predicate>();
  expectTypeOf(param('model', 'layers').in([1, 'two', true, null])).toEqualTypeOf<Predicate>();
  // @ts-expect-error the value of a tag is a number
  tag('loss').lt('0.1');
  // @ts-expect-error only numbers are compared
  param('lr').lt('0.1');
  // @ts-expect-error params hold bigints as texts
  param('lr').eq(1n);
  // @ts-expect-error a time is a Date
  started.before('2026-01-31');
  // @ts-expect-error no status
  status('done');
  // @ts-expect-error a param has a name
  param();
});
