import { Flow, MemoryStorage, repeat } from 'marque';
import type { Comparison } from './compare.ts';

/**
 * What recording costs a step that does nothing: the floor under every real step. The baseline is the loop that one would write
 * without this library.
 */
const steps = 50_000;

function nothing(): void {}

async function nothingAsync(): Promise<void> {}

function loop(step: () => void | Promise<void>) {
  return async () => {
    for (let i = 0; i < steps; i++) await step();
  };
}

function flow(step: () => void | Promise<void>, capture: boolean) {
  return async () => {
    await new Flow('dispatch', new MemoryStorage(), { capture, logLevel: 'silent' }).push(repeat(step, steps)).execute();
  };
}

function comparison(title: string, step: () => void | Promise<void>): Comparison {
  return {
    title,
    operation: 'step',
    operations: steps,
    contenders: [
      { name: 'for … await step()', run: loop(step) },
      { name: 'Flow, capture off', run: flow(step, false) },
      { name: 'Flow', run: flow(step, true) },
    ],
  };
}

export const comparisons: readonly Comparison[] = [
  comparison('a synchronous step that does nothing, recorded in memory', nothing),
  comparison('an async step that does nothing, recorded in memory', nothingAsync),
];
