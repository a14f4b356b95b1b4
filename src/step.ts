import { createHash } from 'node:crypto';
import { MarqueError, show } from './error.ts';
import { checkName } from './name.ts';
import type { RetryPolicy } from './retry.ts';
import type { StepFlow } from './step-flow.ts';
import { type InputOf, isValueType, type ValueOf, type ValueType } from './value-type.ts';

/** What a step needs from the context: names with their types, `{ lr: Number, random: Random }`. */
export type Needs = Readonly<Record<string, ValueType>>;

/** The values that a step gets for a declaration of needs. */
export type NeededValues<D> = { -readonly [K in keyof D]: ValueOf<D[K]> };

/** The values that have to be pushed for a declaration of needs: the same, but for schemas that transform. */
export type PushedValues<D> = { -readonly [K in keyof D]: InputOf<D[K]> };

/** A function that can be pushed as a step. It returns nothing: what is worth having is kept, tagged or logged. */
export type StepFunction<C extends object = object> = (flow: StepFlow<C>) => void | Promise<void>;

declare const needed: unique symbol;

/** A named step: what `push` makes of a function, and what `step`, `repeat` and `retry` return. */
export class Step<N extends object = object> {
  /** Keeps the needed values in the type, so that `push` can compare them with what is there. Not there at run time. */
  declare readonly [needed]: (values: N) => void;
  readonly name: string;
  readonly needs: Needs | null;
  readonly retry: RetryPolicy | null;
  readonly #call: (flow: StepFlow, values: object) => unknown;
  #sourceHash: string | null | undefined;

  constructor(
    name: string,
    needs: Needs | null,
    call: (flow: StepFlow, values: object) => unknown,
    retry: RetryPolicy | null = null,
  ) {
    this.name = checkName('step', name);
    this.needs = needs;
    this.retry = retry;
    this.#call = call;
  }

  /** Calls the function; `values` are those it declared to need. */
  call(flow: StepFlow, values: object): unknown {
    return this.#call(flow, values);
  }

