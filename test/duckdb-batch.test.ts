import { RecordBatch, Schema } from 'apache-arrow';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordBatch } from '../src/batch.ts';
import { ListColumn, NumberColumn } from '../src/columns.ts';
import { type Connection, Database } from '../src/duckdb.ts';
import { columnsOf, type ColumnType, type Row, tableNames, type TableName } from '../src/schema.ts';
import type { Batch } from '../src/store.ts';

let database: Database;
let connection: Connection;
beforeAll(async () => {
  database = await Database.open();
  connection = await database.connect();
});
afterAll(() => database.close());

function batchOf<T extends TableName>(table: T, rows: readonly Partial<Row<T>>[], number = 1): Batch {
  const columns = Object.fromEntries(
    columnsOf(table).map(([name, type]) => {
      const isList = type === 'text' || type === 'bytes';
      const column = isList ? new ListColumn<string>() : new NumberColumn();
      for (const row of rows) (column as { push(value: unknown): void }).push((row as Record<string, unknown>)[name] ?? null);
      return [name, column];
    }),
  );
  return { id: { writer: 'w/1', number }, tables: { [table]: recordBatch(table, columns, rows.length) } };
}

async function read(batches: readonly Batch[], table: TableName): Promise<Record<string, unknown>[]> {
  const token = database.pin(batches);
  try {
    const { columns, values, rowCount } = await connection.run('SELECT * FROM batch($1, $2)', [token, table]);
    return Array.from({ length: rowCount }, (_, row) =>
      Object.fromEntries(columns.map(({ name }, column) => [name, values[column]?.[row]])),
    );
  } finally {
    database.unpin(token);
  }
}

const cells: Readonly<Record<ColumnType, fc.Arbitrary<unknown>>> = {
  bigint: fc.maxSafeInteger(),
  integer: fc.integer(),
  double: fc.double(),
  text: fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('', '\uFEFF', 'a\0b', 'twelve bytes', 'thirteen byte', '\u{10FFFF}'),
  ),
  bytes: fc.uint8Array({ maxLength: 30 }),
  timestamp: fc.integer({ min: -8.64e15, max: 8.64e15 }),
};

describe('batch() gives SQL the rows of record batches', () => {
  it.each(tableNames)('exactly as they are: any rows of %s', async (table) => {
    const row = fc.record(Object.fromEntries(columnsOf(table).map(([name, type]) => [name, fc.option(cells[type])])));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(row, { maxLength: 20 }), { maxLength: 3 }), async (batches) => {
        const found = await read(
          batches.map((rows, index) => batchOf(table, rows as Partial<Row<typeof table>>[], index + 1)),
          table,
        );
        const types = Object.fromEntries(columnsOf(table));
        const plain = found.map((each) =>
          Object.fromEntries(
            Object.entries(each).map(([name, value]) => [
              name,
              types[name] === 'timestamp' && value instanceof Date ? value.getTime() : value,
            ]),
          ),
        );
        expect(plain).toEqual(batches.flat());
      }),
      { numRuns: 30 },
    );
  });

  it('past the 2,048 rows that DuckDB takes at once, with nulls in some chunks only', async () => {
    const rows = Array.from({ length: 10_000 }, (_, row) => ({
      sid: row * 2 ** 32 + row,
      content: row % 3 === 0 ? null : `content number ${row}`,
      value: row > 4_000 && row < 6_000 ? null : row / 7,
    }));
    const found = await read(
      [batchOf('tags', rows.slice(0, 4_096), 1), batchOf('tags', [], 2), batchOf('tags', rows.slice(4_096), 3)],
      'tags',
    );
    expect(found.map(({ sid, content, value }) => ({ sid, content, value }))).toEqual(rows);
  });

  it('with a megabyte in one text and in one value of bytes', async () => {
    const text = '\u{1F600}x'.repeat(200_000);
    const bytes = Uint8Array.from({ length: 1_000_000 }, (_, index) => index);
    const [row] = await read([batchOf('artifacts', [{ text, bytes }])], 'artifacts');
    expect(row?.text === text).toBe(true);
    expect(Buffer.compare(row?.bytes as Uint8Array, bytes)).toBe(0);
  });

  it('and only the columns that are asked for, in any order, or none', async () => {
    const token = database.pin([batchOf('logs', [{ sid: 7, message: 'm', level: 'info', logged_at: 5 }])]);
    expect((await connection.run(`SELECT message, sid, logged_at FROM batch($1, 'logs')`, [token])).values).toEqual([
      ['m'],
      [7],
      [new Date(5)],
    ]);
    expect((await connection.run(`SELECT count(*) FROM batch($1, 'logs')`, [token])).values).toEqual([[1]]);
    database.unpin(token);
  });

  it('while several connections scan the same batches at once', async () => {
    const rows = Array.from({ length: 20_000 }, (_, row) => ({ sid: row, value: 1 }));
    const token = database.pin([batchOf('tags', rows), batchOf('tags', rows, 2)]);
    const connections = await Promise.all([database.connect(), database.connect(), database.connect()]);
    const text = `SELECT sum(a.value), count(DISTINCT b.sid) FROM batch($1, 'tags') a JOIN batch($1, 'tags') b USING (sid)`;
    const results = await Promise.all(connections.map((each) => each.run(text, [token])));
    expect(results.map(({ values }) => values)).toEqual(Array.from({ length: 3 }, () => [[80_000], [20_000]]));
    await Promise.all(connections.map((each) => each.close()));
    database.unpin(token);
  });

  it('which a transaction writes whole or not at all, while another connection reads', async () => {
    await connection.run('CREATE TABLE written (sid BIGINT, number INTEGER)');
    const [writer, reader] = [await database.connect(), await database.connect()];
    const counts: unknown[] = [];
    const reading = (async () => {
      for (let round = 0; round < 200; round++)
        counts.push((await reader.run('SELECT count(*) % 3000 FROM written')).values[0]?.[0]);
    })();
    for (let number = 1; number <= 40; number++) {
      const token = database.pin([
        batchOf(
          'tags',
          Array.from({ length: 3_000 }, (_, sid) => ({ sid })),
          number,
        ),
      ]);
      const write = writer.transaction(async (run) => {
        await run(`INSERT INTO written SELECT sid, $2::INTEGER FROM batch($1, 'tags')`, [token, number]);
        if (number % 4 === 0) throw new Error('given up');
      });
      await write.catch(() => undefined);
      database.unpin(token);
    }
    await reading;
    expect(new Set(counts)).toEqual(new Set([0]));
    const { values } = await connection.run('SELECT count(*), count(DISTINCT number), count(DISTINCT sid) FROM written');
    expect(values).toEqual([[90_000], [30], [3_000]]);
    await Promise.all([writer.close(), reader.close()]);
  });

  it('also when they are unpinned as soon as the query has begun', async () => {
    const whole = batchOf(
      'tags',
      Array.from({ length: 100_000 }, (_, sid) => ({ sid })),
    );
    let begun = false;
    const watched = {
      id: whole.id,
      get tables() {
        if (begun) queueMicrotask(() => database.unpin(token));
        return whole.tables;
      },
    };
    const token = database.pin([watched]);
    begun = true;
    const { values } = await connection.run(`SELECT count(*), max(sid) FROM batch($1, 'tags'), range(5)`, [token]);
    expect(values).toEqual([[500_000], [99_999]]);
    await expect(connection.run(`FROM batch($1, 'tags')`, [token])).rejects.toThrow('nothing is pinned');
  });

  it('through a view over a variable, bound anew for every query', async () => {
    await connection.script(`CREATE TEMP VIEW unflushed AS FROM batch(getvariable('token'), 'edges')`);
    const counts: unknown[] = [];
    for (const sids of [[1, 2, 3], [], [4]]) {
      const token = database.pin([
        batchOf(
          'edges',
          sids.map((sid) => ({ sid })),
        ),
      ]);
      const before = [{ text: 'SET VARIABLE token = $1', values: [token] }];
      counts.push((await connection.select({ text: 'SELECT count(*) FROM unflushed', values: [] }, before)).values[0]?.[0]);
      database.unpin(token);
    }
    expect(counts).toEqual([3, 0, 1]);
  });

  it.each(tableNames)('and no rows, with the right columns, for a NULL token: %s', async (table) => {
    const names = {
      bigint: 'BIGINT',
      integer: 'INTEGER',
      double: 'DOUBLE',
      text: 'VARCHAR',
      bytes: 'BLOB',
      timestamp: 'TIMESTAMP_MS',
    };
    const { columns, rowCount } = await connection.run('SELECT * FROM batch(NULL, $1)', [table]);
    expect(rowCount).toBe(0);
    expect(columns).toEqual(columnsOf(table).map(([name, type]) => ({ name, type: names[type] })));
  });
});

