import { Console } from 'node:console';
import { PassThrough } from 'node:stream';
import { WriteStream } from 'node:tty';
import { inspect } from 'node:util';
import {
  Binary,
  Bool,
  Decimal,
  Dictionary,
  Field,
  FixedSizeList,
  Float64,
  Int32,
  Int64,
  List,
  makeData,
  Map_,
  Null,
  Struct,
  Table,
  tableFromIPC,
  tableToIPC,
  TimestampMicrosecond,
  TimestampMillisecond,
  Utf8,
  Vector,
  vectorFromArray,
} from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cellText, oneLine } from '../src/cell.ts';
import { tableText } from '../src/display.ts';
import { renderTable } from '../src/table.ts';
import { Flow, MemoryStorage } from '../src/index.ts';
import { ResultTable } from '../src/result-table.ts';
import { cutText, textWidth } from '../src/text-width.ts';

const display = Symbol.for('Jupyter.display');

/** What texts go wrong by: controls, invisible formats, halves of pairs, and what takes no column of a terminal or two. */
const pieces = [
  'a',
  ' ',
  '"',
  '\n',
  '\u0000',
  '\u001b[',
  '\u202e',
  '\u2066',
  '\u2028',
  '\ufeff',
  '\u200d',
  '\ufe0f',
  '\u0301',
].concat(['é', '日', 'ﾊ', '🎉', '👩', '🇩', '\ud83d', '\udc69', '\u{e0067}', '\u{10ffff}', 'א']);

function tableOf(columns: Readonly<Record<string, Vector>>): ResultTable {
  return ResultTable.of(new Table(columns));
}

function numbers(count: number): ResultTable {
  return tableOf({ n: vectorFromArray(Float64Array.from({ length: count }, (_, row) => row)) });
}

function atWidth(width: number, table: ResultTable): string {
  const { columns } = process.stdout;
  process.stdout.columns = width;
  try {
    return inspect(table);
  } finally {
    process.stdout.columns = columns;
  }
}

/** The text of the cells of a page, by row, as a browser would show them. */
function cellsOf(html: string): string[][] {
  return [...html.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row = '']) =>
    [...row.matchAll(/<t[dh][^>]*>(.*?)<\/t[dh]>/gs)].map(([, cell = '']) =>
      cell.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code))),
    ),
  );
}

function captionOf(html: string): string {
  return (/<caption>(.*)<\/caption>/.exec(html)?.[1] ?? '').replace('&#215;', '×');
}

describe('a cell', () => {
  test.each<[unknown, string]>([
    [null, ''],
    [undefined, ''],
    ['', '""'],
    ['two\r\nlines\tand\u2028more', 'two lines and more'],
    ['\u001b[31mred\u0007\u009b', '\\x1b[31mred\\x07\\x9b'],
    ['a\u202eb\u2066c\u200bd', 'a\\u{202e}b\\u{2066}c\\u{200b}d'],
    ['half \ud83d', 'half \ufffd'],
    ['a\u0000b', 'a\\x00b'],
    [0, '0'],
    [-0, '-0'],
    [1 / 3, '0.333333'],
    [1234567.891, '1234567.89'],
    [123456789, '123456789'],
    [1e-12, '1e-12'],
    [1.5e300, '1.5e+300'],
    [Number.NaN, 'NaN'],
    [-Infinity, '-Infinity'],
    [2n ** 63n - 1n, '9223372036854775807'],
    [true, 'true'],
    [new Date(1_700_000_000_000), '2023-11-14T22:13:20Z'],
    [new Date(1_700_000_000_007), '2023-11-14T22:13:20.007Z'],
    [new Date(-8.64e15), '-271821-04-20T00:00:00Z'],
    [new Date(Number.NaN), 'invalid date'],
    [new Uint8Array(12), '12 bytes'],
    [new Uint8Array(1), '1 byte'],
    [[1, null, 'a"b', [2n]], '[1, null, "a\\"b", [2]]'],
    [{ at: new Date(0), bytes: new Uint8Array(3), none: null }, '{at: 1970-01-01T00:00:00Z, bytes: 3 bytes, none: null}'],
    [new Map([['a', 1]]), '{"a": 1}'],
    [['\u001b'], '["\\u001b"]'],
    [[], '[]'],
  ])('of %o is %j', (value, expected) => {
    expect(cellText(value, 80)).toBe(expected);
  });

  test('is cut with a mark, to the columns that a terminal has, never inside a character', () => {
    expect(cellText('x'.repeat(100_000), 10)).toBe('xxxxxxxxx…');
    expect(cellText('日本語日本語', 7)).toBe('日本語…');
    expect(cellText('日本語', 6)).toBe('日本語');
    expect(cellText('👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧', 5)).toBe('👩‍👩‍👧👩‍👩‍👧…');
    expect(cellText(`e${'\u0301'.repeat(100_000)}`, 4).length).toBeLessThan(40);
    expect(
      cellText(
        Array.from({ length: 1_000_000 }, (_, at) => at),
        12,
      ),
    ).toBe('[0, 1, 2, 3…');
  });

  test('of lists in lists in lists is made as far as it is shown only', () => {
    let value: unknown = 1;
    for (let depth = 0; depth < 100; depth++) value = [value, value, value];
    expect(cellText(value, 20)).toBe(`${'['.repeat(19)}…`);
  });

  test('of any text is one line without controls, no wider than asked, and whole if there is room', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...pieces), maxLength: 40 }),
        fc.integer({ min: 1, max: 30 }),
        (text, width) => {
          const cell = cellText(text, width);
          expect(textWidth(cell)).toBeLessThanOrEqual(Math.max(width, 2));
          expect(cell).not.toMatch(/[\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029]/u);
          if (text !== '' && textWidth(oneLine(text)) <= width) expect(cell).toBe(oneLine(text));
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });

  test('takes the columns that it takes', () => {
    expect(['', 'abc', '日本', 'e\u0301', '🎉', '🇩🇪', '❤️', 'ｆ', 'ﾊ'].map(textWidth)).toEqual([0, 3, 4, 1, 2, 2, 2, 2, 1]);
    expect(cutText('abc', 3)).toBe('abc');
    expect(cutText('abcd', 3)).toBe('ab…');
  });
});

