import leven from 'leven';

/** Up to three of the known names that `name` may be a slip of, nearest first. Case does not count. */
export function near(name: string, known: Iterable<string>): readonly string[] {
  const wanted = name.toLowerCase();
  const slips = Math.max(1, Math.floor((wanted.length + 1) / 3)); // letters that may be wrong: two in five, so that they may be swapped
  const found: { readonly candidate: string; readonly distance: number }[] = [];
  for (const candidate of new Set(known)) {
    const distance = leven(wanted, candidate.toLowerCase(), { maxDistance: slips + 1 });
    if (distance <= slips && distance < Math.max(wanted.length, candidate.length)) found.push({ candidate, distance });
  }
  found.sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1));
  return found.slice(0, 3).map(({ candidate }) => candidate);
}

/**
 * The end of a message about an unknown name, with a space before it: ` Did you mean "lr"?`, or what there is to choose from if
 * nothing is near.
 */
export function orNear(name: string, known: Iterable<string>): string {
  const all = [...new Set(known)];
  const found = near(name, all);
  if (found.length > 0) return ` Did you mean ${listed(found, 'or')}?`;
  if (all.length === 0) return ' There are none.';
  const shown = all.slice(0, 10);
  const rest = all.length - shown.length;
  return rest > 0
    ? ` There are ${quoted(shown).join(', ')} and ${rest} more.`
    : ` There ${all.length === 1 ? 'is' : 'are'} ${listed(shown, 'and')}.`;
}

function quoted(names: readonly string[]): string[] {
  return names.map((name) => JSON.stringify(name));
}

function listed(names: readonly string[], conjunction: 'and' | 'or'): string {
  const texts = quoted(names);
  return texts.length < 2 ? texts.join('') : `${texts.slice(0, -1).join(', ')} ${conjunction} ${texts.at(-1)}`;
}
