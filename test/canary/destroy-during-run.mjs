// Destroys a prepared statement while it runs.
import { DuckDBInstance } from '@duckdb/node-api';

const connection = await (await DuckDBInstance.create()).connect();
const prepared = await connection.prepare('SELECT sum(hash(i)) FROM range(200000000) t(i)');
const query = prepared.run();
prepared.destroySync();
await query;
console.log('survived');
