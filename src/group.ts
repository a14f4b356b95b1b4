import type { Task } from './attempt.ts';
import type { Context } from './context.ts';
import { rootPath } from './path.ts';
import { type Push, sizeOf } from './push.ts';

/** What one `push` outside any step adds: steps that run after all groups before them have ended. */
export interface GroupPlan extends Push {
  /** Steps at a time; null for the flow's own limit. */
  readonly concurrency: number | null;
}

/** Tasks that are made only as they are reached. */
export interface TaskSource extends Iterable<Task> {
  /** How many, or Infinity where nobody can know. */
  readonly size: number;
}

/** A running group: its own steps, then whatever running steps push, all made only as they are reached. */
export class Group {
  #sources: Iterator<Task>[];
  #next = 0; // the first of #sources that may have a task
  /** Steps of this group so far, pushed ones included; Infinity where nobody can know. */
  size: number;

  constructor(plan: GroupPlan, number: number, context: Context) {
    this.#sources = [tasksOf(plan, number, context)];
    this.size = sizeOf(plan.steps);
  }

  /** The next task, or null where none is waiting; a running step may still push one. */
  take(): Task | null {
    for (;;) {
      const source = this.#sources[this.#next];
      if (source === undefined) return null;
      const { value, done } = source.next();
      if (done !== true) return value;
      this.#next++;
      if (this.#next < 1_024) continue;
      this.#sources = this.#sources.slice(this.#next); // what was read leaves memory, without moving the rest each time
      this.#next = 0;
    }
  }

  add(source: TaskSource): void {
    this.#sources.push(source[Symbol.iterator]());
    this.size += source.size;
  }

  /** Lets lazy lists that were not read to their end clean up; tells of those that fail to. */
  close(onError: (error: unknown) => void): void {
    for (const source of this.#sources.slice(this.#next)) {
      try {
        source.return?.();
      } catch (error) {
        onError(error);
      }
    }
  }
}

function* tasksOf({ steps, values, params, reference }: GroupPlan, number: number, inherited: Context): Generator<Task> {
  let index = 0;
  for (const step of steps)
    yield { step, values, params, reference, path: rootPath(number, index++), inherited, parentSid: null };
}
