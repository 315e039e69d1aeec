/**
 * The manager's mind: what happened goes in as events, what is to be done comes out as actions.
 * It decides which task runs where, keeps each link's conversation in order, and sees to it that
 * every submitted task is returned exactly once, whatever becomes of workers.
 *
 * The shell performs actions of one link in the order in which they were given.
 */
import type { Observation, Wish } from "../allocation/policy.ts";
import type { AllocationSummary } from "../allocation/report.ts";
import { unreachable } from "../errors.ts";
import type { TaskId, WorkerId } from "../ids.ts";
import { resultCode } from "../protocol/messages.ts";
import type { ManagerAction, ManagerEvent } from "./actions.ts";
import { cancel, copiesOf, dispatch, endCopy, failed, loseWorker, submit } from "./attempts.ts";
import { allocationSummaries, remember, wishOf, wishOfLane } from "./allocation.ts";
import { factoryNames, limitFactories } from "./factories.ts";
import { checkUp, endIfOverdue, noteFailure } from "./health.ts";
import { defaultLimits } from "./limits.ts";
import { obey } from "./orders.ts";
import { noteFile, noteRate, offered } from "./pieces.ts";
import { place, placeElsewhere } from "./place.ts";
import { directoryFailed, received, stored } from "./reactions.ts";
import { takeOffers } from "./reconnect.ts";
import { type SchedulerOptions, SchedulerState } from "./state.ts";
import { suspectsInTime, suspectWorkers } from "./suspects.ts";
import { failedOn, type Moved, type Task } from "./tasks.ts";
import { isReady, newWorker, type WorkerState } from "./workers.ts";

export interface Counts {
  readonly waiting: number;
  readonly running: number;
  readonly done: number;
  readonly failedAttempts: number;
  readonly workers: number;
}

/** One of them, and how many there are. */
export interface WaitingTasksOfAKind {
  readonly first: Task;
  readonly count: number;
}

export class Scheduler {
  readonly #state: SchedulerState;

