import { cellText } from './cell.ts';
import { type ShownColumn, type ShownTable, sizeText } from './display.ts';

/** Of a wider table the first columns are shown: a page with a hundred thousand cells helps nobody. */
const mostColumns = 200;
/** Characters. Longer texts are cut, with a mark. */
const widest = 200;

/**
 * The first rows of a table as a piece of HTML that stands alone: no script, nothing loaded, colours made from those of the page around
 * it, in light and in dark. ASCII only, so that it reads the same in a file that does not say its encoding.
 */
export function tableHtml(table: ShownTable, rows: number): string {
  const { rowCount, columnCount } = table;
  const shownRows = Math.min(rows, rowCount);
  const columns = Array.from({ length: Math.min(columnCount, mostColumns) }, (_, index) => table.column(index));
  const body = Array.from(
    { length: shownRows },
    (_, row) => `<tr>${columns.map((column) => dataCell(column, row)).join('')}</tr>`,
  );
  const first = [
    ...(shownRows < rowCount ? [`the first ${shownRows.toLocaleString('en-US')} rows`] : []),
    ...(columns.length < columnCount ? [`the first ${columns.length} columns`] : []),
  ];
  const caption = [sizeText(table), ...first].join(', ');
  return [
    `<div class="marque-table"><style>${style}</style>`,
    `<table><caption>${escaped(caption)}</caption>`,
    `<thead><tr>${columns.map(headCell).join('')}</tr></thead>`,
    `<tbody>${body.join('\n')}</tbody></table></div>`,
  ].join('\n');
}

function headCell({ name, fullType, isNumeric }: ShownColumn): string {
  const title = escaped(cellText(fullType, widest));
  return `<th scope="col"${numeric(isNumeric)} title="${title}">${escaped(cellText(name, widest))}</th>`;
}

function dataCell(column: ShownColumn, row: number): string {
  return `<td${numeric(column.isNumeric)}>${escaped(cellText(column.at(row), widest))}</td>`;
}

function numeric(isNumeric: boolean): string {
  return isNumeric ? ' class="number"' : '';
}

function escaped(text: string): string {
  return text.replaceAll(/[^ -~]|[&<>"']/gu, (character) => `&#${character.codePointAt(0)};`);
}

/** A notebook puts many tables into one page, so every rule is about ours. The variables can be set by the page. */
const style = `
.marque-table { --line: var(--marque-line, color-mix(in srgb, currentColor 25%, transparent)); overflow-x: auto; }
.marque-table table { border-collapse: collapse; color: inherit; font: 13px/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
.marque-table caption { caption-side: bottom; padding: 4px 10px; text-align: left; opacity: 0.7; }
.marque-table th, .marque-table td { padding: 3px 10px; border: 0; background: none; text-align: left; vertical-align: top; }
.marque-table th { border-bottom: 1px solid var(--line); font-weight: 600; white-space: nowrap; }
.marque-table td { max-width: 40em; overflow-wrap: anywhere; unicode-bidi: isolate; }
.marque-table .number { text-align: right; white-space: nowrap; }
.marque-table tbody tr:nth-child(even) { background: var(--marque-stripe, color-mix(in srgb, currentColor 5%, transparent)); }
`;
