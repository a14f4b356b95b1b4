import { describe, expect, test } from 'vitest';
import { compileSearch } from '../src/compile.ts';
import { extentOfSearch } from '../src/extent.ts';
import {
  and,
  duration,
  ended,
  Flow,
  id,
  MemoryStorage,
  not,
  or,
  param,
  type Predicate,
  retry,
  started,
  status,
  step,
  tag,
  type Where,
} from '../src/index.ts';
import { planSearch } from '../src/plan.ts';
import { checkPredicate } from '../src/predicate-check.ts';
import { searchFor } from './store-rows.ts';

const day = new Date('2026-01-31T10:00:00Z');

describe('a predicate', () => {
  const written: [string, Predicate, unknown][] = [
    ['a comparison', tag('loss').lt(0.1), { kind: 'tag', content: 'loss', test: { op: 'lt', value: 0.1 } }],
    ['-0', tag('loss').ge(-0), { kind: 'tag', content: 'loss', test: { op: 'ge', value: 0 } }],
    ['a range', param('lr').between(0, 1), { kind: 'param', path: ['lr'], test: { op: 'between', from: 0, to: 1 } }],
    ['no number', tag('loss').eq(null), { kind: 'tag', content: 'loss', test: { op: 'in', values: [null] } }],
    ['a list, each value once', param('a').in([1, 1, -0, 0]), { kind: 'param', path: ['a'], test: { op: 'in', values: [1, 0] } }],
    ['another value', param('a', 'b.c').ne('x'), { kind: 'param', path: ['a', 'b.c'], test: { op: 'ne', value: 'x' } }],
    ['presence', param('').exists(), { kind: 'param', path: [''], test: null }],
    ['a status', status('ok', 'error', 'ok'), { kind: 'status', status: ['ok', 'error'] }],
    ['a time', started.before(day), { kind: 'time', of: 'started', test: { op: 'lt', value: day.getTime() } }],
    ['a span', duration.gt(Infinity), { kind: 'time', of: 'duration', test: { op: 'gt', value: Infinity } }],
    ['nothing at all', or(), { kind: 'or', any: [] }],
  ];
  test.for(written)('is plain data: %s', ([, predicate, data]) => {
    expect(predicate).toStrictEqual(data);
  });

  const all = and(
    or(tag('loss').in([0.5, null]), not(tag.glob('model=*').exists())),
    param('model', 'layers').like('res*'),
    id('*.train.*'),
    status('ok'),
    ended.between(day, day),
  );

  test('may be JSON in between', () => {
    expect(checkPredicate(JSON.parse(JSON.stringify(all)))).toStrictEqual(all);
  });

  test('cannot be changed, nor does it change with what it was made of', () => {
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && (Object.values(value).every(frozen) || 'pattern' in value));
    expect(frozen(all)).toBe(true);
    const values = [1];
    const predicate = tag('a').in(values);
    values.push(2);
    expect(predicate).toMatchObject({ test: { values: [1] } });
  });

  test('is not believed in its globs but for their patterns', () => {
    const forged = { kind: 'id', glob: { ...compiled('*'), pattern: 'f.*' } };
    expect(checkPredicate(forged)).toStrictEqual(id('f.*'));
  });

  const anything = <T>(value: unknown): T => value as T;
  const refused: [string, () => unknown, string][] = [
    [
      'a text for the value of a tag',
      () => tag('loss').lt(anything('0.1')),
      'tag("loss").lt is given "0.1", but the value of a tag',
    ],
    ['a text that a tag equals', () => tag('loss').eq(anything('a')), 'tag("loss").eq is given "a"'],
    ['NaN', () => tag('loss').eq(NaN), 'tag("loss").eq is given NaN, which equals nothing: a function finds it'],
    ['less than NaN', () => duration.lt(NaN), 'duration.lt is given NaN: give a number'],
    ['undefined', () => param('lr').eq(anything(undefined)), 'param("lr").eq is given undefined'],
    ['an infinity in params', () => param('lr').eq(-Infinity), 'params hold as the text "-Infinity"'],
    ['a bigint in params', () => param('n').in([anything(5n)]), 'param("n").eq is given 5n, which params hold as the text "5"'],
    ['a date in params', () => param('at').ne(anything(day)), 'give its toISOString()'],
    ['an object', () => param('a').eq(anything({})), 'param("a").eq is given {}'],
    ['a number greater than a text', () => param('a').gt(anything('b')), 'param("a").gt is given "b": give a number'],
    ['ends the wrong way round', () => tag('a').between(2, 1), 'tag("a").between is given 2 and 1'],
    ['an end that is none', () => tag('a').between(2, anything(null)), 'tag("a").between is given null'],
    ['no list', () => tag('a').in(anything(1)), 'tag("a").in is given 1: give a list'],
    ['a list with a hole', () => tag('a').in(anything(Array(2))), 'tag("a").in is given undefined'],
    [
      'too long a list',
      () => tag('a').in(Array.from({ length: 10_001 }, (_, n) => n)),
      'is given 10001 values: give at most 10000',
    ],
    ['half of a surrogate pair as content', () => tag('\ud800').exists(), 'half of a surrogate pair'],
    ['half of a surrogate pair as key', () => param('a', '\udc00').exists(), 'half of a surrogate pair'],
    ['half of a surrogate pair as value', () => param('a').eq('\ud800'), 'half of a surrogate pair'],
    ['no content', () => tag(anything(undefined)), 'tag(undefined) is about no text'],
    ['no key', () => param(...anything<[string]>([])), 'param is given [] for keys'],
    ['a number as key', () => param('a', anything(0)).exists(), 'param("a", 0) has the key 0'],
    ['an endless path', () => param(...(Array(202).fill('a') as [string])).exists(), 'is given 202 keys'],
    ['an unknown status', () => status(anything('eror')), 'status "eror" is none. Did you mean "error"?'],
    ['no Date', () => started.after(anything('2026-01-31')), 'started.after is given "2026-01-31": give a Date'],
    ['an invalid Date', () => ended.between(day, new Date(NaN)), 'ended.between is given an invalid Date'],
    ['a list of predicates', () => and(anything([tag('a').exists()])), 'and(...list)'],
    ['a function among predicates', () => or(anything(() => true)), 'an unnamed function is no condition'],
    ['a condition that asks nothing', () => not(anything(tag('a'))), 'is no condition: give one such as'],
    ['nothing', () => not(anything(null)), 'null is no condition'],
  ];
  test.for(refused)('is refused at the call: %s', ([, call, message]) => {
    expect(call).toThrow(expect.objectContaining({ code: 'PREDICATE_INVALID', message: expect.stringContaining(message) }));
  });

  test('is refused with a pattern that is none, as such', () => {
    for (const call of [() => tag.glob('['), () => param('a').like('{'), () => id('')])
      expect(call).toThrow(expect.objectContaining({ code: 'GLOB_INVALID' }));
  });

  const malformed: [string, unknown][] = [
    ['of an unknown kind', { kind: 'tags', content: 'a', test: null }],
    ['of no kind', { content: 'a', test: null }],
    ['without a test', { kind: 'tag', content: 'a' }],
    ['with a misspelt test', { kind: 'tag', content: 'a', test: { op: 'lessThan', value: 1 } }],
    ['with the test of another kind', { kind: 'tag', content: 'a', test: { op: 'like', glob: compiled('a') } }],
    ['with a test that a time does not have', { kind: 'time', of: 'started', test: { op: 'in', values: [1] } }],
    ['about no such time', { kind: 'time', of: 'started_at', test: { op: 'lt', value: 1 } }],
    ['with a part of a millisecond', { kind: 'time', of: 'started', test: { op: 'lt', value: 0.5 } }],
    ['beyond all dates', { kind: 'time', of: 'ended', test: { op: 'lt', value: 8.65e15 } }],
    ['with JSON of an infinity', JSON.parse(JSON.stringify(tag('a').lt(Infinity)))],
    ['without an end', { kind: 'tag', content: 'a', test: { op: 'between', from: 1 } }],
    ['without a content', { kind: 'tag', content: null, test: null }],
    ['with a path that is a text', { kind: 'param', path: 'lr', test: null }],
    ['with a glob that is a text', { kind: 'id', glob: 'f.*' }],
    ['with a status that is a text', { kind: 'status', status: 'ok' }],
    ['with a hole for a status', { kind: 'status', status: [undefined] }],
    ['without a list', { kind: 'and', any: [] }],
    ['with a hole', { kind: 'or', any: Array(2) }],
    ['that is a list', []],
    ['that is deep inside', { kind: 'and', all: [{ kind: 'not', predicate: { kind: 'or', any: [{}] } }] }],
  ];
  test.for(malformed)('made by hand is refused: %s', ([, predicate]) => {
    expect(() => checkPredicate(predicate)).toThrow(expect.objectContaining({ code: 'PREDICATE_INVALID' }));
  });

  test('has a limit in depth and in number, whatever it shares with itself', () => {
    const nested = (levels: number, build: (inner: Predicate) => Predicate): Predicate => {
      let predicate: Predicate = or();
      for (let level = 1; level < levels; level++) predicate = build(predicate);
      return predicate;
    };
    const tooMuch = expect.objectContaining({ code: 'PREDICATE_INVALID' });
    expect(() => nested(100, not)).not.toThrow();
    expect(() => nested(101, not)).toThrow(tooMuch);
    expect(() => and(not(nested(99, not)))).toThrow(tooMuch);
    expect(() => nested(60, (inner) => and(inner, inner))).toThrow(tooMuch);
    const byHand = nested(60, (inner) => ({ kind: 'and', all: [inner, inner] }));
    expect(() => checkPredicate(byHand)).toThrow(tooMuch);
    const cyclic = { kind: 'and', all: [] as unknown[] };
    cyclic.all.push(cyclic, cyclic);
    expect(() => checkPredicate(cyclic)).toThrow(tooMuch);
    const many = (count: number, condition: Predicate) => Array.from({ length: count }, () => condition);
    expect(() => and(...many(999, param('a').exists()))).not.toThrow();
    expect(() => and(...many(1_000, param('a').exists()))).toThrow(tooMuch);
    expect(() => or(...many(100, tag('a').exists()))).not.toThrow();
    expect(() => or(...many(101, tag('a').exists()))).toThrow(tooMuch);
  });
});

