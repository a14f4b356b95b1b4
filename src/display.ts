import { cellText } from './cell.ts';
import { cutText, textWidth } from './text-width.ts';

/** A table to be shown. Columns are asked for one by one, since most of a very wide table is not. */
export interface ShownTable {
  readonly rowCount: number;
  readonly columnCount: number;
  column(index: number): ShownColumn;
}

export interface ShownColumn {
  readonly name: string;
  /** In a word, for above the values. */
  readonly type: string;
  /** In full. */
  readonly fullType: string;
  /** Numbers stand to the right. */
  readonly isNumeric: boolean;
  /** The value of a row as a plain one, as `cellText` takes it. */
  at(row: number): unknown;
}

interface TextOptions {
  /** At most so many rows, the first. */
  readonly rows: number;
  /** Columns of the terminal. No line is longer, unless a single column is. */
  readonly width: number;
  /** How to write what is not data. */
  readonly faint: (text: string) => string;
}

/** The size of a table, in words: `1,000 rows × 5 columns`. */
export function sizeText({ rowCount, columnCount }: ShownTable): string {
  return `${counted(rowCount, 'row')} × ${counted(columnCount, 'column')}`;
}

/**
 * A table as aligned text: its size, names and types of columns, the first rows, and how much more there is. Where the columns do not
 * fit, long texts become shorter, down to 16 columns of the terminal; then columns at the end are named only.
 */
export function tableText(table: ShownTable, { rows, width, faint }: TextOptions): string {
  const { rowCount, columnCount } = table;
  const shownRows = Math.min(rows, rowCount);
  const possible = Math.min(columnCount, Math.ceil(width / (1 + gap.length)));
  const columns = Array.from({ length: possible }, (_, index) => laidOut(table.column(index), shownRows));
  const fitted = fit(columns, width);
  const line = (cells: (column: FittedColumn) => string): string =>
    fitted.map((column) => padded(column, cells(column))).join(gap);
  const lines = [faint(sizeText(table))];
  if (fitted.length > 0) {
    lines.push(line(({ name }) => name).trimEnd(), faint(line(({ type }) => type).trimEnd()));
    lines.push(faint(fitted.map((column) => '─'.repeat(column.width)).join(gap)));
    for (let row = 0; row < shownRows; row++) lines.push(line(({ cells }) => cells[row] as string).trimEnd());
  }
  if (shownRows < rowCount) lines.push(faint(`… ${counted(rowCount - shownRows, 'more row')}`));
  const left = columnCount - fitted.length;
  if (left > 0) lines.push(faint(cutText(`… ${counted(left, 'more column')}: ${namesFrom(table, fitted.length, width)}`, width)));
  return lines.join('\n');
}

const gap = '  ';
/** Longer texts are cut, with a mark; where there is not enough room, down to `narrow`. Columns of the terminal. */
const widest = 60;
const narrow = 16;

interface FittedColumn {
  readonly name: string;
  readonly type: string;
  readonly isNumeric: boolean;
  readonly cells: readonly string[];
  readonly width: number;
}

/** Its width is that of the column in full; `least` is the one it can be cut to. A number or a time is never cut: it would be another. */
interface LaidOutColumn extends FittedColumn {
  readonly least: number;
}

function laidOut(column: ShownColumn, rows: number): LaidOutColumn {
  const values = Array.from({ length: rows }, (_, row) => column.at(row));
  const cells = values.map((value) => cellText(value, widest));
  const name = cellText(column.name, widest);
  const type = cellText(column.type, widest);
  const widthOfCells = Math.max(0, ...cells.map(textWidth));
  const width = Math.max(1, textWidth(name), textWidth(type), widthOfCells);
  const isText = values.some(
    (value) => typeof value === 'string' || (typeof value === 'object' && value !== null && !(value instanceof Date)),
  );
  const least = Math.min(width, isText ? narrow : Math.max(narrow, widthOfCells));
  return { name, type, isNumeric: column.isNumeric, cells, width, least };
}

/** As many of the columns as there is room for, at least one, each as wide as it can be when all share the room. */
function fit(columns: readonly LaidOutColumn[], room: number): readonly FittedColumn[] {
  let count = columns.length;
  while (count > 1 && total(columns.slice(0, count), 0) > room) count--;
  const some = columns.slice(0, count);
  let most = widest;
  while (most > narrow && total(some, most) > room) most--;
  return some.map((column) => {
    const width = widthUnder(column, most);
    const cut = (text: string): string => cutText(text, width);
    return { ...column, width, name: cut(column.name), type: cut(column.type), cells: column.cells.map(cut) };
  });
}

function total(columns: readonly LaidOutColumn[], most: number): number {
  return columns.reduce((sum, column) => sum + widthUnder(column, most), gap.length * (columns.length - 1));
}

function widthUnder({ width, least }: LaidOutColumn, most: number): number {
  return Math.max(least, Math.min(width, most));
}

function padded({ isNumeric, width }: FittedColumn, text: string): string {
  const space = ' '.repeat(Math.max(0, width - textWidth(text)));
  return isNumeric ? space + text : text + space;
}

/** The names of the columns from one on, as many as a line can hold. */
function namesFrom(table: ShownTable, first: number, width: number): string {
  const names: string[] = [];
  let length = 0;
  for (let index = first; index < table.columnCount && length <= width; index++) {
    const name = cellText(table.column(index).name, widest);
    names.push(name);
    length += name.length + 2;
  }
  return names.join(', ');
}

/** `1,000 rows`, `1 row`. */
function counted(count: number, what: string): string {
  return `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`;
}
