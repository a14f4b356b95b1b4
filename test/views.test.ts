import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { beforeEach, describe, expect, test } from 'vitest';
import { sidOf } from '../src/sid.ts';
import { schemaSql, viewsSql } from '../src/sql.ts';

const views = ['scopes', 'tags', 'artifacts', 'logs', 'edges', 'runs', 'live_runs', 'live_tags', 'live_logs'];

let connection: DuckDBConnection;

beforeEach(async () => {
  connection = await (await DuckDBInstance.create(':memory:')).connect();
  await connection.run(schemaSql());
  await connection.run(viewsSql());
});

async function rows(sql: string): Promise<unknown> {
  return (await connection.runAndReadAll(sql)).getRowsJson();
}

const scope = sidOf(1, 7);
const missing = sidOf(1, 8);
const run = sidOf(1, 0);

async function insertScope(sid: number): Promise<void> {
  await connection.run(
    `INSERT INTO raw.scopes (sid, flow, run, step, path, attempt, status) VALUES (${sid}, 'f', 'a-b', 's', '0-12', 1, 'ok')`,
  );
}

describe('every view', () => {
  test.each(views)('%s has only types that every reader knows', async (view) => {
    const types = (await rows(`SELECT DISTINCT column_type FROM (DESCRIBE ${view})`)) as string[][];
    const known = [
      'BIGINT',
      'INTEGER',
      'DOUBLE',
      'VARCHAR',
      'BLOB',
      'TIMESTAMP_MS',
      'STRUCT("content" VARCHAR, "value" DOUBLE)[]',
    ];
    expect(types.flat().filter((type) => !known.includes(type))).toEqual([]);
  });

  test.each(views)('%s has only columns that can be named without quotes', async (view) => {
    const reserved = `SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'`;
    expect(await rows(`SELECT column_name FROM (DESCRIBE ${view}) WHERE column_name IN (${reserved})`)).toEqual([]);
  });

  test.each(views)('%s is empty over an empty store', async (view) => {
    expect(await rows(`SELECT count(*) FROM ${view}`)).toEqual([['0']]);
  });
});

describe('scopes', () => {
  test('have their text id first, and the parts of their key, also at the end of the range', async () => {
    await insertScope(sidOf(2 ** 21 - 1, 2 ** 32 - 1));
    expect(await rows('SELECT id, run_number, ordinal FROM scopes')).toEqual([['f.s.a-b.0-12', '2097151', '4294967295']]);
    expect((await connection.runAndReadAll('FROM scopes')).columnName(0)).toBe('id');
  });
});

describe('children', () => {
  const inserts = {
    tags: (sid: number) => `(sid, flow, run, seq, content) VALUES (${sid}, 'f', 'a-b', 0, 'x')`,
    artifacts: (sid: number) => `(sid, flow, run, seq, name) VALUES (${sid}, 'f', 'a-b', 0, 'x')`,
    logs: (sid: number) => `(sid, flow, run, seq, message) VALUES (${sid}, 'f', 'a-b', 0, 'x')`,
    edges: (sid: number) => `(sid, flow, run, kind) VALUES (${sid}, 'f', 'a-b', 'x')`,
  };

  test.each(Object.entries(inserts))('%s are shown for scopes that are there and for the run itself', async (view, insert) => {
    await insertScope(scope);
    for (const sid of [scope, missing, run]) await connection.run(`INSERT INTO raw.${view} ${insert(sid)}`);
    expect(await rows(`SELECT sid FROM ${view} ORDER BY sid`)).toEqual([[String(run)], [String(scope)]]);
  });

  test('of artifacts with one name the last is shown, of a scope and of a run', async () => {
    await insertScope(scope);
    for (const sid of [scope, run]) {
      await connection.run(`INSERT INTO raw.artifacts (sid, seq, name, text)
        VALUES (${sid}, 0, 'a', 'old'), (${sid}, 1, 'b', 'only'), (${sid}, 2, 'a', 'new')`);
    }
    const latest = [
      ['b', 'only'],
      ['a', 'new'],
    ];
    expect(await rows('SELECT name, text FROM artifacts ORDER BY sid, seq')).toEqual([...latest, ...latest]);
  });

  test('repeated tags stay a series', async () => {
    await insertScope(scope);
    await connection.run(
      `INSERT INTO raw.tags (sid, seq, content, value) VALUES (${scope}, 0, 'loss', 2), (${scope}, 1, 'loss', 1)`,
    );
    expect(await rows('SELECT list(value ORDER BY seq) FROM tags')).toEqual([[[2, 1]]]);
  });
});

