/** Takes two columns of a terminal: East Asian wide and full-width characters, emoji, flags. By the first character of a grapheme. */
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}\p{RI}]|\ufe0f/u;
/** Combines with what stands before it. */
const combining = /^\p{M}/u;
const ascii = /^[\u0020-\u007e]*$/;

let segmenter: Intl.Segmenter | null = null; // making one takes milliseconds, which most tables never need

/** How many columns of a terminal a text without control characters takes, as nearly as can be said without asking the terminal. */
export function textWidth(text: string): number {
  if (ascii.test(text)) return text.length;
  let width = 0;
  for (const grapheme of graphemes(text)) width += graphemeWidth(grapheme);
  return width;
}

/** The text, or as much of its beginning as takes at most `width` columns (one or more) together with the mark `…` behind it. */
export function cutText(text: string, width: number): string {
  if (text.length <= width && ascii.test(text)) return text;
  const read = text.slice(0, 8 * width); // a hundred thousand characters are not measured for the sixty that are shown
  if (ascii.test(read)) return `${read.slice(0, width - 1)}…`;
  let [used, fits] = [0, ''];
  for (const grapheme of graphemes(read)) {
    used += graphemeWidth(grapheme);
    if (used > width) return `${fits}…`;
    if (used < width) fits += grapheme;
  }
  return read.length < text.length ? `${fits.toWellFormed()}…` : text;
}

function* graphemes(text: string): Generator<string> {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  for (const { segment } of segmenter.segment(text)) yield segment;
}

function graphemeWidth(grapheme: string): number {
  if (combining.test(grapheme)) return 0;
  return wide.test(grapheme) ? 2 : 1;
}
