import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { layOut, parseContent, readContent } from '../src/storage/json-layout.ts';
import { temporaryFolder } from './folders.ts';

/** Rows whose text could be taken for something of the layout. */
const rows = ['', '    {', '"},', '\n    {"a":1},\n', '\u2028\u2029\r', '漢😀'].map((text, seq) => ({
  seq,
  text,
  more: { n: [seq] },
}));
const file = { scope: { sid: 7, params: { list: [{ a: 1 }], empty: {} } }, tags: rows, logs: [], artifacts: rows.slice(0, 1) };

describe('a file', () => {
  test('is one piece where it is short, and as long as it may be in several', () => {
    expect([...layOut(file)]).toHaveLength(1);
    const text = 'x'.repeat(2 ** 23);
    const pieces = [...layOut({ tags: Array.from({ length: 5 }, () => ({ text })) })];
    expect(pieces.length).toBeGreaterThan(2);
    expect(JSON.parse(pieces.join(''))).toEqual({ tags: Array.from({ length: 5 }, () => ({ text })) });
  });

  test.each([
    ['at once', undefined],
    ['row by row where it is longer than a string may be', 100],
  ])('is read back %s', async (_how, longest) => {
    const path = join(temporaryFolder(), 'file.json');
    writeFileSync(path, [...layOut(file)].join(''));
    const content = await readContent(path, longest);
    expect(typeof content === 'string').toBe(longest === undefined);
    expect(parseContent(content)).toEqual(file);
  });

  test('that is long and not whole is refused', async () => {
    const path = join(temporaryFolder(), 'file.json');
    const text = [...layOut(file)].join('');
    for (const cut of [5, 40, text.indexOf('"tags"') + 60, text.length - 3]) {
      writeFileSync(path, text.slice(0, cut));
      const content = await readContent(path, 1);
      expect(() => parseContent(content), String(cut)).toThrow(SyntaxError);
    }
  });

  test('that holds a row too long for a string is not laid out, and says where', () => {
    const text = '\u0001'.repeat(2 ** 27); // six characters each in JSON
    expect(() => [...layOut({ artifacts: [{ text }] })]).toThrow(/a row of its artifacts is too long/);
  });

  test('can be read by a person: a row is a line', async () => {
    const path = join(temporaryFolder(), 'file.json');
    writeFileSync(path, [...layOut({ run: { number: 1 }, tags: [{ a: 1 }, { b: 2 }], logs: [] })].join(''));
    expect(await readFile(path, 'utf8')).toBe(`{
  "run": {
    "number": 1
  },
  "tags": [
    {"a":1},
    {"b":2}
  ],
  "logs": []
}
`);
  });
});
