/** Runs jobs first in, first out, at most `width` at once. A job that fails fails alone. */
export class Queue {
  readonly #width: number;
  readonly #waiting: (() => void)[] = [];
  #idle: (() => void)[] = [];
  #running = 0;

  constructor(width: number) {
    this.#width = width;
  }

  /** A job that still waits when `signal` aborts never runs: it is rejected with the reason. One that runs is left alone. */
  add<T>(job: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const { promise, resolve, reject } = deferred<T>();
    const start = (): void => {
      signal?.removeEventListener('abort', leave);
      void this.#settle(job, resolve, reject);
    };
    const leave = (): void => {
      this.#waiting.splice(this.#waiting.indexOf(start), 1);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', leave, { once: true });
    this.#waiting.push(start);
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
