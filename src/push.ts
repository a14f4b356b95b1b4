import type { Context } from './context.ts';
import { MarqueError, show } from './error.ts';
import { paramsJson } from './json.ts';
import { orNear } from './near.ts';
import type { Reference } from './scope.ts';
import { type Pushable, Repeated, type Step, toSteps } from './step.ts';
import { checkValue } from './value-type.ts';

/** One push as it was made: later changes to what was passed do not reach it. */
export interface Push {
  readonly steps: Iterable<Step>;
  readonly values: Readonly<Record<string, unknown>> | null;
  /** The plain part of the values, as they were then: canonical JSON, or null. */
  readonly params: string | null;
  readonly reference: Reference | null;
}

/** Copies and checks what `push` was given. Throws `STEP_UNNAMED`, `STEP_INVALID`, `OPTION_INVALID`. */
export function toPush(steps: Pushable, values: unknown, scope: unknown): Push {
  const copy = values === undefined || values === null ? null : { ...checkValues(values) };
  return {
    steps: toSteps(steps),
    values: copy,
    params: copy === null ? null : paramsJson(copy),
    reference: checkReference(scope),
  };
}

/** How many steps there are, where that is known before they are read, else Infinity. */
export function sizeOf(steps: Iterable<Step>): number {
  return Array.isArray(steps) || steps instanceof Repeated ? steps.length : Number.POSITIVE_INFINITY;
}

/**
 * Checks that what the steps of a push declared is pushed with them or in the context, and of its type. A lazy list is not read for
 * it: its steps are checked when they start. Throws `CONTEXT_UNKNOWN`, `CONTEXT_INVALID`.
 */
export function checkNeeds({ steps, values }: Push, context: Context): void {
  const known: Iterable<Step> = steps instanceof Repeated ? steps.steps : Array.isArray(steps) ? (steps as readonly Step[]) : [];
  for (const { name: step, needs } of known) {
    for (const [name, type] of Object.entries(needs ?? {})) {
      if (values !== null && Object.hasOwn(values, name)) checkValue(type, name, values[name]);
      else if (context.has(name)) checkValue(type, name, context.byName(name));
      else {
        const near = orNear(name, context.names());
        throw new MarqueError(
          'CONTEXT_UNKNOWN',
          `step "${step}" needs "${name}", which is neither pushed with it nor put.${near}`,
        );
      }
    }
  }
}

/** Context values as `put` and `push` take them: an object with names. Throws `OPTION_INVALID`. */
export function checkValues(values: unknown): Readonly<Record<string, unknown>> {
  const isPlain = typeof values === 'object' && values !== null && !Array.isArray(values) && !(Symbol.iterator in values);
  if (isPlain) return values as Readonly<Record<string, unknown>>;
  throw new MarqueError('OPTION_INVALID', `context values are ${show(values)}: give an object of names, such as { lr: 0.1 }`);
}

function checkReference(scope: unknown): Reference | null {
  if (scope === undefined || scope === null) return null;
  const { sid, recall } = scope as Partial<Reference>;
  if (typeof sid === 'number' && typeof recall === 'function') return scope as Reference;
  throw new MarqueError('OPTION_INVALID', `push option scope is ${show(scope)}: give a scope that was found, or flow.scope`);
}
