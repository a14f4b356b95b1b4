import type { Task } from './attempt.ts';
import type { Context } from './context.ts';
import { rootPath } from './path.ts';
import type { Reference } from './scope.ts';
import { Repeated, type Step } from './step.ts';

/** What one `push` outside any step adds: steps that run after all groups before them have ended. */
export interface GroupPlan {
  readonly steps: Iterable<Step>;
  readonly values: Readonly<Record<string, unknown>> | null;
  readonly reference: Reference | null;
  /** Steps at a time; null for the flow's own limit. */
  readonly concurrency: number | null;
}

/** A running group: its own steps, made only as they are reached, then whatever running steps push. */
export class Group {
  readonly #plan: GroupPlan;
  readonly #number: number;
  readonly #context: Context;
  readonly #own: Iterator<Step>;
  #ownLeft = true;
  #taken = 0;
  #pushed: Task[] = [];
  #next = 0; // the first of #pushed that has not been taken
  #pushedInAll = 0;

  constructor(plan: GroupPlan, number: number, context: Context) {
    this.#plan = plan;
    this.#number = number;
    this.#context = context;
    this.#own = plan.steps[Symbol.iterator]();
  }

  /** The next task, or null where none is waiting; a running step may still push one. */
  take(): Task | null {
    if (this.#ownLeft) {
      const { value: step, done } = this.#own.next();
      if (done !== true) {
        const { values, reference } = this.#plan;
        return {
          step,
          values,
          reference,
          path: rootPath(this.#number, this.#taken++),
          inherited: this.#context,
          parentSid: null,
        };
      }
      this.#ownLeft = false;
    }
    const task = this.#pushed[this.#next];
    if (task === undefined) return null;
    this.#next++;
    if (this.#next === 1_024) {
      this.#pushed.splice(0, this.#next); // what was taken leaves memory, without moving the rest each time
      this.#next = 0;
    }
    return task;
  }

  /** Adds what a step pushed. Whether that was anything. */
  add(tasks: Iterable<Task>): boolean {
    const before = this.#pushedInAll;
    for (const task of tasks) {
      this.#pushed.push(task);
      this.#pushedInAll++;
    }
    return this.#pushedInAll > before;
  }

  /** Steps of this group so far, pushed ones included; Infinity where nobody can know. */
  get size(): number {
    return sizeOf(this.#plan.steps) + this.#pushedInAll;
  }
}

/** How many steps there are, where that is known before they are read, else Infinity. */
export function sizeOf(steps: Iterable<Step>): number {
  return Array.isArray(steps) || steps instanceof Repeated ? steps.length : Number.POSITIVE_INFINITY;
}
