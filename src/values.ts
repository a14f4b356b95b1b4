import type { SqlValue } from './store.ts';

/** The values bound so far; an equal one is bound once. */
export class Values {
  readonly bound: SqlValue[] = [];

  bind(value: SqlValue): string {
    const known = this.bound.indexOf(value);
    return `$${known === -1 ? this.bound.push(value) : known + 1}`;
  }
}
