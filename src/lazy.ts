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

  async #all(): Promise<T[]> {
    const all: T[] = [];
    for await (const one of this) all.push(one);
    return all;
  }
}
