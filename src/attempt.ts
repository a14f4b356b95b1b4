import { encode } from './codec.ts';
import type { Context } from './context.ts';
import { MarqueError, messageOf, show } from './error.ts';
import { paramsJson } from './json.ts';
import { checkLevel, type LogLevel, type LogPrinter, textOf } from './log.ts';
import { orNear } from './near.ts';
import { childPath } from './path.ts';
import type { Random } from './random.ts';
import { recallFrom, type Reference } from './scope.ts';
import type { Step } from './step.ts';
import type { EncodedArtifact, Status } from './store.ts';
import type { Writer } from './writer.ts';

/** A step waiting for its turn. */
export interface Task {
  readonly step: Step;
  readonly path: string;
  /** What was pushed with it. */
  readonly values: Readonly<Record<string, unknown>> | null;
  /** Of whoever pushed it. */
  readonly inherited: Context;
  readonly parentSid: number | null;
  readonly reference: Reference | null;
}

/** What the attempts of a run share. */
export interface RunHost {
  readonly flow: string;
  readonly writer: Writer;
  readonly printer: LogPrinter;
}

/**
 * One execution of a step while it runs: its context, and the record that becomes its scope. Rows go into the run's buffer as
 * they are made; artifacts and pushes wait for the end, when it is known whether they count.
 */
export class Attempt {
  readonly host: RunHost;
  readonly task: Task;
  readonly number: number;
  readonly sid: number;
  readonly context: Context;
  /** On the monotonic clock, in milliseconds: the wall clock may jump. */
  readonly startedAt = performance.now();
  #pushes: Omit<Task, 'path' | 'inherited' | 'parentSid'>[] | null = null;
  #kept: Map<string, EncodedArtifact> | null = null;
  #forks: Map<string, Random> | null = null;
  #tags = 0;
  #logs = 0;
  #encodeMs = 0;
  #ended = false;

  constructor(host: RunHost, task: Task, number: number, sid: number) {
    this.host = host;
    this.task = task;
    this.number = number;
    this.sid = sid;
    this.context = task.inherited.child(task.values);
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  /** `flow.step.run.path`. */
  get id(): string {
    return `${this.host.flow}.${this.task.step.name}.${this.host.writer.claim.slug}.${this.task.path}`;
  }

  tag(content: string, value: number | null): void {
    this.host.writer.recorder.tag(this.sid, this.task.step.name, this.#tags++, content, value);
    this.host.writer.recorded();
  }

  log(message: unknown, level: LogLevel): void {
    const text = textOf(message);
    this.host.writer.recorder.log(this.sid, this.task.step.name, this.#logs++, checkLevel(level), text, Date.now());
    this.host.writer.recorded();
    this.host.printer.print(level, this.id, text);
  }

  keep(name: string, value: unknown, overwrite: boolean): void {
    checkArtifactName(name);
    if (!overwrite && this.#kept?.has(name)) {
      throw new MarqueError('ARTIFACT_EXISTS', `artifact "${name}" is kept already: pass { overwrite: true } to replace it`);
    }
    const before = performance.now();
    const encoded = encode(`artifact ${show(name)}`, value);
    this.#encodeMs += performance.now() - before;
    this.#kept ??= new Map();
    this.#kept.delete(name); // the order of artifacts is that of their last keep
    this.#kept.set(name, { name, ...encoded });
  }

  /** Its own artifact of that name, else the reference scope's. */
  recall<T>(name: string): T {
    const { reference } = this.task;
    if (reference === null || this.#kept?.has(name)) return recallFrom<T>(this.#kept?.values() ?? [], this.id, name);
    return reference.recall<T>(name);
  }

  /** The stream of a generator in the context that belongs to this position alone: the same whatever ran before. */
  fork(name: string, random: Random): Random {
    this.#forks ??= new Map();
    let fork = this.#forks.get(name);
    if (fork === undefined) this.#forks.set(name, (fork = random.fork(name, this.task.path)));
    return fork;
  }

  push(step: Step, values: Readonly<Record<string, unknown>> | null, reference: Reference | null): void {
    for (const name of Object.keys(step.needs ?? {})) {
      if (values !== null && Object.hasOwn(values, name)) continue;
      if (this.context.has(name)) continue;
      throw new MarqueError(
        'CONTEXT_UNKNOWN',
        `step "${step.name}" needs "${name}", which is neither pushed with it nor in the context.${orNear(name, this.context.names())}`,
      );
    }
    (this.#pushes ??= []).push({ step, values, reference });
  }

  /** What it pushed, as tasks at their positions. They take effect only where the attempt ended `ok`. */
  *pushed(): Generator<Task> {
    if (this.#pushes === null) return;
    for (const [index, push] of this.#pushes.entries()) {
      yield { ...push, path: childPath(this.task.path, index), inherited: this.context, parentSid: this.sid };
    }
  }

  /** Records the scope. Logs what was dropped of a failed attempt. Nothing can be recorded on it afterwards. */
  end(status: Status, failure: { readonly thrown: unknown } | null): void {
    const durationMs = performance.now() - this.startedAt;
    const { task, host } = this;
    if (failure !== null) {
      const dropped = this.#pushes?.length ?? 0;
      if (dropped > 0) this.log(`dropped ${dropped} pushed ${dropped === 1 ? 'step' : 'steps'} of a failed attempt`, 'warning');
      const again = status === 'retried' ? ', to be tried again' : '';
      this.log(`attempt ${this.number} failed${again}: ${messageOf(failure.thrown)}`, status === 'retried' ? 'warning' : 'error');
      this.#pushes = null;
    }
    this.#ended = true;
    const { recorder } = host.writer;
    let seq = 0;
    if (this.#kept !== null)
      for (const artifact of this.#kept.values()) recorder.artifact(this.sid, task.step.name, seq++, artifact);
    recorder.scope({
      sid: this.sid,
      step: task.step.name,
      path: task.path,
      attempt: this.number,
      parentSid: task.parentSid,
      refSid: task.reference?.sid ?? null,
      status,
      startedAt: performance.timeOrigin + this.startedAt,
      durationMs,
      encodeMs: this.#encodeMs,
      error: failure === null ? null : errorOf(failure.thrown),
      params: task.values === null ? null : paramsJson(task.values),
      sourceHash: task.step.sourceHash,
    });
    host.writer.recorded();
  }
}

/** A name of an artifact or a context value is any text that reads back as it was: not empty, no lone surrogates. */
function checkArtifactName(name: unknown): asserts name is string {
  if (typeof name === 'string' && name !== '' && name.isWellFormed()) return;
  throw new MarqueError('NAME_INVALID', `artifact name ${show(name)}: give a text that is not empty and well-formed`);
}

function errorOf(thrown: unknown): { message: string; stack: string | null } {
  return { message: messageOf(thrown).toWellFormed(), stack: stackOf(thrown)?.toWellFormed() ?? null };
}

/** The stack with those of its causes below it; null where something other than an Error was thrown. */
function stackOf(thrown: unknown, depth = 0): string | null {
  if (!(thrown instanceof Error) || depth > 8) return null;
  const cause = stackOf(thrown.cause, depth + 1);
  return cause === null ? String(thrown.stack) : `${thrown.stack}\n  caused by: ${cause}`;
}
