/** What the parts of the scheduler share: its tasks, its workers, and what is to be done. */
import { Category, type CategorySettings } from "../allocation/category.ts";
import type { TaskId, WorkerId } from "../ids.ts";
import type { Order } from "../protocol/messages.ts";
import type { MonitorMode } from "../monitor/mode.ts";
import type { Resources } from "../resources.ts";
import type { ManagerAction } from "./actions.ts";
import type { MonitorProgram } from "./foreign_monitor.ts";
import type { Limits } from "./limits.ts";
import { Offers, type RunIdentity } from "./reconnect.ts";
import { type Fates, noFates } from "./poison.ts";
import { WaitingTasks } from "./queue.ts";
import { nextPhases, type Phase, type Task } from "./tasks.ts";
import { hasRoom, isReady, type WorkerState } from "./workers.ts";

/** How the tasks of a category fare. */
export interface CategoryState {
  successes: number;
  /** Sum over the successes. */
  wallMs: number;
  allocation: Category;
  /** How often `allocation` may have changed its mind. */
  lessons: number;
  /** Copies of its tasks that workers have. */
  running: number;
  /** No more of them at a time. */
  runningMax: number;
}

/** How attempts on a host fare. */
export interface HostState {
  failuresInARow: number;
  /** No tasks before this moment. */
  blockedUntilMs: number;
}

export interface SchedulerOptions {
  readonly limits: Limits;
  /** Epoch minus the clock that `handle` is given; ms. */
  readonly epochOffsetMs: number;
  /**
   * By category: a task that runs for so many times the average of its category is given to a
   * second worker as well. Categories without a factor of their own have that of `default`.
   */
  readonly stragglerFactors: ReadonlyMap<string, number>;
  /** By category; those without settings of their own have those of `default`. */
  readonly allocations: ReadonlyMap<string, CategorySettings>;
  readonly monitor: MonitorMode;
  /** Sent to workers that are not of wqx, which cannot monitor; `null`: they do without. */
  readonly foreignMonitor: MonitorProgram | null;
  /** `null`: workers that lose the manager forget its tasks. */
  readonly run: RunIdentity | null;
}

/** What is declared, and nothing else. */
export const asDeclared: CategorySettings = { mode: "fixed", chance: () => 0 };

export class SchedulerState {
  readonly tasks = new Map<TaskId, Task>();
  readonly workers = new Map<WorkerId, WorkerState>();
  readonly waiting = new WaitingTasks();
  /** What workers still have of earlier links. */
  readonly offers = new Offers();
  /** Ready and not fully promised; the one that got a task last stands last. */
  readonly roomy = new Set<WorkerState>();
  /** Those of `roomy` that got more room since lanes were last looked at. */
  readonly freed = new Set<WorkerState>();
  /** Workers that hold a cached object, by cached name. */
  readonly holders = new Map<string, Set<WorkerState>>();
  readonly categories = new Map<string, CategoryState>();
  readonly hosts = new Map<string, HostState>();
  /** Most workers that a factory wants to have, by its name. */
  readonly factoryLimits = new Map<string, number>();
  /** Largest of each resource that a worker has; `null` if there is none, or it is to be found. */
  largestWorker: Resources | null = null;
  /** How often that may have changed. */
  fleetChanges = 0;
  /** Of attempts that tell how workers fare (suspects.ts). */
  fates: Fates = noFates;
  done = 0;
  failedAttempts = 0;
  #actions: ManagerAction[] = [];

  constructor(public options: SchedulerOptions) {}

  act(action: ManagerAction): void {
    this.#actions.push(action);
  }

  send(worker: WorkerState, message: Order): void {
    this.act({ type: "send", worker: worker.id, message });
  }

  /** What is to be done since the last time. */
  take(): ManagerAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  /** The only way in which a task changes its phase. */
  enter(task: Task, phase: Phase): void {
    if (!nextPhases[task.phase.name].includes(phase.name)) {
      const story = task.attempts.map((a) => a.ending.kind).join(", ") || "no attempt yet";
      throw new Error(`Task ${task.id} cannot go ${task.phase.name} → ${phase.name} (${story})`);
    }
    task.phase = phase;
  }

  /** Called after anything that may give a worker more room, or takes all of it. */
  noteRoom(worker: WorkerState): void {
    if (this.workers.has(worker.id) && isReady(worker) && hasRoom(worker)) {
      this.roomy.add(worker);
      this.freed.add(worker);
    } else {
      this.roomy.delete(worker);
      this.freed.delete(worker);
    }
  }

  /** Called after a worker was given a task: others come first now. */
  noteGiven(worker: WorkerState): void {
    this.roomy.delete(worker);
    if (hasRoom(worker)) this.roomy.add(worker);
    else this.freed.delete(worker);
  }

  /** Called when a worker is there, is gone, or is larger or smaller than it was. */
  noteFleet(): void {
    this.largestWorker = null;
    this.fleetChanges++;
  }

  /** The worker has the object, or will have it by the time a later task is there. */
  noteCached(worker: WorkerState, cacheName: string): void {
    worker.cached.add(cacheName);
    const holders = this.holders.get(cacheName);
    if (holders === undefined) this.holders.set(cacheName, new Set([worker]));
    else holders.add(worker);
  }

  noteUncached(worker: WorkerState, cacheName: string): void {
    worker.cached.delete(cacheName);
    const holders = this.holders.get(cacheName);
    if (holders?.delete(worker) && holders.size === 0) this.holders.delete(cacheName);
  }

  isBlocked(host: string, nowMs: number): boolean {
    return (this.hosts.get(host)?.blockedUntilMs ?? -Infinity) > nowMs;
  }

  category(name: string): CategoryState {
    let state = this.categories.get(name);
    if (state === undefined) {
      const { allocations } = this.options;
      const settings = allocations.get(name) ?? allocations.get("default") ?? asDeclared;
      state = {
        successes: 0,
        wallMs: 0,
        allocation: new Category(name, settings),
        lessons: 0,
        running: 0,
        runningMax: Infinity,
      };
      this.categories.set(name, state);
    }
    return state;
  }

  host(name: string): HostState {
    let state = this.hosts.get(name);
    if (state === undefined) {
      this.hosts.set(name, state = { failuresInARow: 0, blockedUntilMs: -Infinity });
    }
    return state;
  }
}
