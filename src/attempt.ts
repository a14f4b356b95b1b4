import { encode } from './codec.ts';
import type { Context } from './context.ts';
import { MarqueError, messageOf, show } from './error.ts';
import { checkLevel, type LogLevel, type LogPrinter, textOf } from './log.ts';
import type { TaskSource } from './group.ts';
import { childPath } from './path.ts';
import { checkNeeds, type Push, sizeOf } from './push.ts';
import type { Random } from './random.ts';
import { recallFrom, type Reference, Scope, type Witness } from './scope.ts';
import { Seen } from './seen.ts';
import type { Step } from './step.ts';
import type { EncodedArtifact, Status } from './store.ts';
import type { Writer } from './writer.ts';

/** An artifact must fit into one batch, whatever else is in it, and into one text of a JSON file. Bytes, or characters. */
const largestArtifact = 256 * 2 ** 20;

/** A step waiting for its turn. */
export interface Task {
  readonly step: Step;
  readonly path: string;
  /** What was pushed with it. */
  readonly values: Push['values'];
  /** The plain part of that, as it was when it was pushed. */
  readonly params: Push['params'];
  /** Of whoever pushed it. */
  readonly inherited: Context;
  readonly parentSid: number | null;
  readonly reference: Push['reference'];
}

/** What the attempts of a run share. */
export interface RunHost {
  readonly flow: string;
  readonly writer: Writer;
  readonly printer: LogPrinter;
}

/**
 * One execution of a step while it runs: its context, and the record that becomes its scope. Rows go into the run's buffer as
 * they are made; artifacts wait for the end, since they may be replaced, and pushes, since those of a failed attempt do not count.
 */
