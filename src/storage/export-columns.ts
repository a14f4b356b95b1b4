import type { Statement } from '../store.ts';
import { ofRuns, type SidWindow } from './scope-windows.ts';

/** The views that can be exported as they are. */
export const exportedViews = ['scopes', 'tags', 'artifacts', 'logs', 'edges', 'runs'] as const;

export type ExportedView = (typeof exportedViews)[number];

/**
 * Scopes, one row each, with everything that belongs to them: the columns of the view `scopes`, then lists of structs, each in the
 * order in which it was recorded and never null:
 *
 * - `tags`: `content`, `value`
 * - `artifacts`: `name`, `codec`, `text`, `base64`; of the last two one is null, as the codec has it. Bytes inside lists are refused
 *   or garbled by some readers, so they are text.
 * - `logs`: `level`, `message`, `logged_at`: ISO 8601, UTC
 */
export function wholeScopes(window: SidWindow, runs: readonly number[] | null): Statement {
  const within = `sid BETWEEN $2 AND $3 AND ${ofRuns('sid')}`;
  const listed = (table: string, struct: string, rows = `raw.${table} WHERE ${within}`): string =>
    `SELECT sid, list(${struct} ORDER BY seq) AS ${table} FROM ${rows} GROUP BY sid`;
  // Of a name that was kept again the last value. The window function that says so in one line makes DuckDB 1.5 fail for good.
  const latest = `(FROM raw.artifacts WHERE ${within}) AS a ANTI JOIN (FROM raw.artifacts WHERE ${within}) AS later
    ON later.sid = a.sid AND later.name = a.name AND later.seq > a.seq`;
  return {
    text: `SELECT s.*, coalesce(t.tags, []) AS tags, coalesce(a.artifacts, []) AS artifacts, coalesce(l.logs, []) AS logs
      FROM (FROM scopes WHERE ${within}) AS s
      LEFT JOIN (${listed('tags', `{'content': content, 'value': value}`)}) AS t ON t.sid = s.sid
      LEFT JOIN (${listed(
        'artifacts',
        `{'name': name, 'codec': codec, 'text': text, 'base64': to_base64(bytes)}`,
        latest,
      )}) AS a ON a.sid = s.sid
      LEFT JOIN (${listed('logs', `{'level': level, 'message': message, 'logged_at': ${iso('logged_at')}}`)}) AS l ON l.sid = s.sid
      ORDER BY s.sid`,
    values: [runs === null ? null : runs.map(BigInt), BigInt(window.first), BigInt(window.last)],
  };
}

/** One view as it is, in the order of its keys. */
export function wholeView(view: ExportedView, runs: readonly number[] | null): Statement {
  const order = {
    scopes: 'sid',
    tags: 'sid, seq',
    artifacts: 'sid, seq',
    logs: 'sid, seq',
    edges: 'sid, kind, target_sid, name',
    runs: 'run_number',
  };
  return {
    text: `SELECT * FROM ${view} WHERE ${ofRuns(view === 'runs' ? 'run_number * 4294967296' : 'sid')} ORDER BY ${order[view]}`,
    values: [runs === null ? null : runs.map(BigInt)],
  };
}

function iso(column: string): string {
  return `strftime(${column}::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%gZ')`;
}
