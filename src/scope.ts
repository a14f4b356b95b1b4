import { inspect, type InspectOptions } from 'node:util';
import { decode } from './codec.ts';
import { humanDuration } from './duration.ts';
import { MarqueError } from './error.ts';
import type { LogEntry, LogLevel } from './log.ts';
import { orNear } from './near.ts';
import type { EncodedArtifact, ScopeRecord, Status, UnreadArtifact } from './store.ts';
import type { Tag } from './tag.ts';

/** What a step can name as its reference: something that has artifacts to recall. */
export interface Reference {
  readonly sid: number;
  readonly id: string;
  /** What this scope itself kept under a name; of its own reference nothing. Throws `ARTIFACT_UNKNOWN`. */
  recall<T = unknown>(name: string): T;
}

/** Told what is read of a history, so that it can be recorded who read what. Never throws. */
export interface Witness {
  /** A search has delivered the scope. */
  found(sid: number): void;
  /** An artifact of the scope has been recalled. */
  recalled(sid: number, name: string): void;
}

/** Why a step failed. `stack` is null where something other than an Error was thrown. */
export interface ScopeError {
  readonly message: string;
  readonly stack: string | null;
}

/** The record of one execution of a step, as read back from a storage. Nothing about it can be changed. */
export class Scope implements Reference {
  readonly #record: ScopeRecord;
  readonly #witness: Witness | null;

  constructor(record: ScopeRecord, witness: Witness | null = null) {
    this.#record = record;
    this.#witness = witness;
  }

  /** The key: `run number << 32 | ordinal`. Later attempts and later runs have larger ones. */
  get sid(): number {
    return this.#record.sid;
  }

  /** `flow.step.run.path`: a position. Attempts of a retried step share it. */
  get id(): string {
    return idOf(this.#record);
  }

  get flow(): string {
    return this.#record.flow;
  }

  get step(): string {
    return this.#record.step;
  }

  /** The run's slug. */
  get run(): string {
    return this.#record.run;
  }

  /** Where the step stood: `0-12` is group 0, index 12; `0-12-3` the fourth step that it pushed. */
  get path(): string {
    return this.#record.path;
  }

  get status(): Status {
    return this.#record.status;
  }

  get startedAt(): Date {
    return new Date(this.#record.startedAt);
  }

  get durationMs(): number {
    return this.#record.durationMs;
  }

  /** From 1. */
  get attempt(): number {
    return this.#record.attempt;
  }

  /** The plain values that were pushed with the step. */
  get params(): Readonly<Record<string, unknown>> {
    return this.#record.params === null ? {} : (JSON.parse(this.#record.params) as Record<string, unknown>);
  }

  /** The sid of the scope whose step pushed this one, or null for a step pushed outside any step. */
  get parentSid(): number | null {
    return this.#record.parentSid;
  }

  /** The sid of the reference scope, or null. */
  get refSid(): number | null {
    return this.#record.refSid;
  }

  /** In the order in which they were set. */
  get tags(): readonly Tag[] {
    return Object.freeze(this.#record.tags) as readonly Tag[];
  }

  /** The names of what was kept. */
  get artifacts(): readonly string[] {
    return this.#record.artifacts.map((artifact) => artifact.name);
  }

  get logs(): readonly LogEntry[] {
    return this.#record.logs.map(({ level, message, at }) => ({
      level: level as LogLevel,
      message,
      at: new Date(at),
      id: this.id,
    }));
  }

  get error(): ScopeError | null {
    const { errorMessage, errorStack } = this.#record;
    return errorMessage === null ? null : { message: errorMessage, stack: errorStack };
  }

  /** The value that this scope itself kept under a name, a new copy each time. Throws `ARTIFACT_UNKNOWN`, listing names that are near. */
  recall<T = unknown>(name: string): T {
    const value = recallFrom<T>(this.#record.artifacts, this.id, name);
    this.#witness?.recalled(this.sid, name);
    return value;
  }

  /** @internal The same scope, for somebody else: what is recalled through it is told to this witness alone. */
  seenBy(witness: Witness): Scope {
    return new Scope(this.#record, witness);
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { tags, artifacts, error } = this;
    const shown = tags.map((tag) => (tag.value === null ? tag.content : `${tag.content} = ${tag.value}`));
    const parts = { status: this.status, tags: shown, artifacts, params: this.params, ...(error && { error: error.message }) };
    return `Scope ${this.id} (${humanDuration(this.durationMs)}) ${inspect(parts, options)}`;
  }

  toJSON(): object {
    const { id, sid, flow, step, run, path, status, startedAt, durationMs, attempt, params, tags, artifacts, error } = this;
    return { id, sid, flow, step, run, path, status, startedAt, durationMs, attempt, params, tags, artifacts, error };
  }
}

function idOf(record: Pick<ScopeRecord, 'flow' | 'step' | 'run' | 'path'>): string {
  return `${record.flow}.${record.step}.${record.run}.${record.path}`;
}

export function recallFrom<T>(artifacts: Iterable<EncodedArtifact | UnreadArtifact>, id: string, name: string): T {
  const names: string[] = [];
  for (const artifact of artifacts) {
    if (artifact.name === name) {
      if (artifact.codec !== null) return decode(artifact) as T;
      const what = `scope "${id}" was read without its artifact "${name}"`;
      throw new MarqueError(
        'ARTIFACT_UNKNOWN',
        `${what}, which was not fetched: the option artifacts of the search leaves it out`,
      );
    }
    names.push(artifact.name);
  }
  throw new MarqueError('ARTIFACT_UNKNOWN', `scope "${id}" keeps no artifact "${name}".${orNear(name, names)}`);
}
