import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Attempt, type RunHost, type Task } from './attempt.ts';
import { captured } from './capture.ts';
import type { Context } from './context.ts';
import { MarqueError, messageOf } from './error.ts';
import { Group, type GroupPlan } from './group.ts';
import { delayAfter } from './retry.ts';
import { lastOrdinal, sidOf } from './sid.ts';
import { StepFlow, type StepServices } from './step-flow.ts';

/** Milliseconds for which resolved awaits may hold the event loop before timers and sockets get their turn. */
const turnMs = 5;
/** The same while a batch is being written, which needs the loop often: the store's threads hand over to it. */
const busyTurnMs = 0.2;

export interface DispatchOptions {
  readonly concurrency: number;
  readonly failFast: boolean;
  readonly capture: boolean;
}

/**
 * Runs groups of steps, one group after another: a loop over waiting tasks, so that steps may push further ones without end.
 * It stops early on the signal, on the first failure where asked to, and where the store fails for good.
 */
export class Dispatcher {
  readonly #host: RunHost;
  readonly #services: StepServices;
  readonly #options: DispatchOptions;
  readonly #stop: AbortSignal;
  readonly #halt = new AbortController(); // aborted with the first failure that ends the run
  readonly #running = new Set<Attempt>();
  #limit = 1;
  #lanes = 0;
  #isStarting = false;
  #turn: Promise<void> | null = null;
  #onLastLane: () => void = () => {};
  #endedSize = 0; // of the groups before this one
  #ordinal = 0;
  #failure: { readonly thrown: unknown } | null = null;
  #lastTurn = performance.now();
  /** Steps that ended, and those of them that failed for good. */
  readonly counts = { done: 0, errors: 0 };
  #group: Group | null = null;

  constructor(host: RunHost, services: StepServices, options: DispatchOptions) {
    this.#host = host;
    this.#services = services;
    this.#options = options;
    this.#stop = services.signal;
  }

