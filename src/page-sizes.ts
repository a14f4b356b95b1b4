/** How many scopes a page has: the first at most so many, each further one eight times as many, up to the second. */
export interface PageSizes {
  readonly first: number;
  readonly most: number;
}

/** For somebody who may stop after some. */
export const growing: PageSizes = { first: 256, most: 2 ** 18 };

/** For somebody who wants all that is found. */
export const large: PageSizes = { first: growing.most, most: growing.most };

/** Those of the pages after the first. */
export function grown({ first, most }: PageSizes): PageSizes {
  return { first: Math.min(first * 8, Math.max(first, most)), most };
}
