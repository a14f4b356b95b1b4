import { MarqueError } from '../error.ts';
import type { TableName } from '../schema.ts';
import { settled } from '../settled.ts';
import type { Logs } from './parquet-folder.ts';
import type { LogStates } from './parquet-reader.ts';
import { childTables } from './scope-rows.ts';
import type { LogState } from './table-state.ts';

/** What can be known of the tables where the logs of some are damaged: those count as without rows, and their errors say why. */
export interface ReadableStates {
  readonly states: LogStates;
  readonly damaged: ReadonlyMap<TableName, MarqueError>;
}

/** The tables of a store as they are now, so that what one says of another is there. */
export class CurrentStates {
  readonly #logs: Logs;
  #areLoaded = false;

  constructor(logs: Logs) {
    this.#logs = logs;
  }

  /** @throws MarqueError STORE_DAMAGED where an entry of any log is damaged, or is missing although a later one, or another table, needs it. */
  async refresh(): Promise<LogStates> {
    const { states, damaged } = await this.readable();
    for (const error of damaged.values()) throw error;
    return states;
  }

  /**
   * `scopes` first: a batch that it has is then in the other tables as well. `runs` last, for it is written last. Where segments of the
   * others were merged, or their runs deleted, after `scopes` was looked at, they say so, and all are looked at again.
   */
  async readable(): Promise<ReadableStates> {
    const damaged = new Map<TableName, MarqueError>();
    const look = async (table: TableName, atLeast?: number): Promise<LogState> => {
      try {
        const state = await this.#logs[table].refresh(atLeast);
        damaged.delete(table);
        return state;
      } catch (error) {
        if (!(error instanceof MarqueError && error.code === 'STORE_DAMAGED')) throw error;
        damaged.set(table, error);
        return unknown;
      }
    };
    if (!this.#areLoaded) {
      await settled((Object.keys(this.#logs) as TableName[]).map((table) => look(table))); // checkpoints do not say what all versions need
      this.#areLoaded = true;
    }
    for (let needed = -1; ;) {
      const scopes = await look('scopes', needed); // a version that others need was committed before theirs
      const looks = childTables.map(async (table) => [table, await look(table, scopes.needs[table])] as const);
      const children = Object.fromEntries(await Promise.all(looks)) as Omit<LogStates, 'scopes' | 'runs'>;
      needed = Math.max(...Object.values(children).map(({ needs }) => needs.scopes ?? -1));
      if (needed <= scopes.version || damaged.has('scopes')) {
        return { states: { ...children, scopes, runs: await look('runs') }, damaged };
      }
    }
  }
}

const unknown: LogState = { version: -1, segments: [], has: () => false, needs: {} };
