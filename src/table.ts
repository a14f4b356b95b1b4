import { Table } from 'console-table-printer';
import { cellText, oneLine } from './cell.ts';
import { humanDuration } from './duration.ts';
import type { Result } from './store.ts';

/** Longer texts are cut, with a mark. Characters. */
const widest = 60;

/** A result as a table for a terminal: numbers to the right, values as in every table of ours, but `duration_ms` as a human reads it. */
export function renderTable({ columns, values, rowCount }: Result): string {
  if (rowCount === 0) return `no rows (${columns.map((column) => column.name).join(', ')})`;
  const isNumeric = columns.map((_, column) =>
    (values[column] ?? []).some((value) => typeof value === 'number' || typeof value === 'bigint'),
  );
  const table = new Table({
    columns: columns.map(({ name }, column) => ({
      name,
      title: oneLine(isDuration(name) ? name.slice(0, -'_ms'.length) : name),
      alignment: isNumeric[column] === true ? 'right' : 'left',
    })),
    shouldDisableColors: !process.stdout.isTTY || (process.env.NO_COLOR ?? '') !== '',
  });
  for (let row = 0; row < rowCount; row++) {
    table.addRow(Object.fromEntries(columns.map(({ name }, column) => [name, cell(name, values[column]?.[row])])));
  }
  return table.render();
}

function isDuration(name: string): boolean {
  return name.endsWith('duration_ms');
}

function cell(name: string, value: unknown): string {
  return typeof value === 'number' && isDuration(name) ? humanDuration(value) : cellText(value, widest);
}