describe('console.log of a table', () => {
  test('shows size, names, types, the first rows with numbers to the right, and how many more there are', () => {
    const table = tableOf({
      step: vectorFromArray(
        Array.from({ length: 1_000 }, (_, row) => (row === 1 ? 'evaluate' : 'train')),
        new Utf8(),
      ),
      loss: vectorFromArray(
        Array.from({ length: 1_000 }, (_, row) => (row === 2 ? null : row / 4)),
        new Float64(),
      ),
    });
    expect(inspect(table).split('\n')).toEqual([
      '1,000 rows × 2 columns',
      'step         loss',
      'utf8      float64',
      '────────  ───────',
      'train           0',
      'evaluate     0.25',
      'train',
      ...['0.75', '1', '1.25', '1.5', '1.75', '2', '2.25'].map((loss) => `train     ${loss.padStart(7)}`),
      '… 990 more rows',
    ]);
  });

  test('cuts texts, then leaves columns out and names them, so that lines fit into the terminal', () => {
    const columns = Object.fromEntries(
      Array.from({ length: 8 }, (_, at) => [`column_${at}`, vectorFromArray(['日本語'.repeat(50)], new Utf8())]),
    );
    for (const width of [40, 80, 123, 200]) {
      const lines = atWidth(width, tableOf(columns)).split('\n');
      expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(width);
      expect(Math.max(...lines.map(textWidth))).toBeGreaterThan(width - 20);
    }
    expect(atWidth(80, tableOf(columns))).toContain('\n… 4 more columns: column_4, column_5, column_6, column_7');
  });

  test('never cuts a number or a time', () => {
    const columns = Object.fromEntries(
      Array.from({ length: 6 }, (_, at) => [`n${at}`, vectorFromArray([-(2n ** 62n)], new Int64())]),
    );
    const table = tableOf({ ...columns, at: vectorFromArray([1_700_000_000_123], new TimestampMillisecond()) });
    for (const width of [10, 60, 200]) {
      const text = atWidth(width, table);
      expect(text).toContain('-4611686018427387904');
      expect(text.replace(/more columns.*/, '')).not.toMatch(/\d…/);
    }
    expect(atWidth(200, table)).toContain('2023-11-14T22:13:20.123Z');
  });

  test('of a thousand columns names what does not fit, and looks only at what is shown', () => {
    const row = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, at) => [`column_${at}`, vectorFromArray([at], new Int32())]),
    );
    const lines = atWidth(100, tableOf(row)).split('\n');
    expect(lines[0]).toBe('1 row × 1,000 columns');
    expect(lines.at(-1)).toMatch(/^… 99\d more columns: column_\d+, .*…$/);
    expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(100);

    let read = 0;
    const column = { name: 'n', type: 'int32', fullType: 'Int32', isNumeric: true, at: () => read++ };
    const wide = { rowCount: 1_000_000, columnCount: 1_000_000, column: () => column };
    tableText(wide, { rows: 10, width: 90, faint: (text) => text });
    expect(read).toBeLessThanOrEqual(10 * 30);
  });

  test.each([
    [new ResultTable(), '0 rows × 0 columns'],
    [tableOf({ a: vectorFromArray([], new Utf8()) }), '0 rows × 1 column\na\nutf8\n────'],
    [ResultTable.of(numbers(3).slice(1, 1)), '0 rows × 1 column\n      n\nfloat64\n───────'],
    [tableOf({ '\u001b[2J\n': vectorFromArray([true], new Bool()) }), '1 row × 1 column\n\\x1b[2J \nbool\n────────\ntrue'],
  ])('of a table without rows, without columns, with a hostile name', (table, expected) => {
    expect(inspect(table).replaceAll(/ +$/gm, '')).toBe(expected.replaceAll(/ +$/gm, ''));
  });

  test('inside of other values is one word where those are not shown further', () => {
    expect(inspect({ a: { b: { c: numbers(3) } } }, { breakLength: Infinity })).toContain('[ResultTable: 3 rows × 1 column]');
  });

  test.each([
    ['1', false],
    ['', true],
  ])('has no colours where NO_COLOR says so: %j', (noColor, isColoured) => {
    const env = { TERM: 'xterm-256color', ...(noColor === '' ? {} : { NO_COLOR: noColor }) };
    const getColorDepth = (): number => WriteStream.prototype.getColorDepth(env);
    const terminal = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY: true, getColorDepth });
    new Console(terminal).log(numbers(1));
    expect((terminal.read() as string).includes('\u001b')).toBe(isColoured);
  });

  test('has colours only where the terminal has them, and never in the data', () => {
    expect(inspect(numbers(1), { colors: false })).not.toContain('\u001b');
    const coloured = inspect(numbers(1), { colors: true }).split('\n');
    expect(coloured.filter((line) => line.includes('\u001b')).length).toBe(3);
    expect(coloured.at(-1)).toBe('      0');
  });
});

