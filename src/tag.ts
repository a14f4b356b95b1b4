import { MarqueError, show } from './error.ts';

/** A mark on a scope or on a flow: a text, and a number if there is one. Repeats are kept in order: a repeated tag is a series. */
export interface Tag {
  readonly content: string;
  /** -0 is recorded as 0. */
  readonly value: number | null;
}

/** Throws `VALUE_INVALID` for a text that no column can hold, and for a value that is no number. */
export function checkTag(content: unknown, value: unknown): [content: string, value: number | null] {
  if (typeof content !== 'string') throw new MarqueError('VALUE_INVALID', `tag ${show(content)} is no text: give a string`);
  if (!content.isWellFormed()) {
    throw new MarqueError('VALUE_INVALID', `tag ${show(content)} has half of a surrogate pair: use content.toWellFormed()`);
  }
  if (value === undefined || value === null) return [content, null];
  if (typeof value === 'number') return [content, value === 0 ? 0 : value]; // Parquet's dictionaries hold one zero, not two
  throw new MarqueError('VALUE_INVALID', `tag ${show(content)} has value ${show(value)}, which is no number`);
}
