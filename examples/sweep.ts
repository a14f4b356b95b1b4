/**
 * A sweep over nearest-neighbour classifiers of irises: some 1,600 evaluations in a few seconds, kept as Parquet in the folder
 * `history` (or where MARQUE_STORE says). Running it again adds another run.
 */
import { ParquetStorage } from 'marque';
import { formatLeaderboard, leaderboard } from './sweep/leaderboard.ts';
import { sweep } from './sweep/sweep.ts';

const folder = process.env['MARQUE_STORE'] || 'history';
await using storage = new ParquetStorage(folder);
const flow = sweep(storage, { progress: true });
await flow.execute();

const errors = await flow.errors;
if (errors.length > 0) process.exitCode = 1;
const standings = await leaderboard(storage, flow.run, 10);
const store = folder === 'history' ? '' : `MARQUE_STORE=${JSON.stringify(folder)} `;

console.log(`
Run ${flow.run}: ${(await flow.scopes).length} scopes, ${errors.length} errors, kept in ${folder}. Its best over five splits into folds:

${formatLeaderboard(standings)}

Three lines to type next:

  ${store}npx marque runs
  ${store}npx marque search 'iris.report.*'
  ${store}npx marque sql "SELECT run, max(value) AS best FROM tags WHERE content = 'mean accuracy' GROUP BY run ORDER BY run"
`);
