import { MarqueError } from '../error.ts';
import type { ClaimRequest } from '../store.ts';

const mostDraws = 1_000;

/**
 * The first slug drawn that is free, never one of digits only: that would read as a run number. Throws STORE_UNWRITABLE where there
 * seems to be none.
 */
export async function freeSlug(request: ClaimRequest, isFree: (slug: string) => boolean | Promise<boolean>): Promise<string> {
  for (let draw = 0; draw < mostDraws; draw++) {
    const slug = request.drawSlug();
    if (!/^\d+$/.test(slug) && (await isFree(slug))) return slug;
  }
  throw new MarqueError('STORE_UNWRITABLE', `no free name for the run after ${mostDraws} draws: use a new store`);
}