function compiled(pattern: string): object {
  return (id(pattern) as Predicate & { kind: 'id' }).glob;
}

describe('where', () => {
  const planned = (where: unknown) => planSearch('*', { where: where as Where }, null);
  const isLoss = (): boolean => true;

  test('is a function, a predicate, or a list of these', () => {
    const [loss, ok] = [tag('loss').exists(), status('ok')];
    const parts: [unknown, unknown, unknown][] = [
      [undefined, null, null],
      [null, null, null],
      [[], null, null],
      [isLoss, null, isLoss],
      [loss, loss, null],
      [[loss], loss, null],
      [[loss, isLoss], loss, isLoss],
      [[isLoss, loss, ok], and(loss, ok), isLoss],
    ];
    for (const [where, predicate, test] of parts) expect(planned(where)).toMatchObject({ predicate, where: test });
  });

  const refused: [string, unknown, string][] = [
    ['two functions', [isLoss, tag('a').exists(), isLoss], 'WHERE_INVALID'],
    ['an async function', async () => true, 'WHERE_INVALID'],
    ['an async function in a list', [tag('a').exists(), async () => true], 'WHERE_INVALID'],
    [
      'a generator function',
      function* () {
        yield true;
      },
      'WHERE_INVALID',
    ],
    [
      'an async generator function',
      async function* () {
        yield true;
      },
      'WHERE_INVALID',
    ],
    ['a text', 'loss < 1', 'WHERE_INVALID'],
    ['true', true, 'WHERE_INVALID'],
    ['a list in a list', [[isLoss]], 'PREDICATE_INVALID'],
    ['a hole in a list', [undefined], 'WHERE_INVALID'],
    ['a malformed predicate', { kind: 'tag' }, 'PREDICATE_INVALID'],
    ['a condition that asks nothing', param('lr'), 'PREDICATE_INVALID'],
  ];
  test.for(refused)('refuses %s', ([, where, code]) => {
    expect(() => planned(where)).toThrow(expect.objectContaining({ code }));
  });

  test('that names a status retried finds such, unless the search says which statuses', () => {
    const statuses = (where: Where, given?: 'ok') => planSearch('*', { where, status: given }, null).status;
    expect(statuses(status('ok'))).not.toContain('retried');
    expect(statuses(or(tag('a').exists(), not(status('retried'))))).toContain('retried');
    expect(statuses(status('retried'), 'ok')).toEqual(['ok']);
  });

  test('finds by tags and params what steps have tagged and were pushed with', async () => {
    await using storage = new MemoryStorage();
    const train = step('train', (inner) => {
      const lr = inner.get(Number, 'lr');
      inner.tag('loss', lr * 2);
      inner.tag(`model=res${lr * 10}`);
      if (lr === 0.3) throw new Error('diverged');
    });
    const flow = new Flow('test', storage, { logLevel: 'silent' });
    for (const lr of [0.1, 0.2, 0.3]) flow.push(retry(train, 2), { lr, model: { layers: lr * 10 } });
    await flow.execute();
    const rates = async (where: Where | Where[]) =>
      (await storage.search('*', { where, order: 'oldest' })).map(({ params, attempt }) => `${String(params['lr'])}#${attempt}`);
    expect(await rates(tag('loss').lt(0.5))).toEqual(['0.1#1', '0.2#1']);
    expect(await rates(not(tag('loss').lt(0.3)))).toEqual(['0.2#1', '0.3#2']);
    expect(await rates([tag.glob('model=*').exists(), (one) => one.value === 0.4])).toEqual(['0.2#1']);
    expect(await rates(or(param('lr').eq(0.1), param('model', 'layers').ge(3)))).toEqual(['0.1#1', '0.3#2']);
    expect(await rates(and(status('retried'), param('lr').exists()))).toEqual(['0.3#1']);
    expect(await rates([id('*.train.*.0-*'), started.after(new Date(0)), ended.before(new Date(8.64e15))])).toEqual(['0.1#1']);
  });
});

