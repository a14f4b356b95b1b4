import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Columns } from './cell.ts';
import type { Reading } from './reading.ts';

export interface Request {
  readonly reader: string;
  readonly path: string;
  readonly relation: string | null;
  readonly columns: Columns;
}

type Answer = { readonly columns: Reading } | { readonly error: string };

/**
 * A program that reads stores in a process of its own, since engines do not share one well: it takes a request a line and answers with a
 * line. Started at the first request.
 */
export class Program {
  readonly #command: string;
  readonly #args: readonly string[];
  readonly #options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv };
  #child: ChildProcess | null = null;
  #lines: AsyncIterator<string, undefined> | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #said = '';

  /** @param options `env` is on top of this process's own */
  constructor(
    command: string,
    args: readonly string[],
    options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
  ) {
    this.#command = command;
    this.#args = args;
    this.#options = options;
  }

  /** Rejects with the reader's own message where it refuses. One request after another. */
  read(request: Request): Promise<Reading> {
    const turn = this.#turn.then(() => this.#ask(request));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.stdin?.end();
    await once(child, 'close');
  }

  async #ask(request: Request): Promise<Reading> {
    const [child, lines] = this.#start();
    child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${this.#command} ended: ${this.#said.slice(-2_000)}`);
    const answer = JSON.parse(value) as Answer;
    if ('error' in answer) throw new Error(`${request.reader}: ${answer.error}`);
    return answer.columns;
  }

  #start(): [ChildProcess, AsyncIterator<string, undefined>] {
    if (this.#child === null || this.#lines === null) {
      this.#child = spawn(this.#command, this.#args, {
        cwd: this.#options.cwd,
        env: { ...process.env, ...this.#options.env },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      this.#child.stderr?.on('data', (data: Buffer) => (this.#said += data.toString()));
      this.#child.on('error', (error) => (this.#said += error.message));
      this.#child.stdin?.on('error', (error) => (this.#said += error.message)); // it has ended, which the answer will say
      this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
    }
    return [this.#child, this.#lines];
  }
}
