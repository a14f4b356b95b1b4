import { settled } from '../settled.ts';
import type { Logs } from './parquet-folder.ts';
import type { LogStates } from './parquet-reader.ts';

/** The tables of a store as they are now, so that what one says of another is there. */
export class CurrentStates {
  readonly #logs: Logs;
  #areLoaded = false;

  constructor(logs: Logs) {
    this.#logs = logs;
  }

  /**
   * `scopes` first: a batch that it has is then in the other tables as well. `runs` last, for it is written last. Where segments of the
   * others were merged, or their runs deleted, after `scopes` was looked at, they say so, and all are looked at again.
   */
  async refresh(): Promise<LogStates> {
    const logs = this.#logs;
    if (!this.#areLoaded) {
      await settled(Object.values(logs).map((log) => log.refresh())); // checkpoints do not say what their versions need
      this.#areLoaded = true;
    }
    for (let seen = -1; ;) {
      const scopes = await logs.scopes.refresh();
      const [artifacts, tags, logMessages, edges] = await Promise.all([
        logs.artifacts.refresh(),
        logs.tags.refresh(),
        logs.logs.refresh(),
        logs.edges.refresh(),
      ]);
      const needed = Math.max(...[artifacts, tags, logMessages, edges].map(({ needs }) => needs.scopes ?? 0));
      const isWhole = needed <= scopes.version || scopes.version === seen; // a version that never comes is not waited for
      if (isWhole) return { scopes, artifacts, tags, logs: logMessages, edges, runs: await logs.runs.refresh() };
      seen = scopes.version;
    }
  }
}
