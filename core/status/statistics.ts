/**
 * Totals since the manager started, counted from the scheduler's own events and actions. The
 * scheduler forgets tasks that are done and workers that left; this remembers how many they were.
 */
import type { NowMs } from "../env.ts";
import type { WorkerId } from "../ids.ts";
import { resultCode, type ToManager } from "../protocol/messages.ts";
import { noResources, plus, type Resources } from "../resources.ts";
import type { ManagerAction, ManagerEvent } from "../scheduler/actions.ts";
import type { Attempt, Task, TaskEnd } from "../scheduler/tasks.ts";

export interface CategoryStatistics {
  /** Attempts, second copies included. */
  readonly dispatched: number;
  /** Tasks returned as successes. */
  readonly done: number;
  /** Failed attempts of the tasks that were returned. */
  readonly failed: number;
  readonly canceled: number;
  /** Largest that a worker measured; `null` where none did. */
  readonly memoryPeakMb: number | null;
}

/** How much the manager could feed, as Work Queue estimates it: run time over transfer time. */
export interface Capacity {
  /** Tasks at a time, from all attempts so far. */
  readonly tasks: number;
  /** `tasks` times the average box. */
  readonly box: Resources;
  /** `tasks` from the last attempt alone. */
  readonly instantaneous: number;
  /** Moving average of `instantaneous`. */
  readonly weighted: number;
}

/** Totals since the start; times in ms, sizes in bytes. */
export interface QueueStatistics {
  readonly workersJoined: number;
  readonly workersRemoved: number;
  /** Of those removed: told to leave, idle for too long, and all others. */
  readonly workersReleased: number;
  readonly workersIdledOut: number;
  readonly workersLost: number;
  readonly tasksSubmitted: number;
  /** Attempts, second copies included. */
  readonly tasksDispatched: number;
  /** Returned to the owner, successes or not; not those that were canceled. */
  readonly tasksDone: number;
  /** Of those done: without a result. A command that ran and failed has one. */
  readonly tasksFailed: number;
  readonly tasksCanceled: number;
  readonly attemptsExhausted: number;
  /** Time during which files went out on some link, and came in on some link. */
  readonly sendMs: number;
  readonly receiveMs: number;
  /** Payload of the files themselves. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Sums over attempts: all that ran, the successful ones, the exhausted ones. */
  readonly executeMs: number;
  readonly executeGoodMs: number;
  /** Average of the successful ones; `null`: there is none. */
  readonly usualMs: number | null;
  readonly executeExhaustedMs: number;
  readonly capacity: Capacity;
  readonly categories: ReadonlyMap<string, CategoryStatistics>;
  /** Attempts that a connected worker ran to their end. */
  doneBy(worker: WorkerId): number;
}

/** Work Queue's guess before the first result: ten tasks of 1 core, 512 MB and 1 GB. */
const capacityAtFirst: Capacity = {
  tasks: 10,
  box: { cores: 10, memoryMb: 5120, diskMb: 10_240, gpus: 0 },
  instantaneous: 10,
  weighted: 10,
};

/** Work Queue never estimates fewer. */
const capacityTasksMin = 10;
/** Share of the newest attempt in the moving average. */
const capacityNewest = 0.05;

interface WorkerTally {
  joined: boolean;
  released: boolean;
  idledOut: boolean;
  done: number;
  sending: { readonly bytes: number } | null;
  receiving: { readonly bytes: number } | null;
}

/**
 * Counts as the manager goes along: `happened` for every event given to the scheduler, `acted` for
 * every action that it returned.
 */
export class Statistics implements QueueStatistics {
  workersJoined = 0;
  workersRemoved = 0;
  workersReleased = 0;
  workersIdledOut = 0;
  workersLost = 0;
  tasksSubmitted = 0;
  tasksDispatched = 0;
  tasksDone = 0;
  tasksFailed = 0;
  tasksCanceled = 0;
  attemptsExhausted = 0;
  bytesSent = 0;
  bytesReceived = 0;
  executeMs = 0;
  executeGoodMs = 0;
  #successes = 0;
  executeExhaustedMs = 0;
  readonly categories = new Map<string, Mutable<CategoryStatistics>>();
  readonly #workers = new Map<WorkerId, WorkerTally>();
  readonly #sending = new BusyTime();
  readonly #receiving = new BusyTime();
  readonly #capacity = new CapacityEstimate();

