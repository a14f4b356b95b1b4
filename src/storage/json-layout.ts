import { constants } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

/**
 * How a file of a JSON store is laid out: an object whose members are objects, and lists of rows. Each row has a line of its own, four
 * spaces in. So a file that is longer than a string can be is written in pieces, and read row by row.
 */

/** A file's content as it was read: its text, or its lines where the text would be too long for a string. */
export type FileContent = string | readonly Buffer[];

/** Characters of a piece, more or less: a row is never cut. */
const pieceLength = 2 ** 24;

/** The text of a file, in pieces. What can be iterated is a list of rows. */
export function* layOut(members: Readonly<Record<string, object | Iterable<object>>>): Generator<string> {
  let text = '{\n';
  let separator = '';
  for (const [key, value] of Object.entries(members)) {
    text += `${separator}  ${JSON.stringify(key)}: `;
    separator = ',\n';
    if (!(Symbol.iterator in value)) {
      text += JSON.stringify(value, null, 2).replaceAll('\n', '\n  ');
      continue;
    }
    let before = '[';
    for (const row of value) {
      const line = lineOf(key, row);
      if (text.length + line.length > pieceLength) {
        yield text;
        text = '';
      }
      text += `${before}\n    ${line}`;
      before = ',';
    }
    text += before === '[' ? '[]' : '\n  ]';
  }
  yield `${text}\n}\n`;
}

/** Reads a file. `longest` is the number of bytes that a string certainly holds. */
export async function readContent(path: string, longest: number = constants.MAX_STRING_LENGTH): Promise<FileContent> {
  return (await stat(path)).size <= longest ? await readFile(path, 'utf8') : await linesOf(path);
}

/** What `layOut` laid out. Throws an Error for what is no JSON, and for a long file that was laid out otherwise. */
export function parseContent(content: FileContent): unknown {
  if (typeof content === 'string') return JSON.parse(content);
  const rows: unknown[] = [];
  const frame = content.map((line) => {
    const text = line.toString('utf8');
    if (!text.startsWith('    {')) return text;
    const comma = text.endsWith(',') ? ',' : '';
    rows.push(JSON.parse(comma === '' ? text : text.slice(0, -1)));
    return `${rows.length - 1}${comma}`;
  });
  const file = JSON.parse(frame.join('\n')) as object;
  const members = Object.entries(file).map(([key, value]: [string, unknown]) => [
    key,
    Array.isArray(value) ? value.map((index) => rows[index as number]) : value,
  ]);
  return Object.fromEntries(members);
}

function lineOf(key: string, row: object): string {
  try {
    return JSON.stringify(row);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new Error(`a row of its ${key} is too long to be one string of JSON, which other storages do not need`, { cause });
  }
}

async function linesOf(path: string): Promise<Buffer[]> {
  const lines: Buffer[] = [];
  let parts: Buffer[] = [];
  for await (const chunk of createReadStream(path, { highWaterMark: pieceLength }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', start)) {
      lines.push(Buffer.concat([...parts, chunk.subarray(start, end)]));
      parts = [];
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
  }
  return [...lines, Buffer.concat(parts)];
}