  /** The ids of the steps that have started and not ended. */
  get running(): readonly string[] {
    return Array.from(this.#running, (attempt) => attempt.id);
  }

  /** The key of the attempt that started last, or null where none has. */
  get lastSid(): number | null {
    return this.#ordinal === 0 ? null : sidOf(this.#host.writer.claim.number, this.#ordinal);
  }

  /** Steps of the groups so far, pushed ones included, as far as they are known; Infinity where they cannot be. */
  get size(): number {
    return this.#endedSize + (this.#group?.size ?? 0);
  }

  /**
   * Gives up on the steps that are running: records them as failed with the given error. For when they can never end.
   * What they do later is not recorded.
   */
  abandon(error: unknown): void {
    this.#halted(error);
    for (const attempt of this.#running) {
      this.counts.errors++;
      this.#end(attempt, 'error', { thrown: error });
    }
  }

  /** Runs one group to its end. Rejects with what a step threw where failing fast, or with the store's error. */
  async run(plan: GroupPlan, number: number, context: Context): Promise<void> {
    this.#endedSize = this.size;
    const group = new Group(plan, number, context);
    this.#group = group;
    this.#limit = plan.concurrency ?? this.#options.concurrency;
    await new Promise<void>((resolve) => {
      this.#onLastLane = resolve;
      void this.#startLanes(group);
    });
    group.close((error) => this.#halted(error));
    if (this.#failure !== null) throw this.#failure.thrown;
  }

  /**
   * Starts lanes for the tasks that wait, as far as the limit leaves room. One call at a time does so, and counts as a lane
   * meanwhile: a step that pushes while it is being started would otherwise start its own from within, one inside the other.
   */
  async #startLanes(group: Group): Promise<void> {
    if (this.#isStarting) return;
    this.#isStarting = true;
    this.#lanes++;
    try {
      while (this.#lanes <= this.#limit && !this.#isStopping) {
        if (this.#mustGiveWay()) {
          await this.#giveWay();
          continue;
        }
        const task = group.take();
        if (task === null) break;
        this.#lanes++;
        void this.#lane(group, task);
      }
    } catch (error) {
      this.#halted(error); // the store's, or a lazy list of steps that threw
    } finally {
      this.#isStarting = false;
      if (--this.#lanes === 0) this.#onLastLane();
    }
  }

  /** Runs one task after another until none is waiting. Never rejects. */
  async #lane(group: Group, first: Task): Promise<void> {
    try {
      for (let task: Task | null = first; task !== null; task = this.#isStopping ? null : group.take()) {
        const pending = task.step.retry === null ? this.#once(group, task) : this.#withRetries(group, task);
        if (pending !== undefined) await pending;
        if (this.#host.writer.durability === 'every-scope') await this.#host.writer.sharedFlush();
        if (this.#mustGiveWay()) await this.#giveWay();
      }
    } catch (error) {
      this.#halted(error); // the store's, or a lazy list of steps that threw: not a step's own
    }
    if (--this.#lanes === 0) this.#onLastLane();
  }

  /** Notes what ends the run early. */
  #halted(thrown: unknown): void {
    this.#failure ??= { thrown };
    this.#halt.abort();
  }

  get #isStopping(): boolean {
    return this.#stop.aborted || this.#failure !== null;
  }

  /** One attempt without retries. Returns a promise only where the step did: awaiting costs more than many steps. */
  #once(group: Group, task: Task): Promise<void> | undefined {
    const attempt = this.#begin(task, 1);
    try {
      const returned = this.#call(attempt);
      if (isThenable(returned)) {
        return Promise.resolve(returned).then(
          (value) => this.#succeed(group, attempt, value),
          (error: unknown) => this.#fail(attempt, error),
        );
      }
      this.#succeed(group, attempt, returned);
    } catch (error) {
      this.#fail(attempt, error);
    }
    return undefined;
  }

  async #withRetries(group: Group, task: Task): Promise<void> {
    const policy = task.step.retry;
    if (policy === null) return;
    for (let number = 1; ; number++) {
      const attempt = this.#begin(task, number);
      const outcome = await this.#settled(attempt);
      if ('returned' in outcome) return this.#succeed(group, attempt, outcome.returned);
      const again = number < policy.times && !this.#isStopping && isWorthIt(policy.when, outcome.thrown, number, attempt);
      if (!again) return this.#fail(attempt, outcome.thrown);
      this.#end(attempt, 'retried', outcome);
      if (this.#host.writer.durability === 'every-scope') await this.#host.writer.sharedFlush();
      await this.#pause(delayAfter(policy, number, Math.random()));
      if (this.#isStopping) return; // with no last attempt: the step is as unfinished as one that never started
      if (this.#mustGiveWay()) await this.#giveWay();
    }
  }

  async #settled(attempt: Attempt): Promise<{ readonly returned: unknown } | { readonly thrown: unknown }> {
    try {
      return { returned: await this.#call(attempt) };
    } catch (thrown) {
      return { thrown };
    }
  }

  /** Waits between attempts; not longer than the run goes on. */
  async #pause(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#stop, this.#halt.signal]);
    if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => {}); // rejects only when aborted
  }

  #begin(task: Task, number: number): Attempt {
    if (this.#ordinal === lastOrdinal) throw new MarqueError('OPTION_INVALID', `a run holds at most ${lastOrdinal} scopes`);
    const attempt = new Attempt(this.#host, task, number, sidOf(this.#host.writer.claim.number, ++this.#ordinal));
    this.#running.add(attempt);
    return attempt;
  }

  #call(attempt: Attempt): unknown {
    const handle = new StepFlow(attempt, this.#services);
    const { step } = attempt.task;
    const call = (): unknown => step.call(handle, step.needs === null ? {} : handle.needed(step.needs));
    return this.#options.capture ? captured(attempt, call) : call();
  }

  #succeed(group: Group, attempt: Attempt, returned: unknown): void {
    if (attempt.hasEnded) return; // abandoned
    if (returned !== undefined) attempt.log('the step returned a value, which is dropped: use keep(name, value)', 'warning');
    this.#end(attempt, 'ok', null);
    const { pushed } = attempt;
    if (pushed === null) return;
    group.add(pushed);
    void this.#startLanes(group);
  }

  #fail(attempt: Attempt, error: unknown): void {
    if (attempt.hasEnded) return; // abandoned
    this.#end(attempt, 'error', { thrown: error });
    this.counts.errors++;
    this.#host.writer.flushSoon();
    if (this.#options.failFast) this.#halted(error);
  }

  #end(attempt: Attempt, status: 'ok' | 'error' | 'retried', failure: { readonly thrown: unknown } | null): void {
    if (!this.#running.delete(attempt)) return; // abandoned
    attempt.end(status, failure);
    if (status !== 'retried') this.counts.done++;
  }

  #mustGiveWay(): boolean {
    const { writer } = this.#host;
    return writer.isFull || performance.now() - this.#lastTurn >= (writer.isWriting ? busyTurnMs : turnMs);
  }

  /** Lets timers, sockets and the writer have the event loop, and waits where the store cannot keep up. */
  async #giveWay(): Promise<void> {
    const { writer } = this.#host;
    const heldTooLong = performance.now() - this.#lastTurn > writer.policy.ms; // the timer of a flush could not fire
    if (writer.isFull) await writer.flush();
    else if (heldTooLong) await writer.sharedFlush();
    // Lanes wait for the same turn. Who finds that another has held the loop since then waits for the next one.
    do {
      await (this.#turn ??= this.#passTurn());
    } while (!this.#isStopping && performance.now() - this.#lastTurn >= (writer.isWriting ? busyTurnMs : turnMs));
  }

  async #passTurn(): Promise<void> {
    await nextTurn();
    this.#turn = null;
    this.#lastTurn = performance.now();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** A policy's `when` that throws, or answers with a promise, counts as no; that is logged on the attempt. */
function isWorthIt(
  when: (error: unknown, attempt: number) => boolean,
  error: unknown,
  number: number,
  attempt: Attempt,
): boolean {
  try {
    const answer: unknown = when(error, number);
    if (!isThenable(answer)) return Boolean(answer);
    attempt.log('retry option when returned a promise, which is always true: it counts as no', 'error');
    return false;
  } catch (thrown) {
    attempt.log(`retry option when threw: ${messageOf(thrown)}`, 'error');
    return false;
  }
}
