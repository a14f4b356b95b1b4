import { textWidth } from './text-width.ts';

/** Characters that are shown of a line, at most; the mark is then in the middle. */
const shown = 100;

/** A place in SQL text for people: its line and column, the line, and a mark under the place. `offset` is in bytes of UTF-8. */
export function markedPlace(text: string, offset: number): string {
  return marked(text, Buffer.from(text).toString('utf8', 0, offset).length);
}

/**
 * DuckDB's message about a text, its `LINE 1: …` with the mark under it spelled as {@link markedPlace} does: DuckDB cuts long lines, and counts no
 * columns. A message about another text, such as that of a view, stays as it is.
 */
export function withMarkedPlace(message: string, text: string): string {
  const place = /\n\nLINE (\d+): (\.\.\.)?([^\n]*?)(\.\.\.)?\n( *)\^$/.exec(message);
  if (place === null) return message;
  const [all, line = '', cutBefore = '', snippet = '', , indent = ''] = place;
  const before = text
    .split('\n')
    .slice(0, Number(line) - 1)
    .join('\n').length;
  const start = Number(line) === 1 ? 0 : before + 1;
  const whole = text.slice(start).split('\n', 1)[0] as string;
  const at = whole.indexOf(snippet);
  if (at === -1 || (cutBefore === '' && at !== 0) || (whole.includes(snippet, at + 1) && cutBefore !== '')) return message;
  const width = indent.length - `LINE ${line}: ${cutBefore}`.length;
  return message.slice(0, -all.length) + `\n\n${marked(text, start + at + indexAtWidth(snippet, width))}`;
}

function marked(text: string, index: number): string {
  const before = text.slice(0, index).split('\n');
  const start = index - (before.at(-1) as string).length;
  const line = text.slice(start).split('\n', 1)[0] as string;
  const column = Array.from(before.at(-1) as string).length;
  const characters = Array.from(line, (character) => (/\p{Cc}/u.test(character) ? ' ' : character));
  const from = characters.length <= shown ? 0 : Math.min(Math.max(0, column - shown / 2), characters.length - shown);
  const left = `${from > 0 ? '…' : ''}${characters.slice(from, column).join('')}`;
  const right = `${characters.slice(column, from + shown).join('')}${from + shown < characters.length ? '…' : ''}`;
  return `LINE ${before.length}, column ${column + 1}:\n${left}${right}\n${' '.repeat(textWidth(left))}^`;
}

/** Where DuckDB's mark stands in a line: it counts characters of no width as nothing and wide ones twice. */
function indexAtWidth(line: string, width: number): number {
  let [index, used] = [0, 0];
  for (const character of line) {
    if (used >= width) break;
    used += /\p{Cc}/u.test(character) ? 0 : textWidth(character);
    index += character.length;
  }
  while (/[\p{Cc}]/u.test(line[index] ?? '')) index++; // a tab before the place takes no room there
  return index;
}
