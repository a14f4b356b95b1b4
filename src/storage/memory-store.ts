import { MarqueError } from '../error.ts';
import { evaluateSearch } from '../evaluate.ts';
import { lastRunNumber } from '../sid.ts';
import type { Batch, BatchId, Claim, ClaimRequest, Snapshot, Store } from '../store.ts';
import { freeSlug } from './free-slug.ts';
import type { DuckDBLimits, SqlFiles } from './limits.ts';
import { MemoryRows } from './memory-rows.ts';
import { MemorySnapshot } from './memory-snapshot.ts';
import { MemorySql } from './memory-sql.ts';
import { recordOf } from './scope-rows.ts';

/** A history in memory: it keeps the batches as they come. Nothing outlives the object. */
export class MemoryStore implements Store {
  readonly label = 'MemoryStorage()';
  readonly #batches: Batch[] = [];
  readonly #written = new Set<string>();
  readonly #slugs = new Set<string>();
  readonly #sql: MemorySql;
  #lastNumber = 0;

  constructor(limits: DuckDBLimits & SqlFiles = {}) {
    this.#sql = new MemorySql(limits);
  }

  async claim(request: ClaimRequest): Promise<Claim> {
    this.#lastNumber = Math.max(this.#lastNumber, request.after ?? 0);
    if (this.#lastNumber >= lastRunNumber)
      throw new MarqueError('STORE_UNWRITABLE', `MemoryStorage has used up its ${lastRunNumber} run numbers: use a new store`);
    const number = ++this.#lastNumber;
    const slug = await freeSlug(request, (drawn) => {
      if (this.#slugs.has(drawn)) return false;
      this.#slugs.add(drawn); // at once: other claims may be under way
      return true;
    });
    return { number, slug, release: () => Promise.resolve() };
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
      find: async (search) => evaluateSearch(search, (order, isAsked) => rows.candidates(order, isAsked)),
      read: async (sids) =>
        sids.flatMap((sid) => {
          const scope = rows.scope(sid);
          return scope === null ? [] : recordOf({ scope, children: rows.children(sid) });
        }),
      readBare: async (sids) => sids.flatMap((sid) => rows.candidate(sid) ?? []),
      ids: async (sids) =>
        sids.flatMap((sid) => {
          const scope = rows.candidate(sid);
          return scope === null ? [] : `${scope.flow}.${scope.step}.${scope.run}.${scope.path}`;
        }),
      slugs: async () => [...rows.slugs()],
      looksAt: () => {
        const all = rows.count('scopes');
        return { read: all, all };
      },
      batches: async () => batches,
    } satisfies ConstructorParameters<typeof MemorySnapshot>[0];
    return Promise.resolve(new MemorySnapshot(source, this.#sql));
  }

  spill(): void {
    // ends with the process
  }

  park(): null {
    return null;
  }

  async close(): Promise<void> {
    await this.#sql.close();
  }
}

function keyOf({ writer, number }: BatchId): string {
  return `${writer} ${number}`;
}
