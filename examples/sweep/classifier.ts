import KNN, { type KnnModel } from 'ml-knn';
import type { Hyperparameters } from './hyperparameters.ts';
import type { Flower } from './iris.ts';

/** A fitted classifier as plain data: what a scope keeps, and all that `Classifier.restore` needs. */
export interface Model {
  readonly centres: readonly number[];
  readonly factors: readonly number[];
  readonly knn: KnnModel;
}

/** Nearest neighbours over standardised, weighted measures. What it knows of scale it learns from the flowers it is fitted on. */
export class Classifier {
  readonly #centres: readonly number[];
  readonly #factors: readonly number[];
  readonly #knn: KNN;

  private constructor(centres: readonly number[], factors: readonly number[], knn: KNN) {
    this.#centres = centres;
    this.#factors = factors;
    this.#knn = knn;
  }

  static fit(flowers: readonly Flower[], { neighbours, petals, widths }: Hyperparameters): Classifier {
    const columns = [0, 1, 2, 3].map((column) => flowers.map((flower) => flower.measures[column] as number));
    const weights = [1, widths, petals, petals * widths];
    const centres = columns.map(mean);
    const factors = columns.map((column, index) => (weights[index] as number) / deviation(column));
    const points = flowers.map((flower) => place(flower, centres, factors));
    const labels = flowers.map((flower) => flower.species);
    return new Classifier(centres, factors, new KNN(points, labels, { k: neighbours }));
  }

  static restore({ centres, factors, knn }: Model): Classifier {
    return new Classifier(centres, factors, KNN.load(knn));
  }

  /** The species index of each flower; whatever species the flowers carry is not looked at. */
  predict(flowers: readonly Flower[]): number[] {
    return this.#knn.predict(flowers.map((flower) => place(flower, this.#centres, this.#factors)));
  }

  toJSON(): Model {
    // ml-knn's toJSON leaves instances inside; a round trip through JSON leaves plain data.
    const knn = JSON.parse(JSON.stringify(this.#knn)) as KnnModel;
    return { centres: this.#centres, factors: this.#factors, knn };
  }
}

function place(flower: Flower, centres: readonly number[], factors: readonly number[]): number[] {
  return flower.measures.map((measure, index) => (measure - (centres[index] as number)) * (factors[index] as number));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}