  get sendMs(): number {
    return this.#sending.totalMs;
  }

  get receiveMs(): number {
    return this.#receiving.totalMs;
  }

  get usualMs(): number | null {
    return this.#successes === 0 ? null : this.executeGoodMs / this.#successes;
  }

  get capacity(): Capacity {
    return this.#capacity.value;
  }

  doneBy(worker: WorkerId): number {
    return this.#workers.get(worker)?.done ?? 0;
  }

  happened(event: ManagerEvent, nowMs: NowMs): void {
    switch (event.type) {
      case "submitted":
        this.tasksSubmitted++;
        break;
      case "link_opened":
        this.#workers.set(event.worker, newTally());
        break;
      case "link_closed":
        this.#left(event.worker, nowMs);
        break;
      case "received":
        this.#received(event.worker, event.message, nowMs);
        break;
      case "sending":
        this.#startSending(event.worker, event.bytes, nowMs);
        break;
      case "sent":
        this.#stopSending(event.worker, nowMs);
        break;
      case "stored":
        this.#stopReceiving(event.worker, nowMs);
        break;
      case "cancel":
      case "moving":
      case "taken":
      case "input_unreadable":
      case "factory_limits":
      case "order":
      case "tick":
        break;
    }
  }

  acted(action: ManagerAction): void {
    switch (action.type) {
      case "dispatch":
        this.tasksDispatched++;
        this.#category(action.block.category).dispatched++;
        break;
      case "send":
        if (action.message.type === "release" || action.message.type === "exit") {
          const tally = this.#workers.get(action.worker);
          if (tally !== undefined) tally.released = true;
        }
        break;
      case "attempt_ended":
        this.#attemptEnded(action.attempt);
        break;
      case "returned":
        this.#returned(action.task, action.end);
        break;
    }
  }

  // Workers

