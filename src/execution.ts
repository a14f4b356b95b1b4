import { v7 as uuidv7 } from 'uuid';
import { captureConsole } from './capture.ts';
import type { Context } from './context.ts';
import { Dispatcher } from './dispatcher.ts';
import { MarqueError, messageOf } from './error.ts';
import type { GroupPlan } from './group.ts';
import { interruptible } from './interrupt.ts';
import { paramsJson } from './json.ts';
import type { LogLevel, LogPrinter } from './log.ts';
import { type Progress, showProgress } from './progress.ts';
import { sizeOf } from './push.ts';
import { Random } from './random.ts';
import { runOrigin } from './run.ts';
import { sidOf } from './sid.ts';
import type { Storage } from './storage/storage.ts';
import { whenStuck } from './stuck.ts';
import type { Tag } from './tag.ts';
import type { Writer } from './writer.ts';

/** What a flow hands over when it is executed. */
export interface ExecutionPlan {
  readonly flow: string;
  readonly storage: Storage;
  readonly printer: LogPrinter;
  readonly context: Context;
  /** Read as the run gets there, so that groups may be added while it runs. */
  readonly groups: GroupPlan[];
  readonly failFast: boolean;
  readonly concurrency: number;
  readonly capture: boolean;
  readonly progress: boolean;
  readonly signal: AbortSignal | undefined;
}

/** How a run ended; `thrown` is what ended it early. */
export type Outcome = { readonly state: 'finished' } | { readonly state: 'failed' | 'aborted'; readonly thrown: unknown };

/** One run of a flow, from its claim to its last flush. */
export class Execution {
  readonly #plan: ExecutionPlan;
  readonly #writer: Writer;
  readonly #startedAt = performance.now();
  readonly #stop = new AbortController();
  readonly #dispatcher: Dispatcher;
  #tags = 0;
  #logs = 0;
  #isClosed = false;

  private constructor(plan: ExecutionPlan, writer: Writer) {
    this.#plan = plan;
    this.#writer = writer;
    const { flow, storage, printer } = plan;
    const run = { flow, slug: writer.claim.slug, number: writer.claim.number };
    this.#dispatcher = new Dispatcher({ flow, writer, printer }, { storage, signal: this.#stop.signal, run }, plan);
  }

  /** Claims a run and records that it started. */
  static async begin(plan: ExecutionPlan): Promise<Execution> {
    const uuid = uuidv7();
    const print = (message: string): void =>
      plan.printer.print('error', plan.flow, `flush failed, to be tried again: ${message}`);
    const [writer, origin] = await Promise.all([plan.storage.begin(plan.flow, uuid, print), runOrigin()]);
    const execution = new Execution(plan, writer);
    const values = plan.context.own();
    const params = paramsJson(values);
    const seeds = Object.entries(values).flatMap(([name, value]) =>
      value instanceof Random ? [[name, value.seed] as const] : [],
    );
    execution.#event('started', {
      params: params === null ? {} : (JSON.parse(params) as unknown),
      seeds: Object.fromEntries(seeds),
      ...origin,
    });
    return execution;
  }

  get runNumber(): number {
    return this.#writer.claim.number;
  }

  get slug(): string {
    return this.#writer.claim.slug;
  }

  /** Whether the last group has ended: what is recorded from then on would not be stored. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The key of the scope that started last, or null where none has. */
  get lastSid(): number | null {
    return this.#dispatcher.lastSid;
  }

  get progress(): Progress {
    const { done, errors } = this.#dispatcher.counts;
    const later = this.#plan.groups.reduce((sum, group) => sum + sizeOf(group.steps), 0);
    const elapsedMs = performance.now() - this.#startedAt;
    return { run: this.slug, done, total: this.#dispatcher.size + later, errors, elapsedMs };
  }

  /** Records a tag of the run itself. */
  tag({ content, value }: Tag): void {
    this.#writer.recorder.tag(sidOf(this.runNumber, 0), null, this.#tags++, content, value);
    this.#writer.recorded();
  }

  /** Records a line of the run itself. `at` in epoch milliseconds. */
  log(level: LogLevel, message: string, at: number): void {
    this.#writer.recorder.log(sidOf(this.runNumber, 0), null, this.#logs++, level, message, at);
    this.#writer.recorded();
  }

  /** Everything recorded so far is durable when it resolves. */
  async flush(): Promise<void> {
    await this.#plan.storage.flushRun(this.#writer);
  }

  /** Runs all groups, then makes everything durable. Never rejects: the outcome tells. */
  async run(): Promise<Outcome> {
    const { signal, capture, progress } = this.#plan;
    const abort = (): void => this.#stop.abort(signal?.reason);
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort);
    const restoreConsole = capture ? captureConsole() : () => {};
    const endProgress = progress ? await showProgress(() => this.progress) : () => {};
    const release = interruptible({
      stop: (name) => {
        this.#stop.abort(new MarqueError('ABORTED', `run ${this.slug} was stopped by ${name}`));
        this.#writer.flushSoon(); // a step that does not end may yet make somebody kill the process
      },
    });
    try {
      const outcome = await this.#runGroups();
      restoreConsole();
      endProgress();
      return await this.#finish(outcome);
    } finally {
      signal?.removeEventListener('abort', abort);
      release(); // last: it ends the process where a signal asked for that
    }
  }

  async #runGroups(): Promise<Outcome> {
    const { groups, context } = this.#plan;
    const stop = this.#stop.signal;
    const stuck = whenStuck(() => this.#dispatcher.running);
    try {
      for (let number = 0; groups.length > 0 && !stop.aborted; number++) {
        await Promise.race([this.#dispatcher.run(groups.shift() as GroupPlan, number, context), stuck.promise]);
      }
      this.#isClosed = true; // at once: a group pushed from now on would not be run
      return stop.aborted ? { state: 'aborted', thrown: stop.reason } : { state: 'finished' };
    } catch (thrown) {
      this.#isClosed = true;
      this.#dispatcher.abandon(thrown);
      return { state: 'failed', thrown };
    } finally {
      stuck.release();
    }
  }

  /** Records how the run ended and flushes. Where that fails the rows stay in memory for another `storage.flush()`. */
  async #finish(outcome: Outcome): Promise<Outcome> {
    const error = outcome.state === 'finished' ? null : messageOf(outcome.thrown);
    this.#event('ended', { state: outcome.state, durationMs: performance.now() - this.#startedAt, error });
    try {
      await this.#plan.storage.end(this.#writer);
      return outcome;
    } catch (thrown) {
      return outcome.state === 'finished' ? { state: 'failed', thrown } : outcome;
    }
  }

  #event(event: 'started' | 'ended', details: object): void {
    const { uuid, claim, recorder } = this.#writer;
    recorder.event({ runNumber: claim.number, uuid, event, at: Date.now(), details: JSON.stringify(details) });
    this.#writer.recorded();
  }
}
