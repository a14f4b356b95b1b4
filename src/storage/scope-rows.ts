import type { Row } from '../schema.ts';
import type { ScopeRecord, Status } from '../store.ts';

/** The tables whose rows belong to a scope, or with ordinal 0 to the run itself. */
export const childTables = ['artifacts', 'tags', 'logs', 'edges'] as const;

export type ChildTable = (typeof childTables)[number];

/** The rows of one scope, or of a run, by table, each in the order of `seq`. */
export type ChildRows = { readonly [T in ChildTable]: readonly Row<T>[] };

/** A scope as rows, with everything that belongs to it. */
export interface ScopeRows {
  readonly scope: Row<'scopes'>;
  readonly children: ChildRows;
}

export const noChildren: ChildRows = { artifacts: [], tags: [], logs: [], edges: [] };

/** The rows of a scope that arrived earlier and those that arrived later. */
export function joinChildren(earlier: ChildRows, later: ChildRows): ChildRows {
  return {
    artifacts: bySeq([...earlier.artifacts, ...later.artifacts]),
    tags: bySeq([...earlier.tags, ...later.tags]),
    logs: bySeq([...earlier.logs, ...later.logs]),
    edges: [...earlier.edges, ...later.edges],
  };
}

export function isEmpty(children: ChildRows): boolean {
  return childTables.every((table) => children[table].length === 0);
}

/** A scope as readers see it. Of artifacts kept more than once under a name the last one counts, in the place of the first. */
export function recordOf({ scope, children }: ScopeRows): ScopeRecord {
  const artifacts = new Map(children.artifacts.map((row) => [row.name, row]));
  return {
    sid: scope.sid as number,
    flow: scope.flow as string,
    run: scope.run as string,
    step: scope.step as string,
    path: scope.path as string,
    attempt: scope.attempt as number,
    parentSid: scope.parent_sid,
    refSid: scope.ref_sid,
    status: scope.status as Status,
    startedAt: scope.started_at as number,
    durationMs: scope.duration_ms as number,
    errorMessage: scope.error_message,
    errorStack: scope.error_stack,
    params: scope.params,
    tags: children.tags.map(({ content, value }) => ({ content: content as string, value })),
    logs: children.logs.map(({ level, message, logged_at }) => ({
      level: level as string,
      message: message as string,
      at: logged_at as number,
    })),
    artifacts: Array.from(artifacts.values(), ({ name, codec, text, bytes }) => ({
      name: name as string,
      codec: codec as string,
      text,
      bytes: bytes === null ? null : bytes.slice(), // ours is a window on a whole batch
    })),
  };
}

function bySeq<T extends { readonly seq: number | null }>(rows: T[]): T[] {
  return rows.sort((a, b) => (a.seq as number) - (b.seq as number));
}
