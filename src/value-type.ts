import type { StandardSchemaV1 } from '@standard-schema/spec';
import { MarqueError, show } from './error.ts';

/** A class, or one of the constructors that name a primitive: `Number`, `String`, `Boolean`, `BigInt`, `Symbol`. */
export type ClassType = abstract new (...args: never) => unknown;
type PrimitiveType = NumberConstructor | StringConstructor | BooleanConstructor | BigIntConstructor | SymbolConstructor;

/** What a context value can be asked for by: a class, a primitive's constructor, or any Standard Schema validator. */
export type ValueType = ClassType | PrimitiveType | StandardSchemaV1;

/** The value that a type stands for: `Number` is `number`, `Array` is `unknown[]`, a class its instance, a schema its output. */
export type ValueOf<T> = T extends NumberConstructor
  ? number
  : T extends StringConstructor
    ? string
    : T extends BooleanConstructor
      ? boolean
      : T extends BigIntConstructor
        ? bigint
        : T extends SymbolConstructor
          ? symbol
          : T extends ArrayConstructor
            ? unknown[]
            : T extends StandardSchemaV1
              ? StandardSchemaV1.InferOutput<T>
              : T extends abstract new (...args: never) => infer Instance
                ? Instance
                : never;

/** The value that has to be put for a type: as `ValueOf`, but the input of a schema that transforms. */
export type InputOf<T> = T extends StandardSchemaV1 ? StandardSchemaV1.InferInput<T> : ValueOf<T>;

export function isSchema(type: ValueType): type is StandardSchemaV1 {
  return '~standard' in type;
}

export function isValueType(value: unknown): value is ValueType {
  return typeof value === 'function' || (typeof value === 'object' && value !== null && '~standard' in value);
}

/** How messages call a type. */
export function typeName(type: ValueType): string {
  return isSchema(type) ? `the ${type['~standard'].vendor} schema` : type.name || 'an unnamed class';
}

/** Whether a value is of a type: primitives by `typeof`, arrays by `Array.isArray`, anything else by `instanceof`. */
export function isOfType(type: ClassType | PrimitiveType, value: unknown): boolean {
  switch (type) {
    case Number:
      return typeof value === 'number';
    case String:
      return typeof value === 'string';
    case Boolean:
      return typeof value === 'boolean';
    case BigInt:
      return typeof value === 'bigint';
    case Symbol:
      return typeof value === 'symbol';
    case Array:
      return Array.isArray(value);
    default:
      return value instanceof (type as ClassType);
  }
}

/**
 * Checks a named value against a type and returns it, as the schema's output where the type is one. Throws `CONTEXT_INVALID`
 * naming the value. Validators must be synchronous.
 */
export function checkValue(type: ValueType, name: string, value: unknown): unknown {
  if (!isSchema(type)) {
    if (isOfType(type, value)) return value;
    throw new MarqueError('CONTEXT_INVALID', `context value "${name}" is ${show(value)}, not of type ${typeName(type)}`);
  }
  const outcome = type['~standard'].validate(value);
  if (outcome instanceof Promise) {
    outcome.catch(() => {}); // its answer is of no use any more, and must not end the process
    throw new MarqueError('CONTEXT_INVALID', `the validator of context value "${name}" is asynchronous: use a synchronous one`);
  }
  if (outcome.issues === undefined) return outcome.value;
  const issues = outcome.issues.map((issue) => issue.message).join('; ');
  throw new MarqueError(
    'CONTEXT_INVALID',
    `context value "${name}" is ${show(value)}, which ${typeName(type)} refuses: ${issues}`,
  );
}
