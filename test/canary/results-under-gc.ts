// Reads long strings through the wrapper while everything unreferenced is collected. Needs --expose-gc.
import { Database } from '../../src/duckdb.ts';

const { gc: collect } = globalThis as unknown as { readonly gc: () => void };
const timer = setInterval(collect, 1);
await using database = await Database.open();
let wrong = 0;
for (let round = 0; round < 3; round++) {
  const connections = await Promise.all([database.connect(), database.connect()]);
  const text = `
    SELECT 'a text that does not fit into twelve bytes ' || i, [i::VARCHAR || ' is one of the longer texts too']
    FROM range(20000) t(i)`;
  for (const { values } of await Promise.all(connections.map((connection) => connection.run(text)))) {
    values[0]?.forEach((value, row) => (wrong += value === `a text that does not fit into twelve bytes ${row}` ? 0 : 1));
    values[1]?.forEach((value, row) => (wrong += (value as string[])[0] === `${row} is one of the longer texts too` ? 0 : 1));
  }
}
clearInterval(timer);
console.log(wrong === 0 ? 'survived' : `${wrong} wrong`);
