import type { Hyperparameters } from './hyperparameters.ts';

/** The combinations of hyperparameters to try, in order. A class, so that a step can ask its context for it by type. */
export class Grid {
  readonly cells: readonly Hyperparameters[];

  constructor(cells: readonly Hyperparameters[]) {
    this.cells = cells;
  }

  /** Every combination of the values given, the last hyperparameter varying fastest. */
  static of(values: { readonly [H in keyof Hyperparameters]: readonly number[] }): Grid {
    const pairs = values.neighbours.flatMap((neighbours) => values.petals.map((petals) => ({ neighbours, petals })));
    return new Grid(pairs.flatMap((pair) => values.widths.map((widths) => ({ ...pair, widths }))));
  }

  /** 250 cells: weights a factor of two apart, neighbours closer together where a few make a difference. */
  static coarse(): Grid {
    return Grid.of({
      neighbours: [1, 2, 3, 5, 7, 9, 11, 15, 20, 30],
      petals: [0.5, 1, 2, 4, 8],
      widths: [0.25, 0.5, 1, 2, 4],
    });
  }

  /** A cell and those between it and its neighbours in a coarse grid: a neighbour fewer or more, weights by up to a factor of √2. */
  static around(middle: Hyperparameters): Grid {
    const factors = [-0.5, -0.25, 0, 0.25, 0.5].map((exponent) => 2 ** exponent);
    const near = (weight: number) => factors.map((factor) => Number((weight * factor).toFixed(4)));
    return Grid.of({
      neighbours: [-1, 0, 1].map((more) => middle.neighbours + more).filter((neighbours) => neighbours > 0),
      petals: near(middle.petals),
      widths: near(middle.widths),
    });
  }

  /** The cells that are not in another grid. */
  without(other: Grid): Grid {
    const tried = new Set(other.cells.map(keyOf));
    return new Grid(this.cells.filter((cell) => !tried.has(keyOf(cell))));
  }
}

function keyOf({ neighbours, petals, widths }: Hyperparameters): string {
  return `${neighbours} ${petals} ${widths}`;
}
