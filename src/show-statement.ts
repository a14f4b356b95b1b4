import { inspect, type InspectOptionsStylized } from 'node:util';
import { oneLine } from './cell.ts';
import type { Statement } from './store.ts';

/** Characters of a statement, and of one of its values. The rest is counted. */
const mostText = 4_000;
const mostValue = 200;

/** What console.log shows of something that is still to be run: what it is, its SQL, and the values that this binds. */
export function showStatement(
  what: string,
  statement: Statement | null,
  depth: number,
  options: Pick<InspectOptionsStylized, 'stylize'>,
): string {
  const faint = (part: string): string => options.stylize(part, 'undefined');
  if (depth < 0) return faint(`[${what}]`);
  const head = faint(`${what}, not run yet: await it, or iterate it`);
  if (statement === null) return head;
  const { text, values } = statement;
  const shown = text.trim().slice(0, mostText);
  const left = text.trim().length - shown.length;
  return [
    head,
    ...shown.split('\n').map((line) => ' '.repeat(line.length - line.trimStart().length) + oneLine(line.trim())),
    ...(left > 0 ? [faint(`… ${left.toLocaleString('en-US')} more characters`)] : []),
    ...values.map((value, index) => `${faint(`$${index + 1} =`)} ${valueText(value)}`),
  ].join('\n');
}

function valueText(value: unknown): string {
  return inspect(value, { depth: 1, maxArrayLength: 10, maxStringLength: mostValue, breakLength: Infinity });
}
