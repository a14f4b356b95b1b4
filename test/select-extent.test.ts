import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../src/duckdb.ts';
import type { Connection } from '../src/connection.ts';
import { type Extent, runsBetween } from '../src/extent.ts';
import { type TableName, tableNames } from '../src/schema.ts';
import { extentOfSelect, narrowingColumns } from '../src/select-extent.ts';
import { schemaSql, views, viewsSql } from '../src/sql.ts';
import type { SqlValue } from '../src/store.ts';

let database: Database;
let connection: Connection;

beforeAll(async () => {
  database = await Database.open();
  connection = await database.connect();
});

afterAll(() => database.close());

async function serialized(text: string): Promise<string> {
  return (await connection.run('SELECT json_serialize_sql($1::VARCHAR)', [text])).values[0]?.[0] as string;
}

async function extentOf(text: string, ...values: readonly SqlValue[]): Promise<Extent> {
  return extentOfSelect(await serialized(text), values);
}

describe('what is behind a view', () => {
  test('are the tables and views that its definition names, in the order in which they are made', async () => {
    const made: string[] = [];
    for (const [name, view] of views()) {
      const body = view.text.replace(/^[^]*? AS\b/, '');
      const references = [...(await serialized(body)).matchAll(/"schema_name":"(\w*)","table_name":"(\w+)"/g)];
      const raw = references.flatMap(([, schema, table = '']) => (schema === 'raw' ? [table] : []));
      const below = references.flatMap(([, schema, table = '']) => (schema === '' && views().has(table) ? [table] : []));
      const all = new Set([...raw, ...below.flatMap((other) => [...(views().get(other)?.tables ?? [])])]);
      expect([...view.tables].sort(), name).toEqual(expect.arrayContaining([...all].sort()));
      expect([...view.views], name).toEqual(expect.arrayContaining(below));
      expect(made, name).toEqual(expect.arrayContaining([...view.views]));
      made.push(name);
    }
    expect(made).toHaveLength(viewsSql().split('CREATE OR REPLACE VIEW').length - 1);
  });
});

describe('the tables of a SELECT', () => {
  const rows: [string, readonly TableName[]][] = [
    ['SELECT 1', []],
    ['FROM scopes', ['scopes']],
    ['FROM "SCOPES" AS tags', ['scopes']],
    ['FROM memory.main.tags', ['runs', 'scopes', 'tags']], // runs, for deleted ones
    ['FROM raw.tags', ['tags']],
    ['FROM Raw.Runs', ['runs']],
    ['FROM runs', ['runs', 'scopes', 'tags']],
    ['FROM live_runs', ['runs']],
    ['FROM scopes AS s JOIN raw.logs AS l USING (sid)', ['logs', 'scopes']],
    ['SELECT (SELECT count(*) FROM raw.edges)', ['edges']],
    ['FROM range(3) WHERE EXISTS (FROM raw.edges)', ['edges']],
    ['WITH mine AS (FROM raw.tags) FROM mine', ['tags']],
    ['WITH tags AS (FROM raw.logs) FROM tags', ['logs', 'runs', 'scopes', 'tags']],
    ['FROM raw.logs UNION ALL FROM raw.logs', ['logs']],
    ['FROM (SUMMARIZE raw.edges)', ['edges']],
    ['FROM (PIVOT raw.edges ON kind IN (1))', ['edges']],
    [`FROM read_parquet('a.parquet')`, []],
    ['SELECT unnest([1]) FROM unnest([2])', []],
    ['FROM histogram(scopes, step)', tableNames], // a macro that reads the table named to it
    [`FROM query_table('scopes')`, tableNames],
    [`SELECT getvariable('snapshot')`, tableNames],
    [`SELECT GetVariable('a') FROM scopes`, tableNames],
    [`FROM 'a.parquet'`, tableNames],
    ['FROM information_schema.tables', tableNames],
    ['FROM batch(1, $1)', tableNames],
    ['WITH mine AS (SELECT 1) FROM other.mine', tableNames],
  ];
  test.for(rows)('%s', async ([text, tables]) => {
    const extent = await extentOf(text);
    expect([...extent.tables].sort()).toEqual([...tables].sort());
    if (tables === tableNames) expect([...extent.views]).toEqual([...views().keys()]);
  });
});

test('rows are left out only by columns that the view or table has', async () => {
  await connection.script(`CREATE SCHEMA raw; ${schemaSql()}; ${viewsSql()}`);
  for (const [name, columns] of narrowingColumns) {
    const { values } = await connection.run(`SELECT column_name FROM (DESCRIBE FROM ${name})`);
    expect(values[0], name).toEqual(expect.arrayContaining([...columns]));
  }
});

