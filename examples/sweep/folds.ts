import type { Random } from 'marque';
import type { Flower } from './iris.ts';

/** Which fold each flower is tested in: one number from 0 a flower. */
export type Folds = readonly number[];

/** Deals the flowers into folds at random, so that each species is spread over them as evenly as it can be. */
export function drawFolds(flowers: readonly Flower[], count: number, random: Random): Folds {
  const folds = new Array<number>(flowers.length);
  const species = new Set(flowers.map((flower) => flower.species));
  let dealt = 0; // goes on from species to species: the folds' sizes differ by one at most, too
  for (const each of species) {
    const rows = flowers.flatMap((flower, row) => (flower.species === each ? [row] : []));
    for (const row of random.shuffle(rows)) folds[row] = dealt++ % count;
  }
  return folds;
}
