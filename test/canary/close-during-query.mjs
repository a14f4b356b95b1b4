// Closes a connection and its instance while a query runs.
import { DuckDBInstance } from '@duckdb/node-api';

const instance = await DuckDBInstance.create();
const connection = await instance.connect();
const query = connection.run('SELECT sum(hash(i)) FROM range(200000000) t(i)');
await new Promise((resolve) => setTimeout(resolve, 50));
connection.closeSync();
instance.closeSync();
await query;
console.log('survived');