  /** The same step under a retry policy. */
  withRetry(retry: RetryPolicy): Step<N> {
    return new Step<N>(this.name, this.needs, this.#call, retry);
  }

  /** 64 bits of SHA-256 over the function's source text, or null where there is none to read (native and bound functions). */
  get sourceHash(): string | null {
    if (this.#sourceHash === undefined) {
      const source = Function.prototype.toString.call(this.#call);
      const readable = !source.endsWith('{ [native code] }');
      this.#sourceHash = readable ? createHash('sha256').update(source).digest('hex').slice(0, 16) : null;
    }
    return this.#sourceHash;
  }
}

/** Anything `push` takes as one step. */
// oxlint-disable-next-line typescript/no-explicit-any -- any: a step of whatever needs; `NeedsOf` reads them off
export type StepLike = Step<any> | StepFunction<any>;

/** Anything `push` takes: one step, or any iterable of steps, which is read only as the flow gets there. */
export type Pushable = StepLike | Iterable<StepLike>;

/** The context values that pushing `S` asks for: those of all its steps together. */
export type NeedsOf<S> = Known<Intersect<NeedsOfEach<S>>>;

type NeedsOfEach<S> =
  S extends Step<infer N>
    ? [N]
    : S extends (flow: StepFlow<infer C>) => unknown
      ? [C]
      : S extends Iterable<infer E>
        ? NeedsOfEach<E>
        : [object];
/** `any` says nothing about what is needed. */
type Known<N> = 0 extends 1 & N ? object : N;
type Intersect<U> = (U extends [infer N] ? (values: N) => void : never) extends (values: infer I) => void ? I : never;

/**
 * Gives a function a name, or declares what it needs from the context, or both. What is declared is checked by the compiler and
 * again at `push`, and handed to the function as its second argument.
 *
 * ```ts
 * const train = step({ lr: Number, random: Random }, function train(flow, { lr, random }) { … });
 * flow.push(train, { lr: 0.1, random: new Random(42) });
 * ```
 *
 * Throws `STEP_UNNAMED`, `STEP_INVALID`, `NAME_INVALID`.
 */
export function step<C extends object = object>(name: string, fn: StepFunction<C>): Step<C>;
export function step<const D extends Needs>(
  needs: D,
  fn: (flow: StepFlow<NeededValues<D>>, values: NeededValues<D>) => void | Promise<void>,
): Step<PushedValues<D>>;
export function step<const D extends Needs>(
  name: string,
  needs: D,
  fn: (flow: StepFlow<NeededValues<D>>, values: NeededValues<D>) => void | Promise<void>,
): Step<PushedValues<D>>;
export function step(...args: unknown[]): Step {
  const fn = args.at(-1);
  checkFunction(fn);
  const name = typeof args[0] === 'string' ? args[0] : nameOf(fn);
  const needs = args.slice(typeof args[0] === 'string' ? 1 : 0, -1)[0];
  if (needs !== undefined) checkNeeds(name, needs);
  return new Step(name, needs ?? null, fn);
}

/** What was pushed, as a `Step`. Throws `STEP_UNNAMED` for a function without a name, `STEP_INVALID` for anything else. */
export function toStep(pushed: unknown): Step {
  if (pushed instanceof Step) return pushed as Step;
  checkFunction(pushed);
  return new Step(nameOf(pushed), null, pushed);
}

/** The steps of one push, in order. A list is checked at once, so that a mistake shows where it was made; anything else as it is read. */
export function toSteps(pushed: unknown): Iterable<Step> {
  if (pushed instanceof Step || typeof pushed === 'function') return [toStep(pushed)];
  if (Array.isArray(pushed)) return pushed.map(toStep);
  if (pushed instanceof Repeated) return pushed;
  if (typeof pushed === 'object' && pushed !== null && Symbol.iterator in pushed) return mapSteps(pushed as Iterable<unknown>);
  throw new MarqueError('STEP_INVALID', `cannot push ${show(pushed)}: a step is a function, or what step() returns`);
}

function* mapSteps(pushed: Iterable<unknown>): Generator<Step> {
  for (const one of pushed) yield toStep(one);
}

/** Steps over and over, made only as they are reached. */
export class Repeated<N extends object = object> implements Iterable<Step<N>> {
  /** One round of them. */
  readonly steps: readonly Step<N>[];
  readonly #times: number;

  constructor(steps: readonly Step<N>[], times: number) {
    this.steps = steps;
    this.#times = times;
  }

  /** How many steps there are in all. */
  get length(): number {
    return this.steps.length * this.#times;
  }

  *[Symbol.iterator](): Generator<Step<N>> {
    for (let round = 0; round < this.#times; round++) yield* this.steps;
  }
}

/**
 * The same step, or the same steps in turn, `times` over: `repeat([a, b], 2)` is a, b, a, b. `Infinity` is allowed and ends with
 * the flow's abortion. Throws `OPTION_INVALID` for anything but a positive whole number.
 */
export function repeat<S extends StepLike | readonly StepLike[]>(steps: S, times: number): Repeated<NeedsOf<S> & object> {
  if (times !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(times) && times > 0)) {
    throw new MarqueError('OPTION_INVALID', `repeat ${show(times)} times: give a whole number of at least 1, or Infinity`);
  }
  const list = [...toSteps(steps)];
  if (list.length === 0) throw new MarqueError('OPTION_INVALID', 'repeat of an empty list: give at least one step');
  return new Repeated(list, times);
}

type AnyFunction = (...args: unknown[]) => unknown;

function checkFunction(fn: unknown): asserts fn is AnyFunction {
  if (typeof fn !== 'function') {
    throw new MarqueError('STEP_INVALID', `${show(fn)} is no step: a step is a function, or what step() returns`);
  }
  const source = Function.prototype.toString.call(fn);
  if (/^class\b/.test(source))
    throw new MarqueError('STEP_INVALID', `class ${fn.name} is no step: push one of its methods, bound`);
  if (/^(Async)?GeneratorFunction$/.test(fn.constructor.name)) {
    throw new MarqueError(
      'STEP_INVALID',
      `${show(fn)} is a generator, whose body would never run: use a plain or async function`,
    );
  }
}

/** The function's own name; that of the original for a bound function; without `#` for a private method. */
function nameOf(fn: AnyFunction): string {
  const name = fn.name.replace(/^(bound )+/, '').replace(/^#/, '');
  if (name !== '') return name;
  const source = Function.prototype.toString.call(fn).replaceAll(/\s+/g, ' ');
  const shown = source.length > 60 ? `${source.slice(0, 59)}…` : source;
  throw new MarqueError('STEP_UNNAMED', `a step needs a name, and \`${shown}\` has none: write step("name", fn)`);
}

function checkNeeds(name: string, needs: unknown): asserts needs is Needs {
  if (typeof needs !== 'object' || needs === null) {
    throw new MarqueError(
      'STEP_INVALID',
      `step "${name}" declares its needs as ${show(needs)}: give an object such as { lr: Number }`,
    );
  }
  for (const [key, type] of Object.entries(needs)) {
    if (isValueType(type)) continue;
    throw new MarqueError(
      'STEP_INVALID',
      `step "${name}" needs "${key}" of type ${show(type)}: give a class or a Standard Schema`,
    );
  }
}
