import { globPredicates, idPredicates } from './glob-sql.ts';
import { disjuncts } from './predicate-parts.ts';
import type { Comparison, Membership, ParamPredicate, ParamValue, Predicate, TagPredicate, TimePredicate } from './search.ts';
import type { Values } from './values.ts';

/**
 * A predicate as a condition on a row of `raw.scopes`: true where it holds, false or NULL where it does not. Tags are looked up in
 * `raw.tags`, where `place` is what is known of the rows that matter. `predicate-match.ts` says the same in memory.
 */
export function predicateSql(predicate: Predicate, place: readonly string[], values: Values): string {
  const sqlOf = (one: Predicate): string => predicateSql(one, place, values);
  switch (predicate.kind) {
    case 'and':
      return allHold(predicate.all.map(sqlOf));
    case 'or': {
      const any = disjuncts(predicate);
      const tags = any.filter((one) => one.kind === 'tag');
      const others = any.filter((one) => one.kind !== 'tag').map(sqlOf);
      return anyHolds(tags.length === 0 ? others : [tagsSql(tags, place, values), ...others]);
    }
    case 'not':
      return `NOT coalesce(${sqlOf(predicate.predicate)}, false)`; // and, or keep the rule that NULL does not hold; NOT would not
    case 'tag':
      return tagsSql([predicate], place, values);
    case 'param':
      return paramSql(predicate, values);
    case 'id':
      return allHold(idPredicates(predicate.glob, values));
    case 'status':
      return among('status', predicate.status, values);
    case 'time':
      return timeSql(predicate, values);
  }
}

/** Scopes that have a tag for at least one of these: one semi-join, however many they are. */
function tagsSql(predicates: readonly TagPredicate[], place: readonly string[], values: Values): string {
  const either = predicates.map(({ content, test }) => {
    const named =
      typeof content === 'string' ? [`content = ${values.bind(content)}`] : globPredicates('content', content, values);
    return allHold([...named, ...(test === null ? [] : [tagValueSql(test, values)])]);
  });
  return `sid IN (SELECT sid FROM raw.tags WHERE ${[...place, anyHolds(either)].join(' AND ')})`;
}

function tagValueSql(test: NonNullable<TagPredicate['test']>, values: Values): string {
  if (isComparison(test)) return numberSql('value', test, values);
  const given = givenValues(test);
  const numbers = given.filter((value) => value !== null);
  const isNull = given.includes(null) ? ['value IS NULL'] : [];
  const isGiven = anyHolds([...(numbers.length > 0 ? [among('value', numbers, values)] : []), ...isNull]);
  return test.op === 'in' ? isGiven : `NOT coalesce(${isGiven}, false)`;
}

/**
 * JSON functions give the text of any value, so each test also asks for its type, after the comparison, which few rows pass. Numbers are
 * read as JavaScript does: `json_extract_string` gives enough digits of what yyjson has parsed exactly.
 */
function paramSql({ path, test }: ParamPredicate, values: Values): string {
  if (test?.op === 'in' && test.values.length === 0) return 'false';
  const pointer = (keys: readonly string[]) =>
    values.bind(keys.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''));
  const place = pointer(path);
  const type = `json_type(params, ${place})`;
  const text = `json_extract_string(params, ${place})`;
  const number = `TRY_CAST(${text} AS DOUBLE)`;
  // A pointer takes the key "0" for the first element of a list as well.
  const objects = path.flatMap((key, index) =>
    index > 0 && /^\d+$/.test(key) ? [`json_type(params, ${pointer(path.slice(0, index))}) = 'OBJECT'`] : [],
  );
  const isThere = `json_exists(params, ${place})`;
  if (test === null) return allHold([isThere, ...objects]);
  if (isComparison(test)) return allHold([comparisonSql(number, test, values), `${type} <> 'VARCHAR'`, ...objects]);
  if (test.op === 'like') return allHold([...globPredicates(text, test.glob, values), `${type} = 'VARCHAR'`, ...objects]);
  const given: readonly ParamValue[] = givenValues(test);
  const texts = given.filter((value) => typeof value === 'string');
  const numbers = given.filter((value) => typeof value === 'number');
  const isGiven = anyHolds([
    ...(texts.length > 0 ? [allHold([among(text, texts, values), `${type} = 'VARCHAR'`])] : []),
    ...(numbers.length > 0 ? [allHold([among(number, numbers, values), `${type} <> 'VARCHAR'`])] : []),
    ...given
      .filter((value) => typeof value === 'boolean')
      .map((value) => allHold([`${text} = ${values.bind(String(value))}`, `${type} = 'BOOLEAN'`])),
    ...(given.includes(null) ? [`${type} = 'NULL'`] : []),
  ]);
  return allHold([...(test.op === 'in' ? [isGiven] : [isThere, `NOT coalesce(${isGiven}, false)`]), ...objects]);
}

function timeSql({ of, test }: TimePredicate, values: Values): string {
  switch (of) {
    case 'started': // by a timestamp, which leaves out row groups
      return comparisonSql('started_at', test, { bind: (time: number) => values.bind(new Date(time)) });
    case 'ended':
      return numberSql('(CAST(epoch_ms(started_at) AS DOUBLE) + duration_ms)', test, values);
    case 'duration':
      return numberSql('duration_ms', test, values);
  }
}

/** A comparison with what may be NaN, which DuckDB takes for greater than all numbers. */
function numberSql(number: string, test: Comparison, values: Values): string {
  const compared = comparisonSql(number, test, values);
  return test.op === 'gt' || test.op === 'ge' ? allHold([compared, `NOT isnan(${number})`]) : compared;
}

const operators = { lt: '<', le: '<=', gt: '>', ge: '>=' } as const;

function comparisonSql(compared: string, test: Comparison, values: { bind(value: number): string }): string {
  if (test.op !== 'between') return `${compared} ${operators[test.op]} ${values.bind(test.value)}`;
  return `${compared} BETWEEN ${values.bind(test.from)} AND ${values.bind(test.to)}`;
}

/** One of these. DuckDB takes a short list to the statistics of row groups, a long one it joins. */
function among(compared: string, list: readonly string[] | readonly number[], values: Values): string {
  if (list.length > 20)
    return `${compared} IN (SELECT unnest(${values.bind(list)}::${typeof list[0] === 'string' ? 'VARCHAR' : 'DOUBLE'}[]))`;
  const bound = list.map((one) => values.bind(one));
  return bound.length > 1 ? `${compared} IN (${bound.join(', ')})` : anyHolds(bound.map((one) => `${compared} = ${one}`));
}

function isComparison<T extends { readonly op: string }>(test: Comparison | T): test is Comparison {
  return test.op in operators || test.op === 'between';
}

function givenValues<T>(test: Membership<T>): readonly T[] {
  return test.op === 'in' ? test.values : [test.value];
}

function allHold(conditions: readonly string[]): string {
  return conditions.length > 1 ? `(${conditions.join(' AND ')})` : (conditions[0] ?? 'true');
}

function anyHolds(conditions: readonly string[]): string {
  return conditions.length > 1 ? `(${conditions.join(' OR ')})` : (conditions[0] ?? 'false');
}