describe('batch() turns what it cannot do into an error of the query', () => {
  it.each([
    ['an unknown table', `SELECT * FROM batch(NULL, 'nothing')`, 'no table "nothing"'],
    ['no table', 'SELECT * FROM batch(NULL, NULL)', 'no table null'],
    ['a name of every object', `SELECT * FROM batch(NULL, 'constructor')`, 'no table "constructor"'],
    ['a token that was never given', `SELECT * FROM batch(999999, 'tags')`, 'nothing is pinned under 999999'],
  ])('%s', async (_label, text, message) => {
    await expect(connection.run(text)).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringContaining(message),
    });
    expect((await connection.run('SELECT 1')).values).toEqual([[1]]);
  });

  it('a token that was unpinned', async () => {
    const token = database.pin([batchOf('tags', [{ sid: 1 }])]);
    database.unpin(token);
    await expect(connection.run(`FROM batch($1, 'tags')`, [token])).rejects.toThrow('nothing is pinned');
  });
});

describe('pin refuses a record batch whose memory DuckDB would misread', () => {
  const whole = batchOf(
    'tags',
    Array.from({ length: 20 }, (_, sid) => ({ sid, content: `tag ${sid}` })),
  );
  const tags = whole.tables.tags as RecordBatch;
  const renamed = new RecordBatch(new Schema(tags.schema.fields.toReversed()), tags.data);
  const broken = batchOf('tags', [{ sid: 1, content: 'valid' }]);
  const content = broken.tables.tags?.getChild('content')?.data[0]?.values as Uint8Array;
  content[0] = 0xff;
  const rows: [label: string, table: TableName, record: RecordBatch | undefined, fault: string][] = [
    ['a slice', 'tags', tags.slice(3), 'slice'],
    ['columns in another order', 'tags', renamed, 'missing'],
    ['the columns of another table', 'runs', tags, 'missing'],
    ['text that is not UTF-8', 'tags', broken.tables.tags, 'UTF-8'],
  ];
  it.each(rows)('%s', (_label, table, record, fault) => {
    const batch = { ...whole, tables: { [table]: record } };
    expect(() => database.pin([batch])).toThrow(
      expect.objectContaining({ code: 'VALUE_INVALID', message: expect.stringContaining(fault) }),
    );
  });
});