export class Attempt {
  readonly host: RunHost;
  readonly task: Task;
  readonly number: number;
  readonly sid: number;
  readonly context: Context;
  /** On the monotonic clock, in milliseconds: the wall clock may jump. */
  readonly startedAt = performance.now();
  #pushes: Push[] | null = null;
  #kept: Map<string, EncodedArtifact> | null = null;
  #forks: Map<string, Random> | null = null;
  #seen: Seen | null = null;
  #reference: Reference | null = null;
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
    this.capture(text, checkLevel(level));
    this.host.printer.print(level, this.id, text);
  }

  /** A line that has been printed already. */
  capture(message: string, level: LogLevel): void {
    this.host.writer.recorder.log(this.sid, this.task.step.name, this.#logs++, level, message.toWellFormed(), Date.now());
    this.host.writer.recorded();
  }

  keep(name: string, value: unknown, overwrite: boolean): void {
    checkArtifactName(name);
    if (!overwrite && this.#kept?.has(name)) {
      throw new MarqueError('ARTIFACT_EXISTS', `artifact "${name}" is kept already: pass { overwrite: true } to replace it`);
    }
    const before = performance.now();
    const encoded = encode(`artifact ${show(name)}`, value);
    this.#encodeMs += performance.now() - before;
    const size = (encoded.text?.length ?? 0) + (encoded.bytes?.length ?? 0);
    if (size > largestArtifact) {
      const mib = Math.round(size / 2 ** 20);
      throw new MarqueError(
        'VALUE_INVALID',
        `artifact ${show(name)} takes ${mib} MiB, over 256: write it to a file and keep its path`,
      );
    }
    this.#kept ??= new Map();
    this.#kept.delete(name); // the order of artifacts is that of their last keep
    this.#kept.set(name, { name, ...encoded });
  }

  /** Its own artifact of that name, else the one that its reference scope kept. */
  recall<T>(name: string): T {
    const { reference } = this;
    return reference === null || this.#kept?.has(name) ? this.recallOwn<T>(name) : reference.recall<T>(name);
  }

  /** What it kept itself, which is all that others can recall of it: while it runs as once it is stored. */
  recallOwn<T>(name: string): T {
    return recallFrom<T>(this.#kept?.values() ?? [], this.id, name);
  }

  /** Records what this step finds and recalls, each once, for as long as it runs. */
  get witness(): Witness {
    return (this.#seen ??= new Seen((sid, name) => {
      if (this.#ended) return; // its scope is recorded, perhaps stored
      this.host.writer.recorder.edge(this.sid, name === null ? 'searched' : 'recalled', sid, name);
      this.host.writer.recorded();
    }));
  }

  /** The scope that it was pushed with. What is recalled of it counts as recalled by this step, whoever found it. */
  get reference(): Reference | null {
    const { reference } = this.task;
    if (reference === null) return null;
    return (this.#reference ??= reference instanceof Scope ? reference.seenBy(this.witness) : seenBy(reference, this.witness));
  }

  /** The stream of a generator in the context that belongs to this position alone: the same whatever ran before. */
  fork(name: string, random: Random): Random {
    this.#forks ??= new Map();
    let fork = this.#forks.get(name);
    if (fork === undefined) this.#forks.set(name, (fork = random.fork(name, this.task.path)));
    return fork;
  }

  push(push: Push): void {
    checkNeeds(push, this.context);
    (this.#pushes ??= []).push(push);
  }

  /** What it pushed, as tasks at their positions; null where that is nothing. Takes effect only where the attempt ended `ok`. */
  get pushed(): TaskSource | null {
    const pushes = this.#pushes;
    if (pushes === null) return null;
    return { size: pushedSize(pushes), [Symbol.iterator]: () => childrenOf(this, pushes) };
  }

  /** Records the scope. Logs what was dropped of a failed attempt. Nothing can be recorded on it afterwards. */
  end(status: Status, failure: { readonly thrown: unknown } | null): void {
    const durationMs = performance.now() - this.startedAt;
    const { task, host } = this;
    if (failure !== null) {
      const dropped = pushedSize(this.#pushes ?? []);
      if (dropped > 0) this.log(`dropped ${dropped} pushed ${dropped === 1 ? 'step' : 'steps'} of a failed attempt`, 'warning');
      const again = status === 'retried' ? ', to be tried again' : '';
      this.log(`attempt ${this.number} failed${again}: ${messageOf(failure.thrown)}`, status === 'retried' ? 'warning' : 'error');
      this.#pushes = null;
    }
    this.#ended = true;
    this.#seen?.forget();
    const { writer } = host;
    let seq = 0;
    for (const artifact of this.#kept?.values() ?? []) {
      writer.recorder.artifact(this.sid, task.step.name, seq++, artifact);
      writer.recorded(); // large ones go ahead of the scope, each in a batch of its own if need be
    }
    writer.recorder.scope({
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
      params: task.params,
      sourceHash: task.step.sourceHash,
    });
    writer.recorded();
  }
}

/** The scope of a step, as that hands it to those which it pushes, for one of them. */
function seenBy(reference: Reference, witness: Witness): Reference {
  const { sid, id } = reference;
  return {
    sid,
    id,
    recall: <T>(name: string) => {
      const value = reference.recall<T>(name);
      witness.recalled(sid, name);
      return value;
    },
  };
}

/** A name of an artifact or a context value is any text that reads back as it was: not empty, no lone surrogates. */
function checkArtifactName(name: unknown): asserts name is string {
  if (typeof name === 'string' && name !== '' && name.isWellFormed()) return;
  throw new MarqueError('NAME_INVALID', `artifact name ${show(name)}: give a text that is not empty and well-formed`);
}

function pushedSize(pushes: readonly Push[]): number {
  return pushes.reduce((sum, push) => sum + sizeOf(push.steps), 0);
}

function* childrenOf({ task, sid, context }: Attempt, pushes: readonly Push[]): Generator<Task> {
  let index = 0;
  for (const { steps, values, params, reference } of pushes) {
    for (const step of steps) {
      yield { step, values, params, reference, path: childPath(task.path, index++), inherited: context, parentSid: sid };
    }
  }
}

/** What is recorded of anything thrown. */
function errorOf(thrown: unknown): { message: string; stack: string | null } {
  let stack: string | null = null;
  try {
    stack = stackOf(thrown);
  } catch {
    // a getter or a proxy that throws: the message has to do
  }
  return { message: messageOf(thrown).toWellFormed(), stack: stack?.toWellFormed() ?? null };
}

/** The stack with those of its causes below it; null where something other than an Error was thrown. */
function stackOf(thrown: unknown, depth = 0): string | null {
  if (!(thrown instanceof Error) || typeof thrown.stack !== 'string' || depth > 8) return null;
  const cause = stackOf(thrown.cause, depth + 1);
  return cause === null ? thrown.stack : `${thrown.stack}\n  caused by: ${cause}`;
}
