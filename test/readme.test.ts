import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

test('the README has the table of readers and types that the tests have measured', () => {
  const [, table] = /<!-- readers: begin -->\n([^]*)<!-- readers: end -->/.exec(read('../README.md')) ?? [];
  expect(table?.trim()).toBe(read('interop/table.md').trim());
});
