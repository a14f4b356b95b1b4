// Asks a connection for something after it was closed; which call is said on the command line.
import { DuckDBInstance } from '@duckdb/node-api';

const connection = await (await DuckDBInstance.create()).connect();
connection.closeSync();
if (process.argv[2] === 'getTableNames') connection.getTableNames('SELECT 1', false);
else connection.getClientContext();
console.log('survived');