  constructor(options: Partial<SchedulerOptions> = {}) {
    this.#state = new SchedulerState({
      limits: defaultLimits,
      epochOffsetMs: 0,
      stragglerFactors: new Map(),
      allocations: new Map(),
      monitor: "off",
      foreignMonitor: null,
      run: null,
      ...options,
    });
  }

  get options(): SchedulerOptions {
    return this.#state.options;
  }

  /** Those that are not done. */
  get tasks(): ReadonlyMap<TaskId, Task> {
    return this.#state.tasks;
  }

  get workers(): ReadonlyMap<WorkerId, WorkerState> {
    return this.#state.workers;
  }

  get waitingCount(): number {
    return this.#state.waiting.count;
  }

  get counts(): Counts {
    const { waiting, done, failedAttempts, workers } = this.#state;
    let running = 0;
    let ready = 0;
    for (const worker of workers.values()) {
      running += worker.running.size + worker.retrieving.size;
      if (isReady(worker)) ready++;
    }
    return { waiting: waiting.count, running, done, failedAttempts, workers: ready };
  }

  /** How the tasks of each category are sized now. */
  get allocations(): AllocationSummary[] {
    return allocationSummaries(this.#state);
  }

  /** What an attempt under an earlier manager says of the tasks of a category. */
  remember(category: string, seen: Observation): void {
    remember(this.#state, category, seen);
  }

  /** What the next attempt of a task asks for. */
  wishOf(task: Task): Wish {
    return wishOf(this.#state, task);
  }

  /** Why its category does not know yet what its tasks need; `null` where it does. */
  whyLearning(task: Task): string | null {
    const { mode, statistics } = this.#state.category(task.spec.category).allocation;
    return mode === "fixed" || statistics.learning.steady ? null : statistics.learning.why;
  }

  /** Waiting tasks that want the same, in the order in which they are looked at. */
  get waitingKinds(): WaitingTasksOfAKind[] {
    const { waiting } = this.#state;
    return [
      ...[...waiting.suspects, ...waiting.picky].map((first) => ({ first, count: 1 })),
      ...waiting.lanes().flatMap((lane) =>
        lane.first === null ? [] : [{ first: lane.first, count: lane.length }]
      ),
    ];
  }

  /** When a host gets tasks again; `null`: it does. */
  blockedUntilMs(host: string): number | null {
    return this.#state.hosts.get(host)?.blockedUntilMs ?? null;
  }

  /** Those whose workers are here, or were when their limit was told. */
  get factories(): string[] {
    return factoryNames(this.#state);
  }

  /** Hosts that get no tasks now. */
  hostsBlocked(nowMs: number): string[] {
    return [...this.#state.hosts.keys()].filter((host) => this.#state.isBlocked(host, nowMs));
  }

  handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
    const state = this.#state;
    switch (event.type) {
      case "submitted":
        submit(state, event.id, event.spec);
        break;
      case "cancel":
        cancel(state, event.id, nowMs);
        break;
      case "link_opened":
        state.workers.set(event.worker, newWorker(event.worker, event.address, nowMs));
        break;
      case "link_closed":
        loseWorker(state, event.worker, event.why, nowMs);
        break;
      case "factory_limits":
        limitFactories(state, event.limits);
        break;
      case "order":
        obey(state, event.order, nowMs);
        break;
      case "tick":
        checkUp(state, nowMs);
        break;
      default: {
        const worker = state.workers.get(event.worker);
        // What still arrives from a link that we closed is of no interest.
        if (worker !== undefined) this.#fromWorker(worker, event, nowMs);
      }
    }
    return state.take();
  }

  /** Gives waiting tasks to workers with room; called once per turn of the shell. */
  schedule(nowMs: number): ManagerAction[] {
    const state = this.#state;
    const { waiting } = state;
    waiting.release(nowMs + state.options.epochOffsetMs);
    if (state.offers.workers.size > 0) takeOffers(state, nowMs);
    let budget = state.options.limits.dispatchMax;
    budget -= dispatchEach(state, suspectsInTime(waiting.suspects, nowMs), budget, nowMs);
    budget -= dispatchEach(state, waiting.picky, budget, nowMs);
    const freed = new Set(state.freed);
    for (const lane of waiting.lanes()) {
      let task = lane.first;
      while (task !== null && budget > 0 && !isFull(state, task)) {
        if (endIfOverdue(state, task, nowMs)) {
          task = lane.first;
          continue;
        }
        const wish = wishOfLane(state, lane, task);
        const candidates = lane.blocked ? freed : state.roomy;
        const placement = place(state, task.spec, wish, candidates, nowMs);
        if (placement === null) break;
        dispatch(state, task, placement, nowMs);
        budget--;
        task = lane.first;
      }
      if (budget <= 0) break;
      // Of a full category it is not known whether its task would fit.
      lane.blocked = task !== null && !isFull(state, task);
      if (task === null) waiting.drop(lane);
    }
    // Out of budget, some lanes have yet to look at who was freed.
    if (budget > 0) state.freed.clear();
    dispatchEach(state, waiting.suspects, budget, nowMs);
    return state.take();
  }

  #fromWorker(
    worker: WorkerState,
    event: Extract<ManagerEvent, { worker: WorkerId }>,
    nowMs: number,
  ): void {
    const state = this.#state;
    if (event.type === "moving" || event.type === "received" || event.type === "stored") {
      worker.heardMs = nowMs;
      worker.checkedMs = null;
    }
    switch (event.type) {
      case "moving":
        break;
      case "sending":
        worker.transfers.out = { bytes: event.bytes, sinceMs: nowMs };
        if (event.stays) noteFile(worker, event.bytes);
        if (event.id !== undefined) noteSending(state, worker, event.id, event.bytes);
        break;
      case "sent": {
        const { out } = worker.transfers;
        worker.transfers.out = null;
        if (out !== null) {
          worker.moved.bytes += out.bytes;
          worker.moved.ms += nowMs - out.sinceMs;
          noteRate(worker, out.bytes, nowMs - out.sinceMs);
        }
        if (event.id !== undefined) noteSent(state, worker, event.id, nowMs);
        break;
      }
      case "taken":
        worker.holds.delete(event.sha256);
        worker.taking.add(event.cacheName);
        break;
      case "offered":
        offered(worker, event.offer);
        break;
      case "received":
        received(state, worker, event.message, nowMs);
        break;
      case "stored":
        stored(state, worker, event.stored, nowMs);
        break;
      case "directory_failed":
        directoryFailed(state, worker, event.why);
        break;
      case "input_unreadable":
        this.#inputUnreadable(worker, event, nowMs);
        break;
      case "link_opened":
      case "link_closed":
        break;
      default:
        unreachable(event);
    }
  }

  #inputUnreadable(
    worker: WorkerState,
    { id, unsent, why }: Extract<ManagerEvent, { type: "input_unreadable" }>,
    nowMs: number,
  ): void {
    const state = this.#state;
    for (const cacheName of unsent) state.noteUncached(worker, cacheName);
    const task = state.tasks.get(id);
    const copy = task === undefined
      ? undefined
      : copiesOf(task).find((one) => one.worker === worker.id);
    if (task?.phase.name !== "running" || copy === undefined) return;
    const ending = { kind: "failure", code: resultCode.inputMissing, why } as const;
    const attempt = endCopy(state, task, copy, worker, ending, null, nowMs);
    noteFailure(state, attempt, nowMs);
    failed(state, task, copy, attempt);
  }
}

/** Gives tasks with workers of their own to avoid to others; how many of them. */
function dispatchEach(
  state: SchedulerState,
  tasks: Iterable<Task>,
  countMax: number,
  nowMs: number,
): number {
  let count = 0;
  for (const task of tasks) {
    if (count >= countMax || state.roomy.size === 0) break;
    if (isFull(state, task)) continue;
    const wish = wishOf(state, task);
    const exclude = suspectWorkers(task, nowMs);
    const placement = placeElsewhere(state, task.spec, wish, failedOn(task), exclude, nowMs);
    if (placement === null) continue;
    dispatch(state, task, placement, nowMs);
    count++;
  }
  return count;
}

/** Whether as many tasks of its category run as may. */
function isFull(state: SchedulerState, { spec }: Task): boolean {
  const { running, runningMax } = state.category(spec.category);
  return running >= runningMax;
}

function noteSending(
  state: SchedulerState,
  worker: WorkerState,
  id: TaskId,
  bytes: number,
): void {
  const moved = movedOf(state, worker, id);
  if (moved !== undefined) moved.sentBytes += bytes;
}

function noteSent(state: SchedulerState, worker: WorkerState, id: TaskId, nowMs: number): void {
  const moved = movedOf(state, worker, id);
  if (moved !== undefined) moved.sentMs = nowMs;
}

function movedOf(state: SchedulerState, worker: WorkerState, id: TaskId): Moved | undefined {
  const task = state.tasks.get(id);
  return task && copiesOf(task).find((copy) => copy.worker === worker.id)?.moved;
}
