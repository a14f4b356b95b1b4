import { Classifier } from './classifier.ts';
import { confusionOf, type Confusion } from './confusion.ts';
import type { Folds } from './folds.ts';
import type { Hyperparameters } from './hyperparameters.ts';
import { speciesNames, type Flower } from './iris.ts';

/** Tests each fold with a classifier fitted on the others: one confusion matrix a fold, in order. */
export function crossValidate(flowers: readonly Flower[], folds: Folds, hyperparameters: Hyperparameters): Confusion[] {
  const count = Math.max(...folds) + 1;
  return Array.from({ length: count }, (_, fold) => {
    const fitted = flowers.filter((_, row) => folds[row] !== fold);
    const tested = flowers.filter((_, row) => folds[row] === fold);
    const predicted = Classifier.fit(fitted, hyperparameters).predict(tested);
    const pairs = tested.map((flower, row) => [flower.species, predicted[row] as number] as const);
    return confusionOf(pairs, speciesNames.length);
  });
}
