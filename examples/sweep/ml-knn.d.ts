/** The part of ml-knn (which ships no types) that the sweep uses. */
declare module 'ml-knn' {
  /** A fitted model as ml-knn exports it: plain JSON. */
  export interface KnnModel {
    readonly name: 'KNN';
    readonly k: number;
    readonly classes: readonly number[];
    readonly isEuclidean: boolean;
    readonly kdTree: object;
  }

  export default class KNN {
    constructor(points: readonly (readonly number[])[], labels: readonly number[], options?: { readonly k?: number });
    predict(points: readonly (readonly number[])[]): number[];
    toJSON(): KnnModel;
    static load(model: KnnModel): KNN;
  }
}
