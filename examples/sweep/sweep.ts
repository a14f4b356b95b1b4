import { Flow, Random, repeat, type FlowOptions, type Storage } from 'marque';
import { Grid } from './grid.ts';
import { flowers } from './iris.ts';
import { refine, report, split } from './steps.ts';

export interface SweepOptions extends FlowOptions {
  /** What to try first; 250 cells by default. */
  readonly grid?: Grid;
  /** Every cell is tried on that many random splits into folds; 5 by default. */
  readonly splits?: number;
  /** Equal seeds give equal results; 42 by default. */
  readonly seed?: number;
}

/** The sweep as a flow that is ready to execute: a grid on random splits, then a finer grid around the best, then a report. */
export function sweep(storage: Storage, { grid = Grid.coarse(), splits = 5, seed = 42, ...options }: SweepOptions = {}) {
  const flow = new Flow('iris', storage, options)
    .put({ random: new Random(seed), grid })
    .push(repeat(split, splits))
    .push(refine)
    .push(report);
  flow.tag('flowers', flowers.length);
  return flow;
}