describe('runs', () => {
  /** [name, events as [event, ms, details], state, started, ended and duration in ms] */
  const histories: readonly [
    string,
    readonly [string, number, string?][],
    string,
    number | null,
    number | null,
    number | null,
  ][] = [
    ['running', [['started', 10]], 'running', 10, null, null],
    [
      'finished',
      [
        ['started', 10],
        ['ended', 30, '{"state":"finished","durationMs":19.5}'],
      ],
      'finished',
      10,
      30,
      19.5,
    ],
    [
      'failed',
      [
        ['started', 10],
        ['ended', 30, '{"state":"failed","durationMs":19.5}'],
      ],
      'failed',
      10,
      30,
      19.5,
    ],
    [
      'aborted by itself',
      [
        ['started', 10],
        ['ended', 30, '{"state":"aborted","durationMs":2}'],
      ],
      'aborted',
      10,
      30,
      2,
    ],
    [
      'found dead',
      [
        ['started', 10],
        ['aborted', 30],
      ],
      'aborted',
      10,
      30,
      20,
    ],
    [
      'resumed',
      [
        ['started', 10],
        ['aborted', 30],
        ['resumed', 40],
      ],
      'running',
      10,
      null,
      null,
    ],
    [
      'resumed and ended',
      [
        ['started', 10],
        ['aborted', 30],
        ['resumed', 40],
        ['ended', 45, '{"state":"finished","durationMs":4.5}'],
      ],
      'finished',
      10,
      45,
      4.5,
    ],
    [
      'deleted',
      [
        ['started', 10],
        ['ended', 30, '{"state":"finished","durationMs":1}'],
        ['deleted', 99],
      ],
      'deleted',
      10,
      30,
      1,
    ],
    [
      'ended in the same millisecond',
      [
        ['ended', 10, '{"state":"failed","durationMs":0.25}'],
        ['started', 10],
      ],
      'failed',
      10,
      10,
      0.25,
    ],
    [
      'ended without details',
      [
        ['started', 10],
        ['ended', 30],
      ],
      'finished',
      10,
      30,
      20,
    ],
    [
      'with damaged details',
      [
        ['started', 10, '{'],
        ['ended', 30, 'x'],
      ],
      'finished',
      10,
      30,
      20,
    ],
    ['of which only the end is known', [['ended', 30, '{"state":"finished","durationMs":5}']], 'finished', null, 30, 5],
  ];

  test.each(histories)('a run %s', async (_name, events, state, startedAt, endedAt, durationMs) => {
    for (const [event, at, details] of events) {
      const json = details === undefined ? 'NULL' : `'${details}'`;
      await connection.run(`INSERT INTO raw.runs VALUES (1, 'u', 'a-b', 'f', '${event}', epoch_ms(${at}), ${json})`);
    }
    const folded = await rows(
      'SELECT run_number, uuid, slug, flow, state, epoch_ms(started_at), epoch_ms(ended_at), duration_ms FROM runs',
    );
    const text = (ms: number | null) => (ms === null ? null : String(ms));
    expect(folded).toEqual([['1', 'u', 'a-b', 'f', state, text(startedAt), text(endedAt), durationMs]]);
  });

  test('show what they were started with and how they ended', async () => {
    await connection.run(`INSERT INTO raw.runs VALUES (1, 'u', 'a-b', 'f', 'started', epoch_ms(1), '{"seed":1}'),
      (1, 'u', 'a-b', 'f', 'ended', epoch_ms(2), '{"state":"failed","error":"boom"}')`);
    expect(await rows(`SELECT start_details->>'$.seed', end_details->>'$.error' FROM runs`)).toEqual([['1', 'boom']]);
  });

  test('count their scopes and errors, and hold their own tags in order', async () => {
    await connection.run(`INSERT INTO raw.runs SELECT range, 'u', 'a-b', 'f', 'started', epoch_ms(1), NULL FROM range(1, 3)`);
    for (const [ordinal, status] of ['ok', 'error', 'retried', 'error'].entries()) {
      await connection.run(`INSERT INTO raw.scopes (sid, status) VALUES (${sidOf(1, ordinal + 1)}, '${status}')`);
    }
    await connection.run(`INSERT INTO raw.tags (sid, seq, content, value)
      VALUES (${run}, 1, 'late', 0.5), (${run}, 0, 'early', NULL), (${scope}, 0, 'of a scope', NULL)`);
    const tags = [
      { content: 'early', value: null },
      { content: 'late', value: 0.5 },
    ];
    expect(await rows('SELECT run_number, scopes, errors, tags FROM runs ORDER BY run_number')).toEqual([
      ['1', '4', '2', tags],
      ['2', '0', '0', []],
    ]);
  });
});

describe('what is still running', () => {
  async function event(run: number, name: string, at: string): Promise<void> {
    await connection.run(
      `INSERT INTO raw.runs VALUES (${run}, 'u${run}', 'slug-${run}', 'f', '${name}', TIMESTAMP '${at}', NULL)`,
    );
  }

  test('is in live_tags and live_logs until its scope or its run has ended, and the rows of runs themselves never are', async () => {
    for (const number of [1, 2]) {
      await event(number, 'started', '2026-01-01 00:00:00');
      for (const ordinal of [0, 7, 8]) {
        const place = `(sid, flow, run, step, seq, content) VALUES (${sidOf(number, ordinal)}, 'f', 'slug-${number}', 's', 0, 'x')`;
        await connection.run(`INSERT INTO raw.tags ${place}`);
        await connection.run(`INSERT INTO raw.logs ${place.replace('content', 'message')}`);
      }
    }
    await insertScope(sidOf(1, 7));
    const running = [sidOf(1, 8), sidOf(2, 7), sidOf(2, 8)].map((sid) => [String(sid)]);
    for (const view of ['live_tags', 'live_logs']) expect(await rows(`SELECT sid FROM ${view} ORDER BY sid`)).toEqual(running);
    await event(2, 'aborted', '2026-01-01 00:00:01');
    for (const view of ['live_tags', 'live_logs'])
      expect(await rows(`SELECT sid FROM ${view} ORDER BY sid`)).toEqual(running.slice(0, 1));
  });

  test('is unknown where the reader says that nobody has heard of it, and only if it has not ended', async () => {
    await event(1, 'started', '2026-01-01 00:00:00');
    await event(2, 'started', '2026-01-01 00:00:00');
    await event(2, 'aborted', '2026-01-01 00:00:09');
    const states = 'SELECT state FROM runs ORDER BY run_number';
    expect(await rows(states)).toEqual([['running'], ['aborted']]);
    await connection.run('SET VARIABLE lapsed_runs = [1::BIGINT, 2]');
    expect(await rows(states)).toEqual([['unknown'], ['aborted']]);
    await connection.run('SET VARIABLE lapsed_runs = []::BIGINT[]');
    expect(await rows(states)).toEqual([['running'], ['aborted']]);
  });
});
