// Keeps a vector, lets its chunk be collected, and then reads long strings. Needs --expose-gc.
import { DuckDBInstance } from '@duckdb/node-api';

const connection = await (await DuckDBInstance.create()).connect();
let wrong = 0;
for (let round = 0; round < 6; round++) {
  const vectors = await (async () => {
    const result = await connection.run(`SELECT 'a text that does not fit into twelve bytes ' || i FROM range(20000) t(i)`);
    const found = [];
    for (let chunk = await result.fetchChunk(); chunk?.rowCount > 0; chunk = await result.fetchChunk())
      found.push(chunk.getColumnVector(0));
    return found;
  })();
  for (let i = 0; i < 5; i++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await connection.run(`SELECT 'other texts that take over the memory of old' || i FROM range(50000) t(i)`);
  let row = 0;
  for (const vector of vectors) {
    for (let index = 0; index < vector.itemCount; index++, row++) {
      if (vector.getItem(index) !== `a text that does not fit into twelve bytes ${row}`) wrong++;
    }
  }
}
console.log(wrong === 0 ? 'survived' : `${wrong} wrong`);
