// Hands deeply nested JSON to a function of DuckDB's.
import { DuckDBInstance } from '@duckdb/node-api';

const connection = await (await DuckDBInstance.create()).connect();
await connection.run(`SELECT json_structure(repeat('[', 100000) || repeat(']', 100000))`);
console.log('survived');