describe('values of Arrow types', () => {
  const infinite = new BigInt64Array([2n ** 63n - 1n, -(2n ** 63n - 1n), 9_007_199_254_740_993n, 1_700_000_000_000_001n]);
  const texts = vectorFromArray(['b', 'a', null, 'b'], new Dictionary(new Utf8(), new Int32()));
  const structs = new Struct([new Field('at', new TimestampMillisecond(), true), new Field('x', new Float64(), true)]);
  const map = new Map_(
    new Field(
      'entries',
      new Struct([new Field('key', new Utf8(), false), new Field('value', new Int64(), true)]),
      false,
    ) as never,
  );

  test.each<[string, Vector, readonly string[]]>([
    ['dictionaries', texts, ['b', 'a', '', 'b']],
    ['whole numbers beyond 2^53', vectorFromArray([2n ** 53n + 1n, -1n], new Int64()), ['9007199254740993', '-1']],
    [
      'infinite times',
      new Vector([makeData({ type: new TimestampMillisecond(), data: infinite.slice(0, 2) })]),
      ['Infinity', '-Infinity'],
    ],
    [
      'times that no Date can say',
      new Vector([makeData({ type: new TimestampMillisecond(), data: infinite.slice(2, 3) })]),
      ['9007199254740992'],
    ],
    [
      'microseconds',
      new Vector([makeData({ type: new TimestampMicrosecond(), data: infinite.slice(3) })]),
      ['2023-11-14T22:13:20Z'],
    ],
    ['bytes', vectorFromArray([new Uint8Array(5), null], new Binary()), ['5 bytes', '']],
    ['nulls of no type', vectorFromArray([null, null], new Null()), ['', '']],
    [
      'lists of structs',
      vectorFromArray([[{ at: 0, x: 1.5 }, null], [], null], new List(new Field('item', structs, true))),
      ['[{at: 1970-01-01T00:00:00Z, x: 1.5}, null]', '[]', ''],
    ],
    [
      'lists of a fixed size',
      new Vector([
        makeData({
          type: new FixedSizeList(2, new Field('item', new Int32(), true)),
          length: 2,
          child: makeData({ type: new Int32(), data: Int32Array.of(1, 2, 3, 4) }),
        }),
      ]),
      ['[1, 2]', '[3, 4]'],
    ],
    ['maps', vectorFromArray([new Map([['a', 1n]]), null], map), ['{"a": 1}', '']],
    [
      'decimals',
      new Vector([
        makeData({
          type: new Decimal(2, 10, 128),
          data: Uint32Array.of(12_345, 0, 0, 0, 5, 0, 0, 0, 2 ** 32 - 5, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1),
        }),
      ]),
      ['123.45', '0.05', '-0.05'],
    ],
  ])('%s are shown as what they are, also of a slice', (_name, vector, expected) => {
    const table = tableOf({ value: vector });
    const shown = (some: ResultTable): string[] =>
      cellsOf(some.toHTML())
        .slice(1)
        .map(([cell = '']) => cell);
    expect(shown(table)).toEqual(expected);
    expect(shown(table.slice(1))).toEqual(expected.slice(1));
    expect(shown(table.concat(table))).toEqual([...expected, ...expected]);
    expect(inspect(table)).not.toContain('Invalid');
  });
});

