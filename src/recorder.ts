import type { TableColumns } from './batch.ts';
import { ConstantColumn, ListColumn, NumberColumn } from './columns.ts';
import type { LogLevel } from './log.ts';
import type { TableName } from './schema.ts';
import type { EncodedArtifact, Status } from './store.ts';

/** What is known of a scope when its attempt ends. */
export interface EndedScope {
  readonly sid: number;
  readonly step: string;
  readonly path: string;
  readonly attempt: number;
  readonly parentSid: number | null;
  readonly refSid: number | null;
  readonly status: Status;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly durationMs: number;
  readonly encodeMs: number;
  readonly error: { readonly message: string; readonly stack: string | null } | null;
  readonly params: string | null;
  readonly sourceHash: string | null;
}

/** What a step did with another scope: a search of its delivered it, or it recalled an artifact of it. */
export type EdgeKind = 'searched' | 'recalled';

/** What happened to a run. */
export interface RunEvent {
  readonly runNumber: number;
  readonly uuid: string;
  readonly event: 'started' | 'ended';
  /** Epoch milliseconds. */
  readonly at: number;
  /** JSON. */
  readonly details: string;
}

/**
 * The buffer of a run: rows that have not been handed to the store, as columns. Only ever appended to, so a reader that
 * remembers how many rows there were has a consistent state without copying anything. Tags, logs and edges of a running step are
 * in it at once; its artifacts and its scope come when it ends.
 */
export class Recorder {
  readonly #flow: ConstantColumn;
  readonly #run: ConstantColumn;
  readonly scopes;
  readonly tags;
  readonly artifacts;
  readonly logs;
  readonly edges;
  readonly runs;
  /** Roughly the bytes of text and data held. */
  bytes = 0;

  constructor(flow: string, run: string) {
    this.#flow = new ConstantColumn(flow);
    this.#run = new ConstantColumn(run);
    const owner = { flow: this.#flow, run: this.#run };
    this.scopes = {
      sid: new NumberColumn(),
      ...owner,
      step: texts(),
      path: texts(),
      attempt: new NumberColumn(),
      parent_sid: new NumberColumn(),
      ref_sid: new NumberColumn(),
      status: texts(),
      started_at: new NumberColumn(),
      duration_ms: new NumberColumn(),
      dispatch_ms: new NumberColumn(),
      encode_ms: new NumberColumn(),
      error_message: texts(),
      error_stack: texts(),
      params: texts(),
      pushes: texts(),
      seed: new NumberColumn(),
      source_hash: texts(),
    };
    this.tags = {
      sid: new NumberColumn(),
      ...owner,
      step: texts(),
      seq: new NumberColumn(),
      content: texts(),
      value: new NumberColumn(),
    };
    this.artifacts = {
      sid: new NumberColumn(),
      ...owner,
      step: texts(),
      seq: new NumberColumn(),
      name: texts(),
      codec: texts(),
      text: texts(),
      bytes: new ListColumn<Uint8Array>(),
    };
    this.logs = {
      sid: new NumberColumn(),
      ...owner,
      step: texts(),
      seq: new NumberColumn(),
      level: texts(),
      message: texts(),
      logged_at: new NumberColumn(),
    };
    this.edges = {
      sid: new NumberColumn(),
      ...owner,
      kind: texts(),
      target_sid: new NumberColumn(),
      name: texts(),
    };
    this.runs = {
      run_number: new NumberColumn(),
      uuid: texts(),
      slug: this.#run,
      flow: this.#flow,
      event: texts(),
      happened_at: new NumberColumn(),
      details: texts(),
    };
  }

  /** `step` is null for a tag of the run itself. */
  tag(sid: number, step: string | null, seq: number, content: string, value: number | null): void {
    const { tags } = this;
    tags.sid.push(sid);
    tags.step.push(step);
    tags.seq.push(seq);
    tags.content.push(content);
    tags.value.push(value);
    this.bytes += content.length + 24;
  }

  log(sid: number, step: string | null, seq: number, level: LogLevel, message: string, at: number): void {
    const { logs } = this;
    logs.sid.push(sid);
    logs.step.push(step);
    logs.seq.push(seq);
    logs.level.push(level);
    logs.message.push(message);
    logs.logged_at.push(at);
    this.bytes += message.length + 24;
  }

  artifact(sid: number, step: string, seq: number, artifact: EncodedArtifact): void {
    const { artifacts } = this;
    artifacts.sid.push(sid);
    artifacts.step.push(step);
    artifacts.seq.push(seq);
    artifacts.name.push(artifact.name);
    artifacts.codec.push(artifact.codec);
    artifacts.text.push(artifact.text);
    artifacts.bytes.push(artifact.bytes);
    this.bytes += artifact.name.length + (artifact.text?.length ?? 0) + (artifact.bytes?.length ?? 0) + 24;
  }

  /** `name` is that of the artifact which was recalled, else null. */
  edge(sid: number, kind: EdgeKind, targetSid: number, name: string | null): void {
    const { edges } = this;
    edges.sid.push(sid);
    edges.kind.push(kind);
    edges.target_sid.push(targetSid);
    edges.name.push(name);
    this.bytes += 32; // the texts are the same in most rows
  }

  scope(scope: EndedScope): void {
    const { scopes } = this;
    scopes.sid.push(scope.sid);
    scopes.step.push(scope.step);
    scopes.path.push(scope.path);
    scopes.attempt.push(scope.attempt);
    scopes.parent_sid.push(scope.parentSid);
    scopes.ref_sid.push(scope.refSid);
    scopes.status.push(scope.status);
    scopes.started_at.push(scope.startedAt);
    scopes.duration_ms.push(scope.durationMs);
    scopes.dispatch_ms.push(null);
    scopes.encode_ms.push(scope.encodeMs);
    scopes.error_message.push(scope.error?.message ?? null);
    scopes.error_stack.push(scope.error?.stack ?? null);
    scopes.params.push(scope.params);
    scopes.pushes.push(null);
    scopes.seed.push(null);
    scopes.source_hash.push(scope.sourceHash);
    const { params, error } = scope;
    this.bytes += 96 + scope.path.length + (params?.length ?? 0) + (error?.message.length ?? 0) + (error?.stack?.length ?? 0);
  }

  event(event: RunEvent): void {
    const { runs } = this;
    runs.run_number.push(event.runNumber);
    runs.uuid.push(event.uuid);
    runs.event.push(event.event);
    runs.happened_at.push(event.at);
    runs.details.push(event.details);
    this.bytes += event.details.length + 64;
  }

  /** The rows as they are at this moment. */
  mark(): Mark {
    return {
      tables: {
        artifacts: this.artifacts,
        tags: this.tags,
        logs: this.logs,
        edges: this.edges,
        scopes: this.scopes,
        runs: this.runs,
      },
      rows: {
        artifacts: this.artifacts.sid.length,
        tags: this.tags.sid.length,
        logs: this.logs.sid.length,
        edges: this.edges.sid.length,
        scopes: this.scopes.sid.length,
        runs: this.runs.happened_at.length,
      },
    };
  }
}

/** The first so many rows of each table of a buffer: what a query or a flush sees of it. */
export interface Mark {
  readonly tables: Readonly<Partial<Record<TableName, TableColumns>>>;
  readonly rows: Readonly<Partial<Record<TableName, number>>>;
}

export function rowsIn(mark: Mark): number {
  return Object.values(mark.rows).reduce((sum, rows) => sum + rows, 0);
}

function texts(): ListColumn<string> {
  return new ListColumn<string>();
}
