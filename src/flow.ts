import { Context } from './context.ts';
import { MarqueError, show } from './error.ts';
import { Execution } from './execution.ts';
import type { GroupPlan } from './group.ts';
import { Handle } from './handle.ts';
import { checkLevel, type LogLevel, LogPrinter, textOf } from './log.ts';
import { checkName } from './name.ts';
import { withDefaults } from './options.ts';
import type { SearchOptions } from './plan.ts';
import type { Progress } from './progress.ts';
import { checkNeeds, checkValues, toPush } from './push.ts';
import type { Merge, PushArguments, PushOptions } from './pushing.ts';
import type { Query } from './query.ts';
import { RunLogs } from './run-logs.ts';
import type { Scope } from './scope.ts';
import type { SqlQuery } from './sql-query.ts';
import type { Pushable, StepLike } from './step.ts';
import { MemoryStorage } from './storage/memory.ts';
import { Storage } from './storage/storage.ts';
import type { Status } from './store.ts';
import { checkTag, type Tag } from './tag.ts';

export type FlowState = 'pending' | 'running' | 'finished' | 'failed' | 'aborted';

export interface FlowOptions {
  /** The lowest level of log lines that are printed on standard error; every line is stored. Default `warning`. */
  readonly logLevel?: LogLevel | 'silent';
  /** Whether what steps write to the console is logged on them, as well as printed. Default true. */
  readonly capture?: boolean;
  /** Steps of a group that may run at a time. Default 1, which makes their order the same on every execution. */
  readonly concurrency?: number;
  /** Whether progress is shown on standard error. Default false. */
  readonly progress?: boolean;
}

/** What a push outside any step can be given. */
export interface GroupOptions extends PushOptions {
  /** Steps of this group that may run at a time; by default the flow's own limit. */
  readonly concurrency?: number;
}

const everyStatus: readonly Status[] = ['ok', 'error', 'retried', 'skipped'];

/**
 * Orchestrates steps: groups of functions that run in order, each on a scope of its own that is recorded in a storage. Runs once.
 * `C` are the context values that the compiler knows of.
 *
 * ```ts
 * const flow = new Flow('demo', new ParquetStorage('history')).put({ lr: 0.1 }).push(train).push(report);
 * await flow.execute();
 * ```
 */
export class Flow<C extends object = object> extends Handle<C> {
  readonly name: string;
  readonly storage: Storage;
  readonly #options: Required<FlowOptions>;
  readonly #printer: LogPrinter;
  readonly #context = Context.empty();
  readonly #groups: GroupPlan[] = [];
  readonly #tags: Tag[] = [];
  readonly #early: { readonly level: LogLevel; readonly message: string; readonly at: number }[] = []; // logged before the run
  #failFast = false;
  #state: FlowState = 'pending';
  #execution: Execution | null = null;

  /**
   * `name` keeps to letters, digits, `_` and `-`. The storage is opened by `execute`, and stays open: the caller closes it.
   * Throws `NAME_INVALID`, `OPTION_INVALID`.
   */
  constructor(name: string, storage: Storage = new MemoryStorage(), options: FlowOptions = {}) {
    super();
    this.name = checkName('flow', name);
    if (!(storage instanceof Storage)) {
      throw new MarqueError(
        'OPTION_INVALID',
        `flow "${name}" got ${show(storage)} as its storage: give a ParquetStorage or another one`,
      );
    }
    this.storage = storage;
    this.#options = withDefaults<Required<FlowOptions>>(
      { logLevel: 'warning', capture: true, concurrency: 1, progress: false },
      options,
    );
    checkConcurrency(this.#options.concurrency);
    this.#printer = new LogPrinter(this.#options.logLevel);
  }

  /** `pending`, `running`, then `finished`, `failed` (the first failure under `failFast`, or the storage) or `aborted`. */
  get state(): FlowState {
    return this.#state;
  }

  /** The run's slug, two words. Throws `FLOW_NOT_STARTED` before `execute` has claimed it. */
  get run(): string {
    return this.#started('run').slug;
  }

  /** How far the run is. Throws `FLOW_NOT_STARTED`. */
  get progress(): Progress {
    return this.#started('progress').progress;
  }

  /** Every scope of this run, failed attempts included, in the order in which they started. A query: await or iterate it. */
  get scopes(): Query {
    this.#started('scopes');
    return this.search('*', { order: 'oldest', status: everyStatus });
  }

  /** The scopes of this run whose step failed for good, in order. A query: await or iterate it. */
  get errors(): Query {
    this.#started('errors');
    return this.search('*', { order: 'oldest', status: 'error' });
  }

