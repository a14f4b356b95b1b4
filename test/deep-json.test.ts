import { beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../src/duckdb.ts';
import { child } from './child.ts';

const crash = /^SQL_INVALID .* can crash the process where JSON is nested deeply/;
const unchecked = /^SQL_INVALID .* cannot be checked/;
const fails = /^SQL_INVALID (?:Conversion|Invalid Input) Error/;
const arrays = `getvariable('arrays')`;
const objects = `getvariable('objects')`;

/** Every function that takes JSON, with 200,000 levels of it; 1,000 where the answer grows with their square. */
const rows: [name: string, expression: string, outcome: RegExp | 'answered'][] = [
  ['->>', `${objects}::JSON ->> 'a'`, 'answered'],
  ['array_to_json', `array_to_json([${arrays}::JSON])`, 'answered'],
  ['from_json', `from_json('1', ${arrays})`, crash],
  ['from_json', `from_json(${arrays}, '["VARCHAR"]')`, 'answered'],
  ['from_json_strict', `from_json_strict('1', '${'['.repeat(201)}${']'.repeat(201)}')`, crash],
  ['from_json_strict', `from_json_strict(${arrays}, '{"a": "JSON"}')`, fails],
  ['json', `json(${arrays})`, 'answered'],
  ['json_array', `json_array(${arrays}::JSON)`, 'answered'],
  ['json_array_length', `json_array_length(${arrays})`, 'answered'],
  ['json_contains', `json_contains(${arrays}, '1')`, crash],
  ['json_deserialize_sql', `json_deserialize_sql(${arrays}::JSON)`, crash],
  ['json_each', `FROM json_each(${arrays})`, 'answered'],
  ['json_execute_serialized_sql', `FROM json_execute_serialized_sql(${arrays})`, unchecked],
  ['json_exists', `json_exists(${objects}, '$.a.a')`, 'answered'],
  ['json_extract', `json_extract(${objects}, '$' || repeat('.a', 200000))`, 'answered'],
  ['json_extract_path', `json_extract_path(${arrays}, '$[*]')`, 'answered'],
  ['json_extract_path_text', `json_extract_path_text(${objects}, '$.a')`, 'answered'],
  ['json_extract_string', `json_extract_string(${objects}, '$.a')`, 'answered'],
  ['json_group_array', `json_group_array(${arrays}::JSON)`, 'answered'],
  ['json_group_object', `json_group_object('a', ${objects}::JSON)`, 'answered'],
  ['json_group_structure', `json_group_structure(${arrays}::JSON)`, crash],
  ['json_keys', `json_keys(${objects})`, 'answered'],
  ['json_merge_patch', `json_merge_patch(${objects}, ${objects})`, crash],
  ['json_object', `json_object('a', ${objects}::JSON)`, 'answered'],
  ['json_pretty', `json_pretty(getvariable('flat'))`, 'answered'],
  ['json_quote', `json_quote(${arrays}::JSON)`, 'answered'],
  ['json_serialize_plan', `json_serialize_plan(${arrays})`, unchecked],
  ['json_serialize_sql', `json_serialize_sql(${arrays})`, 'answered'],
  ['json_structure', `json_structure(${arrays})`, crash],
  ['json_transform', `json_transform('1', ${objects})`, crash],
  ['json_transform', `json_transform(${objects}, '{"a": "JSON"}')`, 'answered'],
  ['json_transform_strict', `json_transform_strict('1', ${objects})`, crash],
  ['json_tree', `FROM json_tree(getvariable('flat'))`, 'answered'],
  ['json_type', `json_type(${arrays})`, 'answered'],
  ['json_valid', `json_valid(${arrays})`, 'answered'],
  ['json_value', `json_value(${objects}, '$.a')`, 'answered'],
  ['row_to_json', `row_to_json({a: ${objects}::JSON})`, 'answered'],
  ['to_json', `to_json(${objects}::JSON)`, 'answered'],
  ['CAST', `${arrays}::JSON::VARIANT`, crash],
  ['CAST', `CAST([${arrays}::JSON] AS "Variant"[])`, crash],
  ['CAST', `TRY_CAST({a: ${arrays}::JSON} AS STRUCT(a VARIANT))`, crash],
  ['CAST', `${arrays}::VARCHAR[][]`, 'answered'],
  ['CAST', `${arrays}::JSON::JSON[]`, 'answered'],
  ['CAST', `${objects}::JSON::STRUCT(a JSON)`, 'answered'],
  ['CAST', `${objects}::JSON::MAP(VARCHAR, JSON)`, 'answered'],
  ['CAST', `${arrays}::JSON::INTEGER[]`, fails],
];

describe('a SELECT over JSON of 200,000 levels', () => {
  let outcomes: readonly string[];
  beforeAll(async () => {
    const expressions = rows.map(([, expression]) => expression);
    outcomes = (await child('deep-json-select.ts', expressions, { timeout: 50_000 })).output.split('\n');
  });

  it.each(rows.map(([name, expression, outcome], row) => ({ row, outcome, title: `${name}: ${expression.slice(0, 80)}` })))(
    'ends with an answer or an error, not with the process: $title',
    ({ row, outcome }) => {
      expect(outcomes[row] ?? 'crashed').toMatch(outcome);
    },
  );

  it('is tried with every function that takes JSON: a new one in an upgrade must be, too', async () => {
    await using database = await Database.open();
    const text = `SELECT DISTINCT function_name AS name FROM duckdb_functions()
      WHERE (function_name LIKE '%json%' OR parameter_types::VARCHAR LIKE '%JSON%') AND function_name NOT LIKE 'read_%'
      ORDER BY name`;
    const names = (await (await database.connect()).run(text)).values[0] as string[];
    expect(names).toEqual([...new Set(rows.map(([name]) => name))].filter((name) => name !== 'CAST'));
  });
});
