/**
 * A sweep over nearest-neighbour classifiers of irises: some 1,600 evaluations in about ten seconds, kept as Parquet in the folder
 * `history` (or where MARQUE_STORE says). Running it again adds another run; Ctrl-C keeps what has finished.
 */
import { ParquetStorage } from 'marque';
import { formatLeaderboard, leaderboard } from './sweep/leaderboard.ts';
import { nextLines } from './sweep/next-lines.ts';
import { sweep } from './sweep/sweep.ts';

const folder = process.env['MARQUE_STORE'] || 'history';
await using storage = new ParquetStorage(folder);
const flow = sweep(storage, { progress: true });
await flow.execute();

const scopes = await flow.scopes.count();
const errors = await flow.errors.count();
if (errors > 0) process.exitCode = 1;

console.log(`
Run ${flow.run} put ${scopes} scopes into ${folder}, ${errors} of them errors. Its best, over five splits of the flowers:

${formatLeaderboard(await leaderboard(storage, flow.run, 10))}

To look further, type

  ${nextLines(folder).join('\n  ')}
`);
