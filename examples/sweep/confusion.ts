/** Counts of predictions: `confusion[actual][predicted]`, species by species. */
export type Confusion = readonly (readonly number[])[];

/** Counts pairs of actual and predicted indexes, both below `size`. */
export function confusionOf(pairs: Iterable<readonly [actual: number, predicted: number]>, size: number): Confusion {
  const counts = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  for (const [actual, predicted] of pairs) {
    const row = counts[actual] as number[];
    row[predicted] = (row[predicted] as number) + 1;
  }
  return counts;
}

/** The counts of several matrices of one size, added up. */
export function totalOf(confusions: readonly Confusion[]): Confusion {
  const [first = []] = confusions;
  return first.map((row, actual) => row.map((_, predicted) => sum(confusions.map((one) => one[actual]?.[predicted] ?? 0))));
}

/** The share of predictions that are right, between 0 and 1. */
export function accuracyOf(confusion: Confusion): number {
  const right = sum(confusion.map((row, species) => row[species] as number));
  return right / sum(confusion.map(sum));
}

/**
 * F1 averaged over the species, each counting the same: `2 right / (predicted + actual)`. A species that neither occurs nor
 * is predicted counts as 0.
 */
export function macroF1Of(confusion: Confusion): number {
  const scores = confusion.map((row, species) => {
    const predicted = sum(confusion.map((other) => other[species] as number));
    return (2 * (row[species] as number)) / Math.max(1, predicted + sum(row));
  });
  return sum(scores) / scores.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
