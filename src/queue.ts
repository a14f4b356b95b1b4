/** Runs jobs first in, first out, at most `width` at once. A job that fails fails alone. */
export class Queue {
  readonly #width: number;
  readonly #waiting: (() => void)[] = [];
  #idle: (() => void)[] = [];
  #running = 0;

  constructor(width: number) {
    this.#width = width;
  }

  add<T>(job: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = deferred<T>();
    this.#waiting.push(() => {
      void this.#settle(job, resolve, reject);
    });
    this.#next();
    return promise;
  }

  /** Resolves once nothing runs and nothing waits; jobs added meanwhile are waited for as well. */
  drain(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #settle<T>(job: () => Promise<T>, resolve: (value: T) => void, reject: (reason: unknown) => void): Promise<void> {
    try {
      resolve(await job());
    } catch (error) {
      reject(error);
    }
    this.#running--;
    this.#next();
  }

  #next(): void {
    while (this.#running < this.#width) {
      const start = this.#waiting.shift();
      if (start === undefined) break;
      this.#running++;
      start();
    }
    if (this.#running > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

function deferred<T>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...(settle as Omit<Deferred<T>, 'promise'>) };
}