describe('of one view, WHERE', () => {
  const noon = new Date('2026-01-31T12:00:00Z');
  const flow = { column: 'flow', kind: 'equals', texts: ['f'] };
  const ofRun = { column: 'run', kind: 'equals', texts: ['a-b'] };
  const time = (from: Date | number, to: Date | number, column = 'started_at') => ({
    column,
    from: Number(from),
    to: Number(to),
  });
  const no = {};
  const rows: [string, readonly SqlValue[], object][] = [
    [`FROM scopes WHERE flow = 'f'`, [], { texts: [flow] }],
    ['FROM scopes WHERE flow = $1', ['f'], { texts: [flow] }],
    ['FROM scopes WHERE flow = ?', ['f'], { texts: [flow] }],
    ['FROM tags AS t WHERE $2 = T.FLOW AND ("run" = $1)', ['a-b', 'f'], { texts: [flow, ofRun] }],
    [`FROM artifacts WHERE artifacts.run IN ('a-b')`, [], { texts: [ofRun] }],
    [`FROM runs WHERE slug = 'a-b'`, [], { texts: [ofRun] }],
    [`FROM raw.runs WHERE slug = 'a-b'`, [], { texts: [ofRun] }],
    [`WITH mine AS (FROM scopes WHERE flow = 'f') SELECT count(*) FROM mine AS a, mine AS b`, [], { texts: [flow] }],
    [`FROM range(9) WHERE range = (SELECT count(*) FROM scopes WHERE flow = 'f')`, [], { texts: [flow] }],
    [
      `FROM scopes WHERE status IN ('ok', 'error')`,
      [],
      { texts: [{ column: 'status', kind: 'equals', texts: ['ok', 'error'] }] },
    ],
    ['FROM scopes WHERE run_number = 7', [], { sids: [runsBetween(7, 7)] }],
    ['FROM runs WHERE run_number = $1', [7], { sids: [runsBetween(7, 7)] }],
    ['FROM runs WHERE run_number IN (9, $1)', [7n], { sids: [runsBetween(7, 7), runsBetween(9, 9)] }],
    ['FROM scopes WHERE run_number = $1', [7.5], { sids: [] }],
    ['FROM scopes WHERE run_number > 7.0::DOUBLE AND sid < 5', [], { sids: [{ first: 0, last: 5 }] }],
    ['FROM logs WHERE sid BETWEEN 3 AND $1', [8], { sids: [{ first: 3, last: 8 }] }],
    ['FROM logs WHERE 3 <= sid AND 8 > sid AND sid > -5', [], { sids: [{ first: 3, last: 8 }] }],
    ['FROM scopes WHERE started_at >= $1', [noon], { times: [time(noon, Infinity)] }],
    [`FROM scopes WHERE started_at < '2026-01-31 12:00'`, [], { times: [time(-Infinity, noon)] }],
    [
      `FROM logs WHERE logged_at BETWEEN DATE '2026-01-31' AND $1`,
      [noon],
      { times: [time(Date.UTC(2026, 0, 31), noon, 'logged_at')] },
    ],
    [`FROM scopes WHERE flow = 'f' AND (step = 'a' OR step = 'b') AND params IS NULL`, [], { texts: [flow] }],

    [`FROM scopes WHERE flow = 'f' OR step = 's'`, [], no],
    [`FROM scopes WHERE NOT flow = 'f'`, [], no],
    [`FROM scopes WHERE flow <> 'f' AND sid <> 3`, [], no],
    ['FROM scopes WHERE flow = $1', [null], no],
    ['FROM scopes WHERE flow = 5 AND sid = $1', ['5'], no],
    [`FROM scopes WHERE flow = lower('F')`, [], no],
    [`FROM scopes WHERE flow = 'f' COLLATE NOCASE`, [], no],
    [`FROM scopes AS s(flow) WHERE flow = 'f'`, [], no], // that is the column id
    [`FROM scopes TABLESAMPLE 10 ROWS WHERE flow = 'f'`, [], no],
    [`FROM scopes WHERE flow = 'f' USING SAMPLE 10`, [], no],
    [`FROM scopes WHERE other.flow = 'f'`, [], no],
    [`FROM scopes AS s, scopes AS t WHERE s.flow = 'f'`, [], no],
    [`FROM scopes WHERE flow = 'f' UNION ALL FROM scopes`, [], no],
    [`FROM scopes AS s, range(3) AS r(flow) WHERE flow = 'f'`, [], no],
    [`FROM (FROM scopes) WHERE flow = 'f'`, [], no],
    [`FROM scopes GROUP BY ALL HAVING flow = 'f'`, [], no],
    [`FROM runs WHERE started_at > $1 AND run = 'a-b'`, [noon], no],
    [`FROM scopes WHERE started_at = '31.1.2026' AND started_at > DATE '2026-01-31 12:00'`, [], no],
    [`FROM scopes WHERE sid > $1 AND run_number < 1e3`, [NaN], no],

    // Names of something else than a column of the view
    ['SELECT seq AS run_number FROM tags WHERE run_number = 1', [], no],
    ['SELECT run_number AS sid FROM runs WHERE sid = 2', [], no],
    [`SELECT kind AS step FROM edges WHERE step = 'pushed'`, [], no],
    ['SELECT target_sid AS sid FROM edges WHERE sid = 3', [], no],
    [`SELECT 'f' AS "FLOW" FROM scopes WHERE flow = 'f'`, [], no],
    [`FROM scopes AS flow WHERE flow = 'f'`, [], no],
    ['FROM raw.scopes WHERE run_number = 1', [], no],
    [`FROM live_runs WHERE run = 'a-b'`, [], no],
    ['FROM range(3) AS r(run_number) WHERE EXISTS (FROM tags WHERE run_number = 1)', [], no],
    ['FROM range(3) AS r(sid), LATERAL (FROM tags WHERE sid = 1)', [], no],
    ['WITH v(sid) AS (SELECT 1) SELECT (SELECT count(*) FROM tags WHERE sid = 1) FROM v', [], no],
    ['WITH scopes AS (SELECT 1 AS sid) FROM scopes WHERE sid = 1', [], no],
  ];
  test.for(rows)('%s with %o', async ([text, values, parts]) => {
    const { tables: _tables, views: _views, ...predicates } = await extentOf(text, ...values);
    expect(predicates).toEqual({ sids: null, texts: [], times: [], ...parts });
  });
});