describe('HTML', () => {
  test('escapes everything that a person can have written', () => {
    const hostile = `"><script>alert('1')</script><img src=x onerror=alert(1)>&amp;\u202e]]>-->`;
    const html = tableOf({ [hostile]: vectorFromArray([hostile], new Utf8()) }).toHTML();
    expect(cellsOf(html)).toEqual([[oneLine(hostile)], [oneLine(hostile)]]);
    expect(html.match(/<[a-z]+/g)).toEqual([
      '<div',
      '<style',
      '<table',
      '<caption',
      '<thead',
      '<tr',
      '<th',
      '<tbody',
      '<tr',
      '<td',
    ]);
    expect(html).toMatch(/^[\n -~]+$/);
  });

  test('gives size, types and alignment, and loads nothing', () => {
    const html = numbers(1_000).toHTML({ rows: 3 });
    expect(captionOf(html)).toBe('1,000 rows × 1 column, the first 3 rows');
    expect(html).toContain('<th scope="col" class="number" title="Float64">n</th>');
    expect(cellsOf(html)).toEqual([['n'], ['0'], ['1'], ['2']]);
    expect(html).not.toMatch(/script|https?:|url\(|@import/);
  });

  test('shows twenty rows unless asked otherwise', () => {
    expect(cellsOf(numbers(100).toHTML())).toHaveLength(21);
    expect(cellsOf(numbers(100).toHTML({ rows: Infinity }))).toHaveLength(101);
    expect(captionOf(numbers(100).toHTML({ rows: Infinity }))).toBe('100 rows × 1 column');
    expect(cellsOf(numbers(100).toHTML({ rows: 0 }))).toHaveLength(1);
    for (const rows of [-1, 1.5, Number.NaN, '5' as unknown as number])
      expect(() => numbers(1).toHTML({ rows })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });

  test('of a thousand columns shows the first two hundred, and says so', () => {
    const row = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, at) => [`column_${at}`, vectorFromArray([at], new Int32())]),
    );
    const html = tableOf(row).toHTML();
    expect(cellsOf(html).map((cells) => cells.length)).toEqual([200, 200]);
    expect(captionOf(html)).toBe('1 row × 1,000 columns, the first 200 columns');
  });

  test('of a table without rows or columns is a table', () => {
    expect(captionOf(new ResultTable().toHTML())).toBe('0 rows × 0 columns');
    expect(cellsOf(numbers(0).toHTML())).toEqual([['n']]);
  });

  test('cuts texts of a hundred thousand characters', () => {
    expect(tableOf({ a: vectorFromArray(['<'.repeat(100_000)], new Utf8()) }).toHTML().length).toBeLessThan(5_000);
  });
});

