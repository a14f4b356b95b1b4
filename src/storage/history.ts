import { MarqueError, show } from '../error.ts';
import { planSearch, type SearchOptions } from '../plan.ts';
import { Query } from '../query.ts';
import type { Scope } from '../scope.ts';
import { SqlQuery, statementOf } from '../sql-query.ts';
import type { StepLike } from '../step.ts';
import type { Snapshot } from '../store.ts';

/** A run history that can be read: as it is now, which is a storage, or as it was at some time. */
export abstract class History {
  /**
   * Finds scopes by a glob over their ids `flow.step.run.path`, or by step. Newest first; by default those of the most recent
   * run that has a match. Nothing happens until the query is iterated or awaited.
   */
  search(target: string | StepLike, options: SearchOptions = {}): Query {
    return new Query(() => this.openSnapshot(), planSearch(target, options, null));
  }

  /**
   * One SELECT over the views `scopes`, `tags`, `artifacts`, `logs`, `edges` and `runs`, every value bound:
   *
   * ```ts
   * await storage.sql<{ step: string; n: number }>`SELECT step, count(*) AS n FROM scopes WHERE run = ${run} GROUP BY step`;
   * ```
   *
   * A number is bound as DOUBLE, which `LIMIT ${10}` takes. Where SQL wants a whole number, bind a bigint: `range(${10n})`.
   * Functions that DuckDB can crash in are refused, and casts to VARIANT.
   *
   * @throws MarqueError `SQL_INVALID` for what cannot be run, `STORE_DAMAGED` where a file of the store cannot be read,
   * `DATABASE_FAILED` where DuckDB fails, and `STORE_CLOSED` where the storage is closed meanwhile.
   */
  sql<Row extends object = Record<string, unknown>>(strings: TemplateStringsArray, ...values: readonly unknown[]): SqlQuery<Row> {
    return new SqlQuery<Row>(() => this.openSnapshot(), statementOf(strings, values));
  }

  /**
   * The scope with an id: its last attempt, or the n-th with `id#n`. Throws `SCOPE_UNKNOWN`.
   */
  async load(id: string): Promise<Scope> {
    const [, position = '', attempt] = /^([^#]*)(?:#(\d+))?$/.exec(id) ?? [];
    if (/^[\p{L}\p{M}\p{N}_-]+(\.[\p{L}\p{M}\p{N}_~-]+){3}$/u.test(position)) {
      const found = this.search(position, { runs: 'all', status: ['ok', 'error', 'retried', 'skipped'] });
      for await (const scope of found) if (attempt === undefined || scope.attempt === Number(attempt)) return scope;
    }
    throw new MarqueError(
      'SCOPE_UNKNOWN',
      `there is no scope ${show(id)} in ${this.toString()}: ids(pattern) lists those there are`,
    );
  }

  /** The ids of all scopes of all runs that match a glob, newest first. */
  ids(pattern = '*'): Promise<string[]> {
    return this.search(pattern, { runs: 'all' }).ids();
  }

  /** What kind of history, and where. */
  abstract toString(): string;

  /** The state that a query is answered from. Whoever asks releases it. */
  protected abstract openSnapshot(): Promise<Snapshot>;
}
