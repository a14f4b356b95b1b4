import { MarqueError } from '../error.ts';
import { evaluateSearch } from '../evaluate.ts';
import { lastRunNumber } from '../sid.ts';
import type { Batch, BatchId, Claim, ClaimRequest, Snapshot, Store } from '../store.ts';
import { MemoryRows } from './memory-rows.ts';
import { MemorySnapshot } from './memory-snapshot.ts';
import { MemorySql } from './memory-sql.ts';
import { recordOf } from './scope-rows.ts';

const mostDraws = 1_000;

/** A history in memory: it keeps the batches as they come. Nothing outlives the object. */
export class MemoryStore implements Store {
  readonly label = 'MemoryStorage()';
  readonly #batches: Batch[] = [];
  readonly #written = new Set<string>();
  readonly #slugs = new Set<string>();
  readonly #sql = new MemorySql();

  claim(request: ClaimRequest): Promise<Claim> {
    return Promise.resolve().then(() => {
      const number = this.#slugs.size + 1;
      if (number > lastRunNumber)
        throw new MarqueError('STORE_UNWRITABLE', `MemoryStorage has used up its ${lastRunNumber} run numbers: use a new store`);
      const slug = this.#freeSlug(() => request.drawSlug());
      this.#slugs.add(slug);
      return { number, slug, release: () => Promise.resolve() };
    });
  }

  write(batch: Batch): Promise<void> {
    const key = keyOf(batch.id);
    if (!this.#written.has(key)) {
      this.#written.add(key);
      this.#batches.push(batch);
    }
    return Promise.resolve();
  }

  /** Batches are never changed and only added, so the list of those there are now is the state. */
  snapshot(unflushed: readonly Batch[]): Promise<Snapshot> {
    const batches = [...this.#batches, ...unflushed.filter(({ id }) => !this.#written.has(keyOf(id)))];
    const rows = new MemoryRows(batches);
    const source = {
      find: async (search) => evaluateSearch(search, rows.candidates()),
      read: async (sids) =>
        sids.flatMap((sid) => {
          const scope = rows.scope(sid);
          return scope === null ? [] : recordOf({ scope, children: rows.children(sid) });
        }),
      batches: async () => batches,
    } satisfies ConstructorParameters<typeof MemorySnapshot>[0];
    return Promise.resolve(new MemorySnapshot(source, this.#sql));
  }

  async close(): Promise<void> {
    await this.#sql.close();
  }

  #freeSlug(drawSlug: () => string): string {
    for (let draw = 0; draw < mostDraws; draw++) {
      const slug = drawSlug();
      if (!/^\d+$/.test(slug) && !this.#slugs.has(slug)) return slug;
    }
    throw new MarqueError('STORE_UNWRITABLE', `no free name for the run after ${mostDraws} draws: use a new store`);
  }
}

function keyOf({ writer, number }: BatchId): string {
  return `${writer} ${number}`;
}
