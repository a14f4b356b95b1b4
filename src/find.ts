import { type Accepted, compileCount, compileSearch, idText } from './compile.ts';
import { compileContents, compileDistinctTags, compileTagRows } from './compile-tags.ts';
import { allOf, type Extent, extentAfter, extentOfSearch } from './extent.ts';
import { Verdicts, WhereFailure } from './judge.ts';
import { grown, growing, type PageSizes } from './page-sizes.ts';
import { readIds } from './read-scopes.ts';
import { findRecent } from './recent.ts';
import type { Search } from './search.ts';
import { runNumberOf, sidOf } from './sid.ts';
import type { Identified, Result, Statement } from './store.ts';
import type { Tag } from './tag.ts';

/** One state of a store, as far as a search asks it. */
export interface Asked {
  /** Runs statements that depend on nothing beyond the extent. */
  readonly run: (extent: Extent, statements: readonly Statement[]) => Promise<readonly Result[]>;
  /** As for a `SqlSnapshot`. */
  readonly newestRun?: ((extent: Extent) => number | null) | undefined;
}

/** Up to so many distinct contents, and tags, what a JavaScript predicate accepts goes into SQL; beyond, tags are judged row by row. */
const usualDistinct = 20_000;

/** So many scopes at a time, where their tags are judged row by row. */
const mostJudged = 2 ** 18;

/** How a JavaScript predicate is answered: by the tags that it accepts, or by looking at the tags with these contents (null: at all). */
type Filter =
  | { readonly kind: 'accepted'; readonly accepted: Accepted | undefined }
  | { readonly kind: 'rows'; readonly contents: readonly string[] | null };

/** A search that is not about a recent run, in runs with at least the number `oldest`. */
interface Part {
  readonly search: Search;
  readonly oldest: number;
  readonly filter: Filter;
  readonly wantsIds: boolean;
}

/** Scopes, in the search's order, with their ids where those were wanted and could be had at once. */
interface Found {
  readonly sids: readonly number[];
  readonly ids: readonly string[] | null;
}

interface Look extends Found {
  /** The last scope that was looked at; null where there is nothing after it. */
  readonly last: number | null;
}

/**
 * What a search finds in a database, page by page: each page is a query of its own that goes on after the last sid of the page before, so
 * that nothing is held in between. A recent run is one run from the first page on. A JavaScript predicate is asked about distinct contents
 * first, then, of those where it looked at the value, about distinct tags; where these are too many, about the tags of each scope.
 */
export class Finder {
  readonly #asked: Asked;
  readonly #search: Search;
  readonly #verdicts: Verdicts | null;
  readonly #mostDistinct: number;
  /** The last filter made, and for which part. */
  #known: { readonly part: string; readonly filter: Filter } | null = null;

  constructor(asked: Asked, search: Search, mostDistinct = usualDistinct) {
    this.#asked = asked;
    this.#search = search;
    this.#mostDistinct = mostDistinct;
    this.#verdicts = search.where === null ? null : new Verdicts(search.where);
  }

  async *pages(sizes: PageSizes = growing): AsyncGenerator<readonly number[], void, undefined> {
    for await (const { sids } of this.#pages(sizes, false)) yield sids;
  }

  /** The same with the ids, from the same queries; only where tags are judged row by row, from others. */
  async *identified(sizes: PageSizes = growing): AsyncGenerator<Identified, void, undefined> {
    for await (const { sids, ids } of this.#pages(sizes, true)) yield { sids, ids: ids ?? (await readIds(this.#asked, sids)) };
  }

  async *#pages(sizes: PageSizes, wantsIds: boolean): AsyncGenerator<Found, void, undefined> {
    const { runs, limit, where } = this.#search;
    const left = limit ?? Number.POSITIVE_INFINITY;
    if (left === 0) return;
    if (runs.kind !== 'recent') {
      const part = { search: this.#search, oldest: 0, filter: await this.#filter(this.#search, 0), wantsIds };
      return yield* this.#from(part, null, left, sizes);
    }
    const size = Math.min(sizes.first, left);
    let filter: Filter = { kind: 'accepted', accepted: undefined };
    let begin = 0;
    const found = await this.#recent(async (part, oldest) => {
      [filter, begin] = [await this.#filter(part, oldest), oldest];
      if (filter.kind === 'rows') return await this.#lastMatch(part, oldest, filter);
      const looked = await this.#look({ search: part, oldest, filter, wantsIds }, null, size);
      return looked.sids.length === 0 ? null : looked;
    });
    if (found === null) return;
    const { sids } = found;
    const [first = 0] = sids;
    const inRun = { ...this.#search, where, runs: { kind: 'number', number: runNumberOf(first) } } as const;
    const part = { search: inRun, oldest: begin, filter, wantsIds };
    if ((filter as Filter).kind === 'rows') return yield* this.#from(part, null, left, sizes);
    yield found;
    if (sids.length === size) yield* this.#from(part, sids.at(-1) as number, left - size, grown(sizes));
  }

  async count(): Promise<number> {
    const count = async (search: Search, oldest: number): Promise<number | null> => {
      const filter = await this.#filter(search, oldest);
      if (filter.kind === 'rows') return null;
      if (isNothing(filter)) return 0;
      const statement = compileCount(search, filter.accepted, oldest);
      const [result] = await this.#asked.run(extentOfSearch(search, oldest), [statement]);
      return (result as Result).values[0]?.[0] as number;
    };
    let isByRows = false;
    const counted = await this.#recent(async (part, oldest) => {
      const found = await count(part, oldest);
      isByRows ||= found === null;
      return found === 0 ? null : (found ?? 0);
    });
    if (!isByRows) return counted ?? 0;
    let sum = 0;
    for await (const sids of this.pages({ first: mostJudged, most: mostJudged })) sum += sids.length;
    return sum;
  }