  /** What was logged in this run, by time, the run's own lines included. Await or iterate it. */
  get logs(): RunLogs {
    return new RunLogs(this.storage, this.#started('logs').runNumber);
  }

  /** The flow's own tags, in order. */
  get tags(): readonly Tag[] {
    return [...this.#tags];
  }

  /**
   * Stops after the first step that fails: what is running ends, everything is flushed, the failing scope included, and `execute`
   * rejects with what the step threw. Otherwise failures are recorded and the flow goes on.
   */
  failFast(on = true): this {
    this.#checkNotEnded('failFast');
    this.#failFast = on;
    return this;
  }

  /** Sets context values for every step. A name that is there already gets the new value. Returns this flow, with their types. */
  put<V extends object>(values: V): Flow<Merge<C, V>> {
    this.#checkNotEnded('put');
    this.#context.put(checkValues(values));
    return this as unknown as Flow<Merge<C, V>>;
  }

  /**
   * Adds one group: its steps run after every group before it has ended. `values` go on top of the flow's context for them, and are
   * recorded as their params. Does not compile where a step declares a value that is in neither.
   */
  push<const S extends Pushable>(steps: S, ...args: PushArguments<S, C, GroupOptions>): this {
    const [values, options] = args as [unknown?, (GroupOptions | null)?];
    const { scope, concurrency = null } = options ?? {};
    this.#checkNotEnded('push');
    if (concurrency !== null) checkConcurrency(concurrency);
    const push = toPush(steps, values, scope);
    if (this.#state === 'running') checkNeeds(push, this.#context);
    this.#groups.push({ ...push, concurrency });
    return this;
  }

  /** Marks the run: a text, and a number if there is one. */
  tag(content: string, value?: number | null): this {
    this.#checkNotEnded('tag');
    const [text, number] = checkTag(content, value);
    const tag = { content: text, value: number };
    this.#tags.push(tag);
    this.#execution?.tag(tag);
    return this;
  }

  override log(message: unknown, level: LogLevel = 'info'): void {
    this.#checkNotEnded('log');
    const line = { level: checkLevel(level), message: textOf(message), at: Date.now() };
    if (this.#execution === null) this.#early.push(line);
    else this.#execution.log(line.level, line.message, line.at);
    this.#printer.print(line.level, this.name, line.message);
  }

  /**
   * When it resolves, everything of this run so far is durable. Rejects where the store cannot be written; nothing is lost by that, and
   * another flush tries again, also once the run is over. Before `execute` there is nothing to do.
   */
  async flush(): Promise<void> {
    await this.#execution?.flush();
  }

  /** Finds scopes: of this run by default, once it has started. See `Storage.search`. */
  search(target: string | StepLike, options: SearchOptions = {}): Query {
    const run = this.#execution;
    return this.storage.searchFrom(run === null ? null : { flow: this.name, number: run.runNumber }, target, options);
  }

  /** One SELECT over the views of the store, every value bound. See `Storage.sql`. */
  sql<Row extends object = Record<string, unknown>>(strings: TemplateStringsArray, ...values: readonly unknown[]): SqlQuery<Row> {
    return this.storage.sql<Row>(strings, ...values);
  }

  /**
   * Runs the groups. Resolves, when everything is durable, with the scope that started last (undefined where nothing ran). Rejects
   * with what a step threw under `failFast`, with the signal's reason when aborted, and with the storage's error; what finished is
   * flushed whatever happens. Throws `ALREADY_EXECUTED` the second time, and `CONTEXT_UNKNOWN`, before anything has run, where a value
   * that a pushed step declared is nowhere.
   */
  async execute(options: { readonly signal?: AbortSignal } = {}): Promise<Scope | undefined> {
    if (this.#state !== 'pending') {
      throw new MarqueError('ALREADY_EXECUTED', `flow "${this.name}" is ${this.#state}: a flow runs once, make a new one`);
    }
    if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
      throw new MarqueError('OPTION_INVALID', `execute option signal is ${show(options.signal)}: give an AbortSignal`);
    }
    for (const group of this.#groups) checkNeeds(group, this.#context);
    this.#state = 'running';
    try {
      this.#execution = await this.#begin(options.signal);
    } catch (error) {
      this.#state = 'failed';
      throw error;
    }
    const outcome = await this.#execution.run();
    this.#state = outcome.state;
    if (outcome.state !== 'finished') throw outcome.thrown;
    const { lastSid } = this.#execution;
    return lastSid === null ? undefined : this.storage.scopeOf(lastSid);
  }

  protected override readable(): Context {
    return this.#context;
  }

  protected override received(_name: string, value: unknown): unknown {
    return value;
  }

  async #begin(signal: AbortSignal | undefined): Promise<Execution> {
    const execution = await Execution.begin({
      ...this.#options,
      flow: this.name,
      storage: this.storage,
      printer: this.#printer,
      context: this.#context,
      groups: this.#groups,
      failFast: this.#failFast,
      signal,
    });
    for (const tag of this.#tags) execution.tag(tag);
    for (const { level, message, at } of this.#early) execution.log(level, message, at);
    return execution;
  }

  #started(what: string): Execution {
    if (this.#execution !== null) return this.#execution;
    throw new MarqueError('FLOW_NOT_STARTED', `flow "${this.name}" has no ${what} yet: execute() claims the run`);
  }

  #checkNotEnded(method: string): void {
    const isOpen = this.#state === 'pending' || (this.#state === 'running' && this.#execution?.isClosed !== true);
    if (isOpen) return;
    const state = this.#state === 'running' ? 'at its last flush' : this.#state;
    throw new MarqueError('FLOW_ENDED', `${method} was called on flow "${this.name}", which is ${state}: make a new flow`);
  }
}

function checkConcurrency(value: unknown): void {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return;
  throw new MarqueError('OPTION_INVALID', `concurrency is ${show(value)}: give a whole number of at least 1`);
}