describe('a table that shows itself', () => {
  test('is an Arrow table: instanceof, bytes and back, rows', () => {
    const table = numbers(3);
    expect(table).toBeInstanceOf(Table);
    expect(tableFromIPC(tableToIPC(table)).toArray().map(String)).toEqual(table.toArray().map(String));
    expect(ResultTable.of(table)).toBe(table);
  });

  test('goes on to show itself when it is sliced, selected or joined', () => {
    const table = tableOf({ a: vectorFromArray([1, 2], new Int32()), b: vectorFromArray(['x', 'y'], new Utf8()) });
    const derived = [table.slice(1), table.select(['b']), table.selectAt([0]), table.concat(table), table.assign(numbers(2))];
    expect(derived.map((one) => inspect(one).split('\n')[0])).toEqual([
      '1 row × 2 columns',
      '2 rows × 1 column',
      '2 rows × 1 column',
      '4 rows × 2 columns',
      '2 rows × 3 columns',
    ]);
  });

  test('gives Jupyter the text and the page', () => {
    const table = numbers(30) as unknown as Record<symbol, () => Record<string, string>>;
    const shown = table[display]?.() ?? {};
    expect(Object.keys(shown)).toEqual(['text/plain', 'text/html']);
    expect(shown['text/plain']).toBe(inspect(numbers(30)));
    expect(shown['text/html']).toBe(numbers(30).toHTML());
  });
});

describe('the command line', () => {
  test('shows the same cells, with durations for people', () => {
    const columns = ['started_at', 'duration_ms', 'note\u001b[2J'].map((name) => ({ name, type: 'VARCHAR' }));
    const rendered = renderTable({ columns, values: [[new Date(0)], [61_000], ['\u001b[2J']], rowCount: 1 });
    expect(rendered).toContain('│ 1970-01-01T00:00:00Z │    1m 1s │ \\x1b[2J     │');
    expect(rendered).not.toContain('\u001b');
  });
});

describe('console.log of what has not run yet', () => {
  const storage = new MemoryStorage();

  test('shows the statement of a SELECT, with what it binds', () => {
    const run = 'brave\u001b[31m';
    const query = storage.sql`
      SELECT count(*) AS n FROM scopes
        WHERE run = ${run} AND duration_ms > ${0.5}`;
    expect(inspect(query)).toBe(
      [
        'SqlQuery, not run yet: await it, or iterate it',
        'SELECT count(*) AS n FROM scopes',
        '        WHERE run = $1 AND duration_ms > $2',
        "$1 = 'brave\\x1B[31m'",
        '$2 = 0.5',
      ].join('\n'),
    );
    expect(inspect({ a: { b: { query } } })).toContain('[SqlQuery]');
  });

  test('shows the SQL of a search, and values as far as they help', () => {
    const query = storage.search('flow.train.*', { runs: 'all' });
    const lines = inspect(query).split('\n');
    expect(lines[0]).toBe('Query, not run yet: await it, or iterate it');
    expect(inspect(query)).toContain(query.toSQL().text);
    expect(inspect(query)).toContain("= 'train'");
    expect(inspect(storage.sql`SELECT ${'x'.repeat(10_000)} AS long`).length).toBeLessThan(400);
  });

  test('does no more than that: a statement with controls or of a million characters is harmless', () => {
    const text = `SELECT '\u001b[2J' -- ${'x'.repeat(1_000_000)}`;
    const shown = inspect(storage.sql(Object.assign([text], { raw: [text] })));
    expect(shown).not.toContain('\u001b');
    expect(shown).toMatch(/… 996,\d{3} more characters$/);
  });
});

describe('the tables that people get', () => {
  test('show themselves, and are kept as artifacts like any other', async () => {
    const storage = new MemoryStorage();
    const flow = new Flow('demo', storage).push(function train(flow) {
      flow.tag('loss', 0.25);
    });
    await flow
      .push(async function inspectAll(flow) {
        flow.keep('losses', await flow.sql`SELECT content, value FROM tags`.toArrow());
      })
      .execute();

    const bySql = await storage.sql`SELECT step, duration_ms, started_at FROM scopes`.toArrow();
    const bySearch = await storage.search('*').toArrow();
    for (const table of [bySql, bySearch]) {
      expect(table).toBeInstanceOf(Table);
      expect(inspect(table)).toMatch(/^2 rows × \d+ columns\n.*\bstep\b.*\n.*\butf8\b.*timestamp\[ms\]/);
      expect(captionOf(table.toHTML())).toMatch(/^2 rows × \d+ columns$/);
    }
    const kept = (await storage.search('*.inspectAll.*').first())?.recall<Table>('losses');
    expect(kept?.toArray().map(String)).toEqual(['{"content": "loss", "value": 0.25}']);
    await storage.close();
  });
});
