import { Table } from 'console-table-printer';
import { humanDuration } from './duration.ts';
import { lossyJson } from './json.ts';
import type { Result } from './store.ts';

/** Longer texts are cut, with a mark. Characters. */
const widest = 60;

/** A result as a table for a terminal: numbers to the right, times in UTC, `duration_ms` as a human reads it. */
export function renderTable({ columns, values, rowCount }: Result): string {
  if (rowCount === 0) return `no rows (${columns.map((column) => column.name).join(', ')})`;
  const isNumeric = columns.map((_, column) =>
    (values[column] ?? []).some((value) => typeof value === 'number' || typeof value === 'bigint'),
  );
  const table = new Table({
    columns: columns.map(({ name }, column) => ({
      name,
      title: isDuration(name) ? name.slice(0, -'_ms'.length) : name,
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
  if (value === null || value === undefined) return '';
  if (value instanceof Date) return value.toISOString().slice(0, 19).replace('T', ' ');
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === 'number' && isDuration(name)) return humanDuration(value);
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  const text = typeof value === 'string' ? value : typeof value === 'object' ? lossyJson(value) : `${value as bigint | boolean}`;
  const line = oneLine(text);
  return line.length > widest ? `${line.slice(0, widest - 1)}…` : line;
}

/** A text without line breaks and without characters that a terminal would obey. */
export function oneLine(text: string): string {
  const escaped = (character: string): string => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  return text.replaceAll(/\s+/g, ' ').replaceAll(/\p{Cc}/gu, escaped);
}
