import type { Attempt } from './attempt.ts';
import type { Context } from './context.ts';
import { MarqueError } from './error.ts';
import { Handle } from './handle.ts';
import type { LogLevel } from './log.ts';
import type { SearchOptions } from './plan.ts';
import { checkValues, toPush } from './push.ts';
import type { Merge, PushArguments, PushOptions } from './pushing.ts';
import type { Query } from './query.ts';
import { Random } from './random.ts';
import type { Reference } from './scope.ts';
import type { SqlQuery } from './sql-query.ts';
import type { Needs, Pushable, StepLike } from './step.ts';
import type { Storage } from './storage/storage.ts';
import { checkTag } from './tag.ts';

/** What a step can reach of its run. */
export interface StepServices {
  readonly storage: Storage;
  readonly signal: AbortSignal;
  readonly run: { readonly flow: string; readonly slug: string; readonly number: number };
}

/**
 * The flow as seen from one step: everything works on that step's own scope and context, so concurrent steps never mix. It
 * ends with the step; using it later throws `HANDLE_ENDED`. `C` are the context values that the step declared.
 */
export class StepFlow<C extends object = object> extends Handle<C> {
  /** Keeps the declared values in the type. Not there at run time. */
  declare protected readonly declared: C;
  readonly #attempt: Attempt;
  readonly #services: StepServices;

  /** @internal */
  constructor(attempt: Attempt, services: StepServices) {
    super();
    this.#attempt = attempt;
    this.#services = services;
  }

  /** The flow's name. */
  get name(): string {
    return this.#services.run.flow;
  }

  /** The run's slug. */
  get run(): string {
    return this.#services.run.slug;
  }

  /** The step's name. */
  get step(): string {
    return this.#attempt.task.step.name;
  }

  /** `flow.step.run.path`. */
  get id(): string {
    return this.#attempt.id;
  }

  /** The position of this step: the same on every execution, whatever runs beside it. */
  get path(): string {
    return this.#attempt.task.path;
  }

  /** From 1; more than that where the step is retried. */
  get attempt(): number {
    return this.#attempt.number;
  }

  /** Aborts when the flow does: hand it to whatever the step waits for. */
  get signal(): AbortSignal {
    return this.#services.signal;
  }

  /** The scope that this step was pushed with, or undefined. */
  get reference(): Reference | undefined {
    return this.#attempt.reference ?? undefined;
  }

  /**
   * This step's own scope, to be handed to the steps it pushes: `push(next, {}, { scope: flow.scope })`. They recall what this step has
   * kept; for what its own reference kept, hand that on instead: `{ scope: flow.reference }`.
   */
  get scope(): Reference {
    const attempt = this.#attempt;
    return { sid: attempt.sid, id: attempt.id, recall: (name) => attempt.recallOwn(name) };
  }

  /** Sets context values for this step and whatever it pushes; its siblings never see them. Returns this handle, with their types. */
  put<V extends object>(values: V): StepFlow<Merge<C, V>> {
    this.#live('put').context.put(checkValues(values));
    return this as unknown as StepFlow<Merge<C, V>>;
  }

  /** Marks the scope: a text, and a number if there is one. Repeating a text makes a series. */
  tag(content: string, value?: number | null): void {
    const attempt = this.#live('tag');
    attempt.tag(...checkTag(content, value));
  }

  /**
   * Keeps a value with the scope, exactly, as it is now. Throws `ARTIFACT_EXISTS` for a second value of that name without `overwrite`,
   * and `VALUE_INVALID`, naming the place, for a value that would not read back as it is.
   */
  keep(name: string, value: unknown, options: { readonly overwrite?: boolean } = {}): void {
    this.#live('keep').keep(name, value, options.overwrite === true);
  }

  /** What this step kept under a name, else what its reference scope kept, and no further. Throws `ARTIFACT_UNKNOWN`. */
  recall<T = unknown>(name: string): T {
    return this.#live('recall').recall<T>(name);
  }

  override log(message: unknown, level: LogLevel = 'info'): void {
    this.#live('log').log(message, level);
  }

  /**
   * When it resolves, every scope of the run that had ended is durable, and so are this step's own tags and logs so far: `live_tags` and
   * `live_logs` show them to others. Rejects where the store cannot be written; nothing is lost by that.
   */
  async flush(): Promise<void> {
    await this.#live('flush').host.writer.flush();
  }

  /**
   * Extends the running group: the steps run after those already waiting, once this attempt has ended well. They inherit this
   * step's context, with `values` on top, which are recorded as their params. Does not compile where a step declares a value that is
   * neither in `values` nor known to be in the context; throws `CONTEXT_UNKNOWN` where it really is not.
   */
  push<const S extends Pushable>(steps: S, ...args: PushArguments<S, C>): void {
    const [values, options] = args as [unknown?, (PushOptions | null)?];
    this.#live('push').push(toPush(steps, values, options?.scope));
  }

  /**
   * Finds scopes that finished before the query runs, flushed or not: by default those of this run. See `Storage.search`. Only what
   * earlier groups made is the same on every execution.
   */
  search(target: string | StepLike, options: SearchOptions = {}): Query {
    const { witness } = this.#live('search');
    const { flow, number } = this.#services.run;
    return this.#services.storage.searchFrom({ flow, number }, target, options, witness);
  }

  /** One SELECT over the views of the store, every value bound. See `Storage.sql`. */
  sql<Row extends object = Record<string, unknown>>(strings: TemplateStringsArray, ...values: readonly unknown[]): SqlQuery<Row> {
    this.#live('sql');
    return this.#services.storage.sql<Row>(strings, ...values);
  }

  /** @internal The values that a step declared to need, checked. */
  needed(needs: Needs): object {
    const { context } = this.#attempt;
    const checked = Object.entries(needs).map(([name, type]) => {
      const value = context.byTypeAndName(type, name);
      if (value !== context.byName(name)) context.put({ [name]: value }); // a schema's output is what the step and its pushes see
      return [name, this.received(name, value)];
    });
    return Object.fromEntries(checked) as object;
  }

  protected override readable(): Context {
    return this.#live('get').context;
  }

  protected override received(name: string, value: unknown): unknown {
    return value instanceof Random ? this.#attempt.fork(name, value) : value;
  }

  #live(method: string): Attempt {
    if (!this.#attempt.hasEnded) return this.#attempt;
    const { step } = this.#attempt.task;
    throw new MarqueError(
      'HANDLE_ENDED',
      `${method} was called on the handle of step "${step.name}" (${this.#attempt.id}) after the step had ended: await what it starts`,
    );
  }
}
