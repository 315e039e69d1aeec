/**
 * Waiting tasks, in lanes of the same shape and priority, so that one look at a lane answers for
 * all of its tasks: if the first of them fits nowhere, neither does the next.
 *
 * Tasks that failed somewhere are kept apart: each of them has workers of its own to avoid. So are
 * those that may have taken workers along.
 */
import type { Wish } from "../allocation/policy.ts";
import { Fifo } from "./fifo.ts";
import { isSuspect } from "./suspects.ts";
import { failedOn, type Task } from "./tasks.ts";

/** Tasks that any worker of sufficient size and features may take. */
export class Lane {
  /** Those whose worker went away go first: they have waited before. */
  readonly #returned = new Fifo<Task>();
  readonly #fresh = new Fifo<Task>();
  /** No worker had room for its first task, but for those that were freed since. */
  blocked = false;
  /** What its tasks ask for, and as of when. */
  asks: { readonly wish: Wish; readonly version: number } | null = null;
  /** What was last said of tasks that are too large for any worker. */
  told: string | null = null;

  /** @param climbing its tasks have outgrown a box; they go before others of their priority */
  constructor(
    readonly shape: string,
    readonly priority: number,
    readonly climbing: boolean,
    readonly order: number,
  ) {}

  push(task: Task): void {
    (task.attempts.length > 0 ? this.#returned : this.#fresh).push(task);
  }

  /** Tasks, with those that have been canceled since they came. */
  get length(): number {
    return this.#returned.length + this.#fresh.length;
  }

  /** The task to go next. Those that wait no more are passed over here, for good. */
  get first(): Task | null {
    return waitingFirst(this.#returned) ?? waitingFirst(this.#fresh);
  }
}

function waitingFirst(fifo: Fifo<Task>): Task | null {
  let task = fifo.first;
  while (task !== undefined && task.phase.name !== "waiting") {
    fifo.shift();
    task = fifo.first;
  }
  return task ?? null;
}

export class WaitingTasks {
  #lanes = new Map<string, Lane>();
  /** By priority, highest first, then by age; `null` after a lane came or went. */
  #sorted: Lane[] | null = null;
  #order = 0;
  #picky = new Set<Task>();
  readonly #suspects = new Set<Task>();
  readonly #timed = new Set<Task>();
  /** Those whose time has not come. */
  readonly #early = new Set<Task>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Tasks that failed somewhere, in the order in which they came back. */
  get picky(): ReadonlySet<Task> {
    return this.#picky;
  }

  /** Tasks that may have taken workers along, in the order in which they came back. */
  get suspects(): ReadonlySet<Task> {
    return this.#suspects;
  }

  /** Tasks with an end time. */
  get timed(): ReadonlySet<Task> {
    return this.#timed;
  }

  push(task: Task): void {
    this.#count++;
    if (task.spec.endTimeMs !== undefined) this.#timed.add(task);
    if (task.spec.notBeforeMs !== undefined && task.attempts.length === 0) this.#early.add(task);
    else if (isSuspect(task)) this.#suspects.add(task);
    else if (task.attempts.length > 0 && failedOn(task).size > 0) this.#picky.add(task);
    else this.#laneOf(task).push(task);
  }

  /** Tasks may go whose time has come. */
  release(epochMs: number): void {
    for (const task of this.#early) {
      if (task.spec.notBeforeMs! > epochMs) continue;
      this.#early.delete(task);
      this.#laneOf(task).push(task);
    }
  }

  lanes(): readonly Lane[] {
    this.#sorted ??= [...this.#lanes.values()].sort((a, b) =>
      b.priority - a.priority || Number(b.climbing) - Number(a.climbing) || a.order - b.order
    );
    return this.#sorted;
  }

  /** It waits no more: dispatched, canceled, or too late. */
  remove(task: Task): void {
    this.#count--;
    this.#timed.delete(task);
    this.#picky.delete(task);
    this.#suspects.delete(task);
    this.#early.delete(task);
  }

  /** Lanes without tasks are forgotten: a list of tasks may have a shape for each. */
  drop(lane: Lane): void {
    this.#lanes.delete(lane.shape);
    this.#sorted = null;
  }

  #laneOf({ spec, wish }: Task): Lane {
    const { category, priority, request, features, endTimeMs, wallTimeMs, wallTimeMinMs } = spec;
    const { cores, memoryMb, diskMb, gpus } = request;
    const climbing = wish === null ? "" : JSON.stringify(wish);
    const shape =
      `${category}|${priority}|${cores}|${memoryMb}|${diskMb}|${gpus}|${endTimeMs}|${wallTimeMs}|${wallTimeMinMs}|${climbing}|${
        features?.join("\n") ?? ""
      }`;
    let lane = this.#lanes.get(shape);
    if (lane === undefined) {
      lane = new Lane(shape, priority, wish !== null, this.#order++);
      this.#lanes.set(shape, lane);
      this.#sorted = null;
    }
    return lane;
  }
}
