import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Connection, Database } from '../src/duckdb.ts';
import type { Statement } from '../src/store.ts';

let database: Database;
let connection: Connection;
beforeEach(async () => {
  database = await Database.open();
  connection = await database.connect();
  await connection.script(`CREATE SEQUENCE entered; CREATE VIEW seen AS SELECT getvariable('state') AS state`);
});
afterEach(() => database.close());

/** A state that counts how often it is entered. */
function stateOf(...values: readonly string[]): readonly Statement[] {
  return [{ text: `SET VARIABLE state = {'values': $1::VARCHAR[], 'entry': nextval('entered')}`, values: [values] }];
}

const question: Statement = { text: 'SELECT state.values, state.entry FROM seen', values: [] };

async function seenIn(state: readonly Statement[]): Promise<unknown[]> {
  const { values } = await connection.exclusive((run) => run(question.text), undefined, state);
  return values.map(([value]) => value);
}

test('queries of one state one after another enter it once, whoever asks', async () => {
  expect(await seenIn(stateOf('a', 'b'))).toEqual([['a', 'b'], 1]);
  expect(await seenIn(stateOf('a', 'b'))).toEqual([['a', 'b'], 1]);
  expect((await connection.select(question, stateOf('a', 'b'))).values).toEqual([[['a', 'b']], [1]]);
  expect((await connection.columns(question, stateOf('a', 'b'))).rowCount).toBe(1);
  expect(await seenIn(stateOf('a', 'b'))).toEqual([['a', 'b'], 1]);
});

test('a query of another state enters its own, also back again', async () => {
  expect(await seenIn(stateOf('a'))).toEqual([['a'], 1]);
  expect(await seenIn(stateOf('b'))).toEqual([['b'], 2]);
  expect(await seenIn(stateOf('b', 'b'))).toEqual([['b', 'b'], 3]);
  expect(await seenIn(stateOf('a'))).toEqual([['a'], 4]);
});

test('what has set something in between makes the next query enter its state again', async () => {
  expect(await seenIn(stateOf('a'))).toEqual([['a'], 1]);
  await connection.run(`SET VARIABLE state = NULL`);
  expect(await seenIn(stateOf('a'))).toEqual([['a'], 2]);
  await connection.script(`SET VARIABLE state = NULL`);
  expect(await seenIn(stateOf('a'))).toEqual([['a'], 3]);
  await connection.exclusive((run) => run(`SET VARIABLE state = NULL`), undefined, stateOf('a'));
  expect(await seenIn(stateOf('a'))).toEqual([['a'], 4]);
});

test('a state that could be entered only in part does not count as entered', async () => {
  const [first] = stateOf('a') as [Statement];
  const failing = { text: `SELECT error('no')`, values: [] };
  await expect(seenIn([first, failing])).rejects.toThrow('no');
  await expect(seenIn([first, failing])).rejects.toThrow('no');
  expect(await seenIn([first])).toEqual([['a'], 3]);
});

test('a view that was made anew is read as it is, also where the state has stayed', async () => {
  expect(await seenIn(stateOf('a'))).toEqual([['a'], 1]);
  const other = await database.connect();
  await other.run(`CREATE OR REPLACE VIEW seen AS SELECT {'values': ['new'], 'entry': 0} AS state`);
  expect(await seenIn(stateOf('a'))).toEqual([['new'], 0]);
});
