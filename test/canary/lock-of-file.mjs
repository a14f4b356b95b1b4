// Tells whether another process can open a database file.
import { DuckDBInstance } from '@duckdb/node-api';

await DuckDBInstance.create(process.argv[2]).then(
  () => console.log('opened'),
  () => console.log('locked'),
);
