import { inspect, type InspectOptionsStylized } from 'node:util';
import { showStatement } from './show-statement.ts';
import type { Statement } from './store.ts';

/** Something that runs when it is asked for its answer: iterate it, or await it for an array. */
export abstract class Lazy<T> implements PromiseLike<T[]>, AsyncIterable<T> {
  abstract [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined>;

  // oxlint-disable-next-line unicorn/no-thenable -- awaiting it is its plainest use
  then<A = T[], B = never>(
    resolve?: ((all: T[]) => A | PromiseLike<A>) | null,
    reject?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#all().then(resolve, reject);
  }

  /** What it would run, for `console.log`; null where it finds out only when it is asked. */
  protected statementShown(): Statement | null {
    return null;
  }

  [inspect.custom](depth: number, options: InspectOptionsStylized): string {
    return showStatement(this.constructor.name, this.statementShown(), depth, options);
  }

  async #all(): Promise<T[]> {
    const all: T[] = [];
    for await (const one of this) all.push(one);
    return all;
  }
}