  #received(worker: WorkerId, message: ToManager, nowMs: NowMs): void {
    const tally = this.#workers.get(worker);
    if (tally === undefined) return;
    switch (message.type) {
      case "workqueue":
        if (!tally.joined) this.workersJoined++;
        tally.joined = true;
        break;
      case "info":
        if (message.key === "idle-disconnecting") tally.idledOut = true;
        break;
      case "file":
      case "update":
        if (tally.receiving === null) this.#receiving.begin(nowMs);
        tally.receiving = { bytes: message.length };
        break;
    }
  }

  #left(worker: WorkerId, nowMs: NowMs): void {
    const tally = this.#workers.get(worker);
    if (tally === undefined) return;
    if (tally.sending !== null) this.#sending.end(nowMs);
    if (tally.receiving !== null) this.#receiving.end(nowMs);
    this.#workers.delete(worker);
    if (!tally.joined) return; // a question about the status, or nobody we know
    this.workersRemoved++;
    if (tally.released) this.workersReleased++;
    else if (tally.idledOut) this.workersIdledOut++;
    else this.workersLost++;
  }

  #startSending(worker: WorkerId, bytes: number, nowMs: NowMs): void {
    const tally = this.#workers.get(worker);
    if (tally === undefined) return;
    if (tally.sending === null) this.#sending.begin(nowMs);
    tally.sending = { bytes };
  }

  #stopSending(worker: WorkerId, nowMs: NowMs): void {
    const tally = this.#workers.get(worker);
    if (tally === undefined || tally.sending === null) return;
    this.bytesSent += tally.sending.bytes;
    tally.sending = null;
    this.#sending.end(nowMs);
  }

  #stopReceiving(worker: WorkerId, nowMs: NowMs): void {
    const tally = this.#workers.get(worker);
    if (tally === undefined || tally.receiving === null) return;
    this.bytesReceived += tally.receiving.bytes;
    tally.receiving = null;
    this.#receiving.end(nowMs);
  }

  // Tasks

  #attemptEnded(attempt: Attempt): void {
    if (attempt.exitCode === null) return; // it did not run, or not to its end
    const { ending, wallMs, worker, box } = attempt;
    const tally = this.#workers.get(worker);
    if (tally !== undefined) tally.done++;
    this.executeMs += wallMs;
    if (ending.kind === "success") {
      this.executeGoodMs += wallMs;
      this.#successes++;
    }
    if (ending.kind === "failure" && ending.code === resultCode.resourceExhaustion) {
      this.attemptsExhausted++;
      this.executeExhaustedMs += wallMs;
    }
    this.#capacity.add(wallMs, this.sendMs + this.receiveMs, box);
  }

  #returned({ spec, attempts }: Task, end: TaskEnd): void {
    const category = this.#category(spec.category);
    for (const { ending, measured } of attempts) {
      if (ending.kind === "failure") category.failed++;
      if (measured !== null) {
        category.memoryPeakMb = Math.max(category.memoryPeakMb ?? 0, measured.memoryPeakMb);
      }
    }
    if (end.kind === "canceled") {
      this.tasksCanceled++;
      category.canceled++;
      return;
    }
    this.tasksDone++;
    if (end.kind === "success") category.done++;
    else if (end.code !== resultCode.success) this.tasksFailed++;
  }

  #category(name: string): Mutable<CategoryStatistics> {
    let category = this.categories.get(name);
    if (category === undefined) {
      category = { dispatched: 0, done: 0, failed: 0, canceled: 0, memoryPeakMb: null };
      this.categories.set(name, category);
    }
    return category;
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function newTally(): WorkerTally {
  return {
    joined: false,
    released: false,
    idledOut: false,
    done: 0,
    sending: null,
    receiving: null,
  };
}

/** Time during which something went on, however many at once. */
class BusyTime {
  totalMs = 0;
  #count = 0;
  #sinceMs: NowMs = 0;

  begin(nowMs: NowMs): void {
    if (this.#count++ === 0) this.#sinceMs = nowMs;
  }

  end(nowMs: NowMs): void {
    if (--this.#count === 0) this.totalMs += nowMs - this.#sinceMs;
  }
}

/**
 * Work Queue's estimate, over all attempts instead of the newest ones. Links work side by side
 * here, so the time of transfers is the time in which there were any.
 */
class CapacityEstimate {
  #attempts = 0;
  #executeMs = 0;
  #transferMs = 0;
  #boxes = noResources;
  #instantaneous = capacityAtFirst.instantaneous;
  #weighted = capacityAtFirst.weighted;

  /** `transferMs`: of the manager, since its start. */
  add(executeMs: number, transferMs: number, box: Resources): void {
    const newMs = transferMs - this.#transferMs;
    this.#attempts++;
    this.#executeMs += executeMs;
    this.#transferMs = transferMs;
    this.#boxes = plus(this.#boxes, box);
    if (newMs <= 0) return; // several attempts for one transfer: no ratio of its own
    this.#instantaneous = Math.ceil(executeMs / newMs);
    this.#weighted += capacityNewest * (this.#instantaneous - this.#weighted);
  }

  get value(): Capacity {
    // Without any transfer the manager would seem to feed any number of workers.
    if (this.#transferMs === 0) return capacityAtFirst;
    const tasks = Math.max(capacityTasksMin, Math.ceil(this.#executeMs / this.#transferMs));
    const each = (sum: number) => Math.ceil(sum * tasks / this.#attempts);
    const { cores, memoryMb, diskMb, gpus } = this.#boxes;
    return {
      tasks,
      box: {
        cores: each(cores),
        memoryMb: each(memoryMb),
        diskMb: each(diskMb),
        gpus: each(gpus),
      },
      instantaneous: this.#instantaneous,
      weighted: Math.ceil(this.#weighted),
    };
  }
}