  async #recent<T extends {}>(find: (part: Search, oldest: number) => Promise<T | null>): Promise<T | null> {
    return await findRecent(this.#search, this.#asked.newestRun ?? (() => null), find);
  }

  async *#from(part: Part, start: number | null, most: number, sizes: PageSizes): AsyncGenerator<Found, void, undefined> {
    const byRows = part.filter.kind === 'rows';
    let after = start;
    let left = most;
    let runs = 1;
    for (let { first: size } = sizes; left > 0; size = grown({ ...sizes, first: size }).first) {
      const count = byRows ? Math.min(size, mostJudged) : Math.min(size, left);
      const oldest = count < sizes.most ? this.#oldestOf(runs, part, after) : part.oldest;
      if (oldest === null) return;
      const { sids, ids, last } = await this.#look({ ...part, oldest }, after, count);
      const taken = Math.min(sids.length, left);
      if (taken > 0) yield { sids: sids.slice(0, taken), ids: ids?.slice(0, taken) ?? null };
      if (last === null && oldest === part.oldest) return;
      after = last ?? sidOf(oldest, 0);
      if (last === null) runs *= 8;
      left -= taken;
    }
  }

  /**
   * The first page of many mostly comes from the newest runs: the number of the oldest, if after a sid only so many are looked at. That of
   * the part where the order is another, or nobody knows where the runs are; null where there are none.
   */
  #oldestOf(runs: number, { search, oldest }: Part, after: number | null): number | null {
    const { order, runs: selection } = search;
    if (order !== 'newest' || (selection.kind !== 'all' && selection.kind !== 'slug')) return oldest;
    const newest = this.#asked.newestRun?.(extentAfter(search, oldest, after)) ?? null;
    if (newest === null) return oldest;
    if (newest === -1) return null;
    const last = after === null ? newest : Math.min(newest, runNumberOf(after - 1));
    return Math.max(oldest, last - runs + 1);
  }

  /** Looks at up to `size` scopes after a sid. */
  async #look(part: Part, after: number | null, size: number): Promise<Look> {
    const { search, oldest, filter, wantsIds } = part;
    if (isNothing(filter)) return { sids: [], ids: [], last: null };
    const asked: Search = filter.kind === 'rows' ? { ...search, where: null } : search;
    const accepted = filter.kind === 'rows' ? undefined : filter.accepted;
    const limit = Number.isFinite(size) ? size : null;
    const withIds = wantsIds && filter.kind === 'accepted';
    const statement = compileSearch({ ...asked, limit }, accepted, oldest, { after, withIds });
    const [result] = await this.#asked.run(extentAfter(asked, oldest, after), [statement]);
    const [sids, ids = null] = (result as Result).values as [number[], string[]?];
    const last = sids.length < size ? null : (sids.at(-1) as number);
    return { sids: filter.kind === 'rows' ? await this.#passing(part, filter.contents, sids) : sids, ids, last };
  }

  /** Of these scopes those with a tag that the predicate accepts. All tags are judged, also those that do not matter any more. */
  async #passing(
    { search, oldest }: Part,
    contents: readonly string[] | null,
    sids: readonly number[],
  ): Promise<readonly number[]> {
    const [one, other] = [sids[0], sids.at(-1)];
    if (one === undefined || other === undefined) return [];
    const range = { first: Math.min(one, other), last: Math.max(one, other) };
    const extent = { ...allOf(['tags']), sids: [range] };
    const [rows] = await this.#asked.run(extent, [compileTagRows(search, oldest, range, contents)]);
    const [owners, texts, numbers] = (rows as Result).values as [number[], (string | number)[], (number | null)[]];
    const candidates = new Set(sids);
    const passing = new Set<number>();
    for (let row = 0; row < owners.length; row++) {
      const sid = owners[row] as number;
      if (!candidates.has(sid)) continue;
      const text = texts[row] as string | number;
      const content = typeof text === 'number' ? (contents?.[text - 1] as string) : text;
      try {
        if ((this.#verdicts as Verdicts).once(content, numbers[row] as number | null)) passing.add(sid);
      } catch (error) {
        throw error instanceof WhereFailure ? error.of(await this.#idOf(sid)) : error;
      }
    }
    return sids.filter((sid) => passing.has(sid));
  }

  /** The newest scope of the run that a search for a recent one means, where tags are judged row by row. */
  async #lastMatch(part: Search, oldest: number, filter: Filter): Promise<Found | null> {
    const search: Search = { ...part, runs: { kind: 'all' }, order: 'newest' };
    const newest = async (before: number | null): Promise<number | undefined> => {
      const end = before === null ? null : sidOf(before, 0);
      for await (const { sids } of this.#from({ search, oldest, filter, wantsIds: false }, end, 1, growing)) return sids[0];
      return undefined;
    };
    const { back, before } = part.runs as Extract<Search['runs'], { kind: 'recent' }>;
    const last = await newest(before);
    const found = last === undefined || back === 0 ? last : await newest(runNumberOf(last));
    return found === undefined ? null : { sids: [found], ids: null };
  }

  async #filter(search: Search, oldest: number): Promise<Filter> {
    if (this.#verdicts === null) return { kind: 'accepted', accepted: undefined };
    const part = `${oldest} ${JSON.stringify(search.runs)}`;
    if (this.#known?.part !== part) this.#known = { part, filter: await this.#judge(search, oldest, this.#verdicts) };
    return this.#known.filter;
  }

  async #judge(search: Search, oldest: number, verdicts: Verdicts): Promise<Filter> {
    const extent = extentOfSearch(search, oldest);
    const most = this.#mostDistinct;
    const [found] = await this.#asked.run(extent, [compileContents(search, oldest, most + 1)]);
    const { values, rowCount } = found as Result;
    if (rowCount > most) return { kind: 'rows', contents: null };
    const accepted: string[] = [];
    const undecided: string[] = [];
    let distinct = 0;
    await this.#naming(search, oldest, () => {
      for (const [row, { content, value }] of tagsIn(found as Result).entries()) {
        const verdict = verdicts.ofContent(content, value);
        if (verdict) accepted.push(content);
        if (verdict !== null) continue;
        undecided.push(content);
        distinct += values[2]?.[row] as number;
      }
    });
    if (undecided.length === 0) return { kind: 'accepted', accepted: { contents: accepted, tags: [] } };
    const byRows: Filter = { kind: 'rows', contents: [...accepted, ...undecided] };
    if (distinct > most * 1.5) return byRows; // for certain: the estimate is within some per cent
    const [pairs] = await this.#asked.run(extent, [compileDistinctTags(search, oldest, undecided, most + 1)]);
    if ((pairs as Result).rowCount > most) return byRows;
    const tags = tagsIn(pairs as Result);
    const passing = await this.#naming(search, oldest, () => tags.filter(({ content, value }) => verdicts.ofTag(content, value)));
    return { kind: 'accepted', accepted: { contents: accepted, tags: passing } };
  }

  /** Where the predicate throws on a tag, finds a scope that has it. */
  async #naming<T>(search: Search, oldest: number, judging: () => T): Promise<T> {
    try {
      return judging();
    } catch (error) {
      if (!(error instanceof WhereFailure)) throw error;
      const { runs } = search;
      const wanted: Search = { ...search, limit: 1, runs: runs.kind === 'recent' ? { ...runs, back: 0 } : runs };
      const statement = compileSearch(wanted, { contents: [], tags: [error.tag] }, oldest);
      const [result] = await this.#asked.run(extentOfSearch(search, oldest), [statement]);
      throw error.of(await this.#idOf((result as Result).values[0]?.[0] as number));
    }
  }

  async #idOf(sid: number): Promise<string> {
    const text = `SELECT ${idText} FROM raw.scopes WHERE sid = $1`;
    const [result] = await this.#asked.run({ ...allOf(['scopes']), sids: [{ first: sid, last: sid }] }, [
      { text, values: [BigInt(sid)] },
    ]);
    return (result as Result).values[0]?.[0] as string;
  }
}

/** Whether nothing can pass. */
function isNothing(filter: Filter): boolean {
  const { contents, tags } = (filter.kind === 'accepted' ? filter.accepted : undefined) ?? { contents: null, tags: null };
  return contents?.length === 0 && tags?.length === 0;
}

function tagsIn({ values: [contents = [], numbers = []], rowCount }: Result): readonly Tag[] {
  return Array.from({ length: rowCount }, (_, row) => ({
    content: contents[row] as string,
    value: numbers[row] as number | null,
  }));
}
