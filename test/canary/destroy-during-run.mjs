// Destroys prepared statements while they run.
import { DuckDBInstance } from '@duckdb/node-api';

const instance = await DuckDBInstance.create();
for (let round = 0; round < 100; round++) {
  const connection = await instance.connect();
  const prepared = await connection.prepare('SELECT sum(hash(i)) FROM range(300000) t(i)');
  const query = prepared.run();
  if (round % 4 > 0) await new Promise((resolve) => setTimeout(resolve, round % 4));
  prepared.destroySync();
  await query;
  connection.closeSync();
}
console.log('survived');
