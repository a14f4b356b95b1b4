// Leaves the process with a database open, in the way said on the command line.
import { recordBatch } from '../../src/batch.ts';
import { ListColumn, NumberColumn } from '../../src/columns.ts';
import { Database } from '../../src/duckdb.ts';

const database = await Database.open();
const connection = await database.connect();
await connection.run('CREATE TABLE numbers AS FROM range(1000)');
const { values } = await connection.run(`SELECT parse_filename(current_setting('temp_directory'))`);
console.log(`spills into ${String(values[0]?.[0])}`);
const way = process.argv[2];
if (way === 'scan') {
  const sid = new NumberColumn();
  for (let row = 0; row < 200_000; row++) sid.push(row);
  const text = new ListColumn<string>();
  for (let row = 0; row < 200_000; row++) text.push('a text that does not fit into twelve bytes');
  const tags = recordBatch('tags', { sid, flow: text, run: text, step: text, seq: sid, content: text, value: sid }, 200_000);
  const token = database.pin([{ id: { writer: 'w/1', number: 1 }, tables: { tags } }]);
  void connection.run(`SELECT sum(hash(t)) FROM batch($1, 'tags') t, range(50)`, [token]).catch(() => undefined);
} else if (way !== 'idle') void connection.run('SELECT sum(hash(i)) FROM range(100000000) t(i)').catch(() => undefined);
if (way === 'exit' || way === 'scan') setTimeout(() => process.exit(Number(process.argv[3] ?? 3)), 50);
if (way === 'throw') {
  setTimeout(() => {
    throw new Error('thrown on purpose');
  }, 50);
}
console.log('survived');