describe('SQL of a predicate', () => {
  test('binds every value and splices none', () => {
    const evil = `'; DROP TABLE raw.scopes; --`;
    const predicate = and(
      tag(evil).in([1, 2]),
      tag.glob(`${evil}*`).exists(),
      param(evil, evil).eq(evil),
      not(param('a').in(Array.from({ length: 30 }, (_, n) => `${evil}${n}`))),
      param('b').like(`*${evil}*`),
      id(`${evil}.*`),
    );
    const { text, values } = compileSearch(searchFor({ predicate }));
    expect(text).not.toContain('DROP');
    expect(values).toContain(evil);
  });

  test('looks tags up once for all alternatives, in the places where the search looks', () => {
    const predicate = or(tag('a').exists(), or(tag('b').lt(1), status('ok')), tag('c').eq(null));
    const { text } = compileSearch(searchFor({ predicate: and(predicate, id('f.s.*')), runs: { kind: 'number', number: 7 } }));
    const [, inner = '', ...more] = text.split('FROM raw.tags');
    expect(more).toEqual([]);
    expect(inner.split(') OR')[0]).toMatch(/flow = \$\d+[^]*step = \$\d+[^]*sid BETWEEN \$\d+ AND \$\d+/);
  });
});

describe('what a search depends on', () => {
  const extent = (predicate: Predicate) => extentOfSearch(searchFor({ predicate }));

  test('are the tags where a predicate asks for them, wherever it does', () => {
    expect(extent(not(or(status('ok'), tag('a').exists()))).tables).toContain('tags');
    expect(extent(not(or(status('ok'), param('a').exists()))).tables).not.toContain('tags');
  });

  test('are the statuses, times and ids that must be', () => {
    const { texts, times } = extent(and(status('error'), and(started.after(day), id('f.{s,t}.*')), started.between(day, day)));
    expect(texts).toContainEqual({ column: 'status', kind: 'equals', texts: ['error'] });
    expect(texts).toContainEqual({ column: 'flow', kind: 'equals', texts: ['f'] });
    expect(texts).toContainEqual({ column: 'step', kind: 'equals', texts: ['s', 't'] });
    const time = day.getTime();
    expect(times).toEqual([
      { column: 'started_at', from: time, to: Infinity },
      { column: 'started_at', from: time, to: time },
    ]);
  });

  test('are not those that may be otherwise', () => {
    const { texts, times } = extent(and(or(status('error'), started.before(day)), not(id('f.*')), ended.before(day)));
    expect(texts).toEqual(extentOfSearch(searchFor()).texts);
    expect(times).toEqual([]);
  });
});
