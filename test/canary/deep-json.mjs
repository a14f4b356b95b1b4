// Hands deeply nested JSON to an expression of DuckDB's.
import { DuckDBInstance } from '@duckdb/node-api';

const connection = await (await DuckDBInstance.create()).connect();
await connection.run(`SET VARIABLE arrays = repeat('[', 200000) || repeat(']', 200000)`);
await connection.run(`SET VARIABLE objects = repeat('{"a":', 200000) || '1' || repeat('}', 200000)`);
const call = '{"class":"FUNCTION","type":"FUNCTION","function_name":"f","children":[';
await connection.run(
  `SET VARIABLE calls = replace(json_serialize_sql('SELECT f(1)')::VARCHAR, '"children":[{',
    '"children":[' || repeat('${call}', 50000) || repeat(']}', 50000) || ',{')`,
);
await connection.run(`SELECT length((${process.argv[2]})::VARCHAR)`);
console.log('survived');
