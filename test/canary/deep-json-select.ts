// Hands deeply nested JSON to each expression on the command line, through our select, and prints how that ends.
import { Database } from '../../src/duckdb.ts';
import type { MarqueError } from '../../src/error.ts';

const database = await Database.open();
const connection = await database.connect();
await connection.script(`
  SET VARIABLE arrays = repeat('[', 200000) || repeat(']', 200000);
  SET VARIABLE objects = repeat('{"a":', 200000) || '1' || repeat('}', 200000);
  SET VARIABLE flat = repeat('[', 1000) || repeat(']', 1000);`);
for (const expression of process.argv.slice(2)) {
  const text = expression.startsWith('FROM') ? expression : `SELECT length((${expression})::VARCHAR)`;
  const outcome = await connection.select({ text, values: [] }).then(
    () => 'answered',
    (error: MarqueError) => `${error.code} ${error.message}`,
  );
  console.log(outcome.split('\n')[0]?.slice(0, 150));
}
await database.close();
