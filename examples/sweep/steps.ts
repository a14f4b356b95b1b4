import { Random, step, type StepFlow } from 'marque';
import { Classifier } from './classifier.ts';
import { accuracyOf, macroF1Of, totalOf } from './confusion.ts';
import { crossValidate } from './cross-validate.ts';
import { drawFolds, type Folds } from './folds.ts';
import { Grid } from './grid.ts';
import { flowers } from './iris.ts';
import { formatLeaderboard, leaderboard } from './leaderboard.ts';

/**
 * Deals the flowers into five folds and tries every cell of the grid on them. All cells meet the same folds, so they are
 * compared like with like; `random` belongs to this scope alone, so neither order nor concurrency changes what it draws.
 */
export const split = step({ random: Random, grid: Grid }, function split(flow, { random, grid }) {
  flow.keep('folds', drawFolds(flowers, 5, random));
  for (const cell of grid.cells) flow.push(evaluate, { ...cell }, { scope: flow.scope });
});

/** Cross-validates one cell of the grid on the folds of the split it was pushed for. */
export const evaluate = step({ neighbours: Number, petals: Number, widths: Number }, function evaluate(flow, cell) {
  const confusions = crossValidate(flowers, flow.recall<Folds>('folds'), cell);
  for (const confusion of confusions) flow.tag('accuracy', accuracyOf(confusion)); // a series, one value a fold
  const total = totalOf(confusions);
  flow.tag('mean accuracy', accuracyOf(total));
  flow.tag('macro F1', macroF1Of(total));
  flow.keep('confusion', total);
  flow.keep('model', Classifier.fit(flowers, cell).toJSON());
});

/** Finds the best cell so far and tries a finer grid around it, on the very same splits. */
export const refine = step({ grid: Grid }, async function refine(flow, { grid }) {
  const [best] = await leaderboard(flow, flow.run, 1);
  if (best === undefined) throw new Error('there is no evaluation to refine');
  const finer = Grid.around(best).without(grid);
  flow.tag('cells around the best', finer.cells.length);
  for await (const scope of flow.search(split, { order: 'oldest' })) {
    for (const cell of finer.cells) flow.push(evaluate, { ...cell }, { scope });
  }
});

/** Sums the run up: the leaderboard as an artifact and a log, the best mean as a tag, and where that best was reached. */
export async function report(flow: StepFlow): Promise<void> {
  const standings = await leaderboard(flow, flow.run, 10);
  flow.keep('report', standings);
  flow.log(formatLeaderboard(standings));
  const best = standings[0]?.mean ?? 0;
  flow.tag('best mean accuracy', best);
  const reached = flow.search(evaluate, { where: (tag) => tag.content === 'mean accuracy' && (tag.value ?? 0) >= best });
  flow.tag('evaluations at or above it', await reached.count());
}
