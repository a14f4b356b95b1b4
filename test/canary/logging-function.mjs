// A SELECT that turns logging to a file on, in a locked database.
import { DuckDBInstance } from '@duckdb/node-api';

const connection = await (await DuckDBInstance.create()).connect();
await connection.run('SET enable_external_access = false');
await connection.run('SET lock_configuration = true');
await connection.run(`FROM enable_logging(storage := 'file', storage_path := '/nowhere')`);
await connection.run('SELECT 42').catch(() => undefined);
console.log('survived');
