import { createHash, type Hash } from 'node:crypto';

/**
 * A scope as the Python package marque (0.1) keeps it. It knows neither when a step started, nor who pushed it, nor logs or params;
 * its artifacts are JSON. Nothing is ever pickled.
 */
export interface PythonScope {
  /** `flow.step.run.path`, where the flow may have dots, and run and path are two words each. */
  readonly id: string;
  /** A traceback. */
  readonly error: string | null;
  readonly durationMs: number;
  /** Epoch milliseconds, as well as can be told. */
  readonly startedAt: number;
  /** `json` is JSON text. */
  readonly artifacts: readonly { readonly name: string; readonly json: string }[];
  readonly tags: readonly { readonly content: string; readonly value: number | null }[];
  /** What the file says of it beyond that, which has no place here. */
  readonly lost: readonly Loss[];
}

/** Something that could not be taken over as it was. */
export interface Loss {
  readonly what: string;
  readonly why: string;
}

/** A run of such a store. */
export interface PythonRun {
  readonly flow: string;
  readonly run: string;
  /** How many scopes it has. */
  readonly count: number;
  /** A hash of what they hold: the same for a copy of the store. */
  readonly content: string;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Its scopes, in the same order whenever they are asked for. */
  scopes(): AsyncIterable<PythonScope>;
}

export interface PythonStore {
  readonly runs: readonly PythonRun[];
  /** What the kind of store does not tell. */
  readonly notes: readonly string[];
  /** Ids that do not split into four parts. */
  readonly strangeIds: readonly string[];
  close(): Promise<void>;
}

export interface PythonId {
  readonly flow: string;
  readonly step: string;
  readonly run: string;
  readonly path: string;
}

/** The parts of an id, from its end; null where there are not four. */
export function splitPythonId(id: string): PythonId | null {
  const parts = id.split('.');
  const [step = '', run = '', path = ''] = parts.splice(-3);
  return parts.length === 0 ? null : { flow: parts.join('.'), step, run, path };
}

/** What is known of a run once all of its scopes have been looked at. */
export class PythonRunSummary {
  readonly flow: string;
  readonly run: string;
  readonly #hash: Hash = createHash('sha256');
  count = 0;
  startedAt = Number.POSITIVE_INFINITY;
  endedAt = Number.NEGATIVE_INFINITY;

  constructor({ flow, run }: PythonId) {
    this.flow = flow;
    this.run = run;
  }

  add({ id, error, durationMs, startedAt, artifacts, tags }: PythonScope): void {
    const content = [
      id,
      error,
      durationMs,
      artifacts.map(({ name, json }) => [name, json]),
      tags.map((tag) => [tag.content, String(tag.value)]),
    ];
    this.#hash.update(`${JSON.stringify(content)}\n`);
    this.count++;
    this.startedAt = Math.min(this.startedAt, startedAt);
    this.endedAt = Math.max(this.endedAt, startedAt + durationMs);
  }

  content(): string {
    return this.#hash.digest('base64url');
  }
}

/**
 * A UUID of version 8, whose bits are a hash of flow and run: a run keeps it while it grows. Two stores may have drawn the same name for
 * runs that have nothing in common; these are told apart by `copy`, from 0.
 */
export function pythonUuid({ flow, run }: Pick<PythonRun, 'flow' | 'run'>, copy: number): string {
  const hash = createHash('sha256').update(JSON.stringify(['marque for Python', flow, run, copy]));
  const bytes = hash.digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
