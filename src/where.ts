import type { SqlValue } from './store.ts';

/**
 * A column compared with values that are known: it is one of them, or lies between them, both ends included. A row that fails a
 * comparison with `<` may pass the one it is taken for, never the other way round.
 */
export interface Comparison {
  /** The name that is compared, in small letters. */
  readonly column: string;
  readonly kind: 'among' | 'between';
  /** For `between` two, null where there is no end. */
  readonly operands: readonly Operand[];
}

/** Texts, numbers and times; null is an open end. */
export type Operand = string | number | Date | null;

/**
 * The comparisons that every row has to pass which a WHERE lets through, as far as they are plain: `name = value`, `<`, `BETWEEN`,
 * `IN (…)`, joined by AND. What else it asks for is left out. Whether a name is that of a column is for the caller to know.
 *
 * @param where as DuckDB's parser has it
 * @param table what the table is called in this SELECT, which has no other
 * @param values what `$1`, `$2`, … stand for
 */
export function comparisonsIn(where: unknown, table: string, values: readonly SqlValue[]): Comparison[] {
  if (typeof where !== 'object' || where === null) return [];
  const node = where as Expression;
  if (node.type === 'CONJUNCTION_AND') return (node.children ?? []).flatMap((child) => comparisonsIn(child, table, values));
  const column = (side: Expression | undefined) => columnIn(side, table);
  const value = (side: Expression | undefined) => valueIn(side, values);
  const comparison = (found: string | null, kind: Comparison['kind'], operands: readonly (Operand | undefined)[]): Comparison[] =>
    found === null || operands.some((operand) => operand === undefined)
      ? []
      : [{ column: found, kind, operands: operands as readonly Operand[] }];
  if (node.type === 'COMPARE_IN') {
    const [tested, ...list] = node.children ?? [];
    return comparison(column(tested), 'among', list.map(value));
  }
  if (node.type === 'COMPARE_BETWEEN') return comparison(column(node.input), 'between', [value(node.lower), value(node.upper)]);
  const { left, right } = node;
  const isTurned = column(left) === null;
  const [name, operand] = isTurned ? [column(right), value(left)] : [column(left), value(right)];
  switch (node.type) {
    case 'COMPARE_EQUAL':
      return comparison(name, 'among', [operand]);
    case 'COMPARE_LESSTHAN':
    case 'COMPARE_LESSTHANOREQUALTO':
      return comparison(name, 'between', isTurned ? [operand, null] : [null, operand]);
    case 'COMPARE_GREATERTHAN':
    case 'COMPARE_GREATERTHANOREQUALTO':
      return comparison(name, 'between', isTurned ? [null, operand] : [operand, null]);
    default:
      return [];
  }
}

/** What is read of an expression of DuckDB's parser. */
interface Expression {
  readonly type?: string;
  readonly children?: readonly Expression[];
  readonly left?: Expression;
  readonly right?: Expression;
  readonly input?: Expression;
  readonly lower?: Expression;
  readonly upper?: Expression;
  readonly column_names?: readonly string[];
  /** Of a parameter. */
  readonly identifier?: string;
  /** Of a constant. */
  readonly value?: { readonly type?: { readonly id?: string }; readonly is_null?: boolean; readonly value?: unknown };
  /** Of a cast. */
  readonly child?: Expression;
  readonly cast_type?: { readonly id?: string };
}

function columnIn(node: Expression | undefined, table: string): string | null {
  if (node?.type !== 'COLUMN_REF') return null;
  const [name, qualifier, ...more] = (node.column_names ?? []).map((part) => part.toLowerCase()).toReversed();
  if (name === undefined || more.length > 0 || (qualifier !== undefined && qualifier !== table.toLowerCase())) return null;
  return name;
}

/** Undefined for what is no value that can be told here. NULL is none either: no row passes a comparison with it, but DuckDB says so. */
function valueIn(node: Expression | undefined, values: readonly SqlValue[]): Exclude<Operand, null> | undefined {
  if (node?.type === 'VALUE_PARAMETER') return parameter(values[Number(node.identifier) - 1]);
  if (node?.type === 'OPERATOR_CAST') return timeIn(node);
  if (node?.type !== 'VALUE_CONSTANT' || node.value?.is_null !== false) return undefined;
  const { type, value } = node.value;
  if (type?.id === 'VARCHAR' && typeof value === 'string') return value;
  return /^(?:U?(?:TINY|SMALL|BIG)INT|U?INTEGER)$/.test(type?.id ?? '') && Number.isSafeInteger(value)
    ? (value as number)
    : undefined;
}

function parameter(value: SqlValue | undefined): Exclude<Operand, null> | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  return value instanceof Date && !Number.isNaN(value.getTime()) ? value : undefined;
}

/** `TIMESTAMP '2026-01-31 10:00'`, which is UTC. A cast to DATE would cut the time off. */
function timeIn({ child, cast_type: type }: Expression): Date | undefined {
  const text = child?.type === 'VALUE_CONSTANT' ? child.value?.value : undefined;
  const isTime = type?.id === 'TIMESTAMP' || type?.id === 'TIMESTAMP_MS' || (type?.id === 'DATE' && String(text).length === 10);
  return isTime && typeof text === 'string' ? (parseTime(text) ?? undefined) : undefined;
}

/** A time as DuckDB takes it from a text that it compares with a TIMESTAMP, in milliseconds at most; null for what is written otherwise. */
export function parseTime(text: string): Date | null {
  const [, day, time = '00:00'] = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?$/.exec(text) ?? [];
  if (day === undefined) return null;
  const date = new Date(`${day}T${time}Z`);
  return Number.isNaN(date.getTime()) ? null : date;
}
