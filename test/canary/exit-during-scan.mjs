// Exits while a query waits for a table function written in JavaScript.
import { BIGINT, DuckDBInstance, DuckDBTableFunction } from '@duckdb/node-api';

const connection = await (await DuckDBInstance.create()).connect();
let calls = 0;
connection.registerTableFunction(
  DuckDBTableFunction.create({
    name: 'rows',
    bindFunction: (info) => info.addResultColumn('i', BIGINT),
    initFunction: () => undefined,
    mainFunction: (_info, chunk) => {
      chunk.rowCount = 1;
      if (++calls === 10) process.exit(0);
    },
  }),
);
await connection.run('SELECT count(*) FROM rows()');
