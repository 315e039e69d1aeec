/**
 * Which tasks may run, as others end. Kept is only what is not over, and a few bytes for each task
 * that did not succeed, so that a stream of tasks that succeed takes no memory.
 */
import { type Dependency, describeTask, type ListedTask } from "./spec.ts";

/** Why a task did not succeed, as the end of a sentence about it. */
export type Fault = "failed" | "was refused" | "was canceled" | "was not run";

/** A task that is not run, because one that it comes after did not succeed. */
export interface Doomed {
  readonly task: ListedTask;
  readonly why: string;
}

/** What comes of an event, in the order of the list. */
export interface Moves {
  /** May be run now. */
  readonly ready: readonly ListedTask[];
  readonly doomed: readonly Doomed[];
}

interface Waiting {
  readonly task: ListedTask;
  /** Tasks that have to end before. */
  missing: number;
}

export class Dependencies {
  readonly #waiting = new Map<number, Waiting>();
  /** Given out as ready, and not over. */
  readonly #given = new Set<number>();
  readonly #faults = new Map<number, Fault>();
  /** Waiting tasks by what they wait for, which may not have been added yet. */
  readonly #dependents = new Map<number, number[]>();
  #lastId = 0;

  /** Tasks that are not over. */
  get count(): number {
    return this.#waiting.size + this.#given.size;
  }

  /** Tasks that wait for others. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Adds the next task of the list, by growing id; those that it comes after may follow later. */
  add(task: ListedTask): Moves {
    this.#lastId = task.id;
    const failed = task.after.find(({ id }) => this.#faults.has(id));
    if (failed !== undefined) {
      const self = { task, why: this.#whyNotRun(failed) };
      return { ready: [], doomed: this.#fail(task.id, "was not run", [self]) };
    }
    const open = new Set(task.after.map(({ id }) => id).filter((id) => this.#isOpen(id)));
    if (open.size === 0) {
      this.#given.add(task.id);
      return { ready: [task], doomed: [] };
    }
    this.#waiting.set(task.id, { task, missing: open.size });
    for (const id of open) {
      const dependents = this.#dependents.get(id);
      if (dependents === undefined) this.#dependents.set(id, [task.id]);
      else dependents.push(task.id);
    }
    return nothing;
  }

  /** The next entry of the list turned out to be no task: those that come after it cannot run. */
  refused(id: number): Moves {
    this.#lastId = id;
    return { ready: [], doomed: this.#fail(id, "was refused") };
  }

  /** A task that was given out is over; `null`: it succeeded. */
  ended(task: ListedTask, fault: Fault | null): Moves {
    if (!this.#given.delete(task.id)) throw new Error(`The ${describeTask(task)} is not out`);
    if (fault !== null) return { ready: [], doomed: this.#fail(task.id, fault) };
    return this.#release(task.id);
  }

  /** The next task of the list was over before the run went on. */
  wasOver(id: number, fault: Fault | null): Moves {
    this.#lastId = id;
    if (fault !== null) return { ready: [], doomed: this.#fail(id, fault) };
    return this.#release(id);
  }

  #release(succeeded: number): Moves {
    const ready: ListedTask[] = [];
    for (const id of this.#takeDependents(succeeded)) {
      const waiting = this.#waiting.get(id);
      if (waiting === undefined || --waiting.missing > 0) continue;
      this.#waiting.delete(id);
      this.#given.add(id);
      ready.push(waiting.task);
    }
    return ready.length === 0 ? nothing : { ready, doomed: [] };
  }

  /** What a waiting task of this name waits for yet, in words; `null`: none of this name waits. */
  openBefore(name: string): readonly string[] | null {
    for (const { task } of this.#waiting.values()) {
      if (task.name !== name) continue;
      return task.after.filter(({ id }) => this.#isOpen(id)).map(describeDependency);
    }
    return null;
  }

  /** Gives up what still waits for other tasks, and returns it. */
  giveUp(): ListedTask[] {
    const tasks = [...this.#waiting.values()].map(({ task }) => task);
    this.#waiting.clear();
    this.#dependents.clear();
    return tasks;
  }

  #isOpen(id: number): boolean {
    return id > this.#lastId || this.#waiting.has(id) || this.#given.has(id);
  }

  /** Notes the fault, and takes along all that comes after it, near or far. */
  #fail(from: number, fault: Fault, doomed: Doomed[] = []): Doomed[] {
    this.#faults.set(from, fault);
    // A list rather than recursion: chains may be as long as the list.
    const failed = [from];
    for (let id = failed.pop(); id !== undefined; id = failed.pop()) {
      for (const dependent of this.#takeDependents(id)) {
        const task = this.#waiting.get(dependent)?.task;
        if (task === undefined) continue; // doomed by another one already
        this.#waiting.delete(dependent);
        const because = task.after.find((one) => one.id === id)!;
        doomed.push({ task, why: this.#whyNotRun(because) });
        this.#faults.set(dependent, "was not run");
        failed.push(dependent);
      }
    }
    return doomed.sort((a, b) => a.task.id - b.task.id);
  }

  #whyNotRun({ id, named }: Dependency): string {
    return `it comes after ${describeDependency({ id, named })}, which ${this.#faults.get(id)}`;
  }

  #takeDependents(id: number): readonly number[] {
    const dependents = this.#dependents.get(id) ?? [];
    this.#dependents.delete(id);
    return dependents;
  }
}

/** By the name or number that the list names it with. */
function describeDependency({ named }: Dependency): string {
  return typeof named === "number" ? `task ${named}` : `task "${named}"`;
}

const nothing: Moves = { ready: [], doomed: [] };

/**
 * Tasks that wait for one another in a circle, each for the next and the last for the first, or
 * `null` if there is no circle. `after` has, for each task, the indices of those it comes after.
 */
export function findCycle(after: readonly (readonly number[])[]): number[] | null {
  // The usual three colours: 0 not seen, 1 on the way, 2 free of circles.
  const colors = new Uint8Array(after.length);
  for (let start = 0; start < after.length; start++) {
    if (colors[start] !== 0) continue;
    colors[start] = 1;
    const way = [{ at: start, next: 0 }];
    for (let step = way.at(-1); step !== undefined; step = way.at(-1)) {
      const to = after[step.at]?.[step.next++];
      if (to === undefined) {
        colors[step.at] = 2;
        way.pop();
      } else if (colors[to] === 1) {
        return way.slice(way.findIndex(({ at }) => at === to)).map(({ at }) => at);
      } else if (colors[to] === 0) {
        colors[to] = 1;
        way.push({ at: to, next: 0 });
      }
    }
  }
  return null;
}
