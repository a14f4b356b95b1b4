import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkName } from '../src/name.ts';

describe('checkName', () => {
  test.each([
    'a',
    'simpleMath',
    '007',
    'k-fold_3',
    '-',
    '_',
    'größe',
    'gro\u0308ße',
    'データ',
    '𝒜lpha',
    '१२',
    'a'.repeat(255),
    'ü'.repeat(127),
  ])('accepts %j', (name) => {
    expect(checkName('step', name)).toBe(name);
  });

  test.each([
    ['', 'the flow name "" is empty', '"flow"'],
    ['a.b', 'the flow name "a.b" contains the character "."', '"a-b"'],
    ['..', 'contains the character "."', '"flow"'],
    ['../etc/passwd', 'contains the character "."', '"etc-passwd"'],
    ['a/b\\c', 'contains the character "/"', '"a-b-c"'],
    ['two words', 'contains the character " "', '"two-words"'],
    [' padded ', 'contains the character " "', '"padded"'],
    ['what?!', 'contains the character "?"', '"what"'],
    ['a\nb', 'contains the character U+000A', '"a-b"'],
    ['a\0b', 'contains the character U+0000', '"a-b"'],
    ['a\u00a0b', 'contains the character U+00A0', '"a-b"'],
    ['a\u200db', 'contains the character U+200D', '"a-b"'],
    ['run 🚀', 'contains the character " "', '"run"'],
    ['🚀', 'contains the character "🚀"', '"flow"'],
    ['a\ud800', 'contains half of a surrogate pair', '"a"'],
    ['a'.repeat(256), 'has 256 bytes of UTF-8, the limit is 255', `"${'a'.repeat(255)}"`],
    ['ü'.repeat(128), 'has 256 bytes of UTF-8, the limit is 255', `"${'ü'.repeat(127)}"`],
  ])('refuses %j, says why and what would do', (name, fault, proposal) => {
    const refused = (message: string) =>
      expect.objectContaining({ code: 'NAME_INVALID', message: expect.stringContaining(message) });
    expect(() => checkName('flow', name)).toThrow(refused(fault));
    expect(() => checkName('flow', name)).toThrow(refused(`for instance ${proposal}`));
  });

  test.each([[undefined], [null], [7], [Symbol('x')], [{ name: 'a' }]])('refuses %j, which is no string', (name) => {
    expect(() => checkName('run', name)).toThrow(
      expect.objectContaining({ code: 'NAME_INVALID', message: expect.stringContaining('the name of a run must be a string') }),
    );
  });

  test('accepts the name that it proposes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (name) => {
        let message = '';
        try {
          checkName('step', name);
        } catch (error) {
          message = (error as Error).message;
        }
        if (message === '') return;
        const proposal = JSON.parse(message.slice(message.lastIndexOf('for instance ') + 'for instance '.length)) as string;
        expect(checkName('step', proposal)).toBe(proposal);
      }),
      { seed: 3 },
    );
  });
});
