/**
 * Waiting tasks, grouped by shape (what they ask for), so that one look at a shape answers for all
 * of its tasks: if the first of them fits nowhere, neither does the next.
 *
 * Tasks that failed somewhere are kept apart: each of them has workers of its own to avoid.
 */
import type { Task } from "./tasks.ts";

/** First in, first out, without moving what remains. */
class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): void {
    this.#head++;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}

/** Tasks of one shape and priority, which any worker of sufficient size may take. */
interface Lane {
  readonly priority: number;
  readonly order: number;
  readonly fifo: Fifo<Task>;
}

export class WaitingTasks {
  #lanes = new Map<string, Lane>();
  #again: Task[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  push(task: Task): void {
    this.#count++;
    if (task.attempts.length > 0) {
      this.#again.push(task);
      return;
    }
    const { priority, request } = task.spec;
    const key = JSON.stringify([
      priority,
      request.cores,
      request.memoryMb,
      request.diskMb,
      request.gpus,
    ]);
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { priority, order: this.#lanes.size, fifo: new Fifo() };
      this.#lanes.set(key, lane);
    }
    lane.fifo.push(task);
  }

  /** Tasks that were tried before, oldest first. */
  get again(): readonly Task[] {
    return this.#again;
  }

  takeAgain(tasks: ReadonlySet<Task>): void {
    if (tasks.size === 0) return;
    this.#again = this.#again.filter((task) => !tasks.has(task));
    this.#count -= tasks.size;
  }

  /** Lanes that hold something, highest priority first, then in the order in which they appeared. */
  lanes(): { readonly next: () => Task | null; readonly take: () => void }[] {
    return [...this.#lanes.values()]
      .sort((a, b) => b.priority - a.priority || a.order - b.order)
      .map((lane) => ({ next: () => this.#nextOf(lane), take: () => this.#takeFrom(lane) }));
  }

  /** A canceled task stays in its lane and is passed over when its turn comes. */
  forget(task: Task): void {
    this.#count--;
    this.#again = this.#again.filter((other) => other !== task);
  }

  #nextOf(lane: Lane): Task | null {
    let task = lane.fifo.first;
    while (task !== undefined && task.phase.name !== "waiting") {
      lane.fifo.shift();
      task = lane.fifo.first;
    }
    return task ?? null;
  }

  #takeFrom(lane: Lane): void {
    lane.fifo.shift();
    this.#count--;
  }
}
