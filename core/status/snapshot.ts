/**
 * A manager at one moment, as plain rows: what the answers on its port and `wqx status` show.
 * Everything is read from the scheduler as it stands; nothing here changes it.
 */
import type { Wish } from "../allocation/policy.ts";
import type { AllocationSummary } from "../allocation/report.ts";
import type { ResourceRequest } from "../analysis/spec.ts";
import type { NowMs } from "../env.ts";
import type { TaskId, WorkerId } from "../ids.ts";
import type { ResourceName, Resources } from "../resources.ts";
import { copiesOf } from "../scheduler/attempts.ts";
import type { Phase, Task } from "../scheduler/tasks.ts";
import { hostOf, isReady, type WorkerState } from "../scheduler/workers.ts";
import { type CategoryRow, takeCensus } from "./census.ts";
import type { QueueStatistics } from "./statistics.ts";

/** What is read of a scheduler. */
export interface SchedulerView {
  readonly tasks: ReadonlyMap<TaskId, Task>;
  readonly workers: ReadonlyMap<WorkerId, WorkerState>;
  /** How the tasks of each category are sized now. */
  readonly allocations: readonly AllocationSummary[];
  /** Waiting tasks that want the same: one of them, and how many. */
  readonly waitingKinds: readonly { readonly first: Task; readonly count: number }[];
  /** What the next attempt of a task asks for. */
  wishOf(task: Task): Wish;
  /** Why its category does not know yet what its tasks need. */
  whyLearning(task: Task): string | null;
  /** `null`: the host gets tasks. */
  blockedUntilMs(host: string): NowMs | null;
}

/** One moment on the scheduler's clock and on the calendar. */
export interface Moment {
  readonly nowMs: NowMs;
  readonly epochMs: number;
}

export interface NetworkInterface {
  readonly name: string;
  readonly address: string;
  readonly family: "IPv4" | "IPv6";
}

/** What only the shell knows of its manager. */
export interface ManagerFacts {
  /** `null`: it has no name, and is found by host and port. */
  readonly project: string | null;
  /** User name. */
  readonly owner: string;
  readonly version: string;
  readonly port: number;
  readonly ssl: boolean;
  /** Set by the owner; nobody reads it any more. */
  readonly priority: number;
  readonly workingDir: string;
  readonly startedEpochMs: number;
  /** Those of the families that it listens on; loopback is left out of answers. */
  readonly interfaces: readonly NetworkInterface[];
  readonly preferredConnection: "by_ip" | "by_hostname" | "by_apparent_ip";
  /** Tasks that the owner knows it will still submit. */
  readonly tasksLeft: number;
  readonly hostsBlocked: readonly string[];
}

/** What the owner of the tasks of a manager knows, and its scheduler does not. */
export interface OwnerView {
  /** By the name that a list gives it; `null`: there is none. */
  named(name: string): NamedTask | null;
  nameOf(id: TaskId): string | null;
  /** Tasks that wait for others to succeed, and are not submitted. */
  readonly held: number;
  /** How the events of a category are cut, and how fast they go. */
  readonly courses: ReadonlyMap<string, CategoryCourse>;
}

export interface CategoryCourse {
  /** Events in a chunk now. */
  readonly chunkSize: number | null;
  readonly eventsPerSecond: number | null;
}

export type NamedTask =
  | { readonly kind: "submitted"; readonly id: TaskId }
  /** `after`: what has to succeed yet, as people know it. */
  | { readonly kind: "held"; readonly after: readonly string[] }
  | { readonly kind: "preparing" };

/** All that answers are made from. */
export interface StatusSource {
  readonly scheduler: SchedulerView;
  readonly statistics: QueueStatistics;
  readonly facts: ManagerFacts;
  readonly at: Moment;
  /** For how long nothing has moved, where that is a reason to worry. */
  readonly stillMs: number | null;
  readonly owner?: OwnerView | undefined;
}

/** One resource over all workers. */
export interface Usage {
  readonly inUse: number;
  readonly total: number;
  /** Of a single worker; 0 without workers. */
  readonly smallest: number;
  readonly largest: number;
}

export interface QueueSnapshot {
  readonly facts: ManagerFacts;
  readonly workers: {
    /** Those that greeted. */
    readonly connected: number;
    /** Of these: those that have not told their resources yet, and the others. */
    readonly joining: number;
    readonly idle: number;
    readonly busy: number;
  };
  readonly resources: Readonly<Record<ResourceName, Usage>>;
  /** Declared by waiting tasks, and held by the others. */
  readonly wanted: Resources;
  readonly whole: CategoryRow;
  /** Those that ever had a task, by name. */
  readonly categories: readonly CategoryRow[];
  /** By category; those of which nothing was learned may be left out. */
  readonly allocations: ReadonlyMap<string, AllocationSummary>;
  readonly courses: ReadonlyMap<string, CategoryCourse>;
  readonly statistics: QueueStatistics;
}

export interface TaskRow {
  readonly id: TaskId;
  readonly phase: Phase["name"];
  readonly category: string;
  readonly command: string;
  readonly priority: number;
  readonly request: ResourceRequest;
  /** Where it is; the older copy if there are two. */
  readonly on: {
    readonly host: string;
    readonly address: string;
    readonly box: Resources;
    readonly sinceEpochMs: number;
  } | null;
}

export interface WorkerRow {
  readonly id: WorkerId;
  readonly host: string;
  readonly os: string;
  readonly arch: string;
  readonly address: string;
  readonly total: Resources;
  readonly inUse: Resources;
  /** Given to it and not ended. */
  readonly tasks: readonly { readonly id: TaskId; readonly command: string }[];
  readonly tasksDone: number;
  readonly bytesMoved: number;
  readonly transferMs: number;
  readonly joinedEpochMs: number;
}

export function snapshotOf({ scheduler, statistics, facts, owner }: StatusSource): QueueSnapshot {
  const greeted = [...scheduler.workers.values()].filter((worker) => worker.greeting !== null);
  const ready = greeted.filter(isReady);
  const busy = ready.filter((worker) => worker.running.size + worker.retrieving.size > 0).length;
  const usage = (name: ResourceName): Usage => usageOf(ready, name);
  return {
    facts,
    workers: {
      connected: greeted.length,
      joining: greeted.length - ready.length,
      idle: ready.length - busy,
      busy,
    },
    resources: {
      cores: usage("cores"),
      memoryMb: usage("memoryMb"),
      diskMb: usage("diskMb"),
      gpus: usage("gpus"),
    },
    ...takeCensus(scheduler.tasks.values(), ready, statistics.categories),
    allocations: new Map(scheduler.allocations.map((one) => [one.category, one])),
    courses: owner?.courses ?? new Map(),
    statistics,
  };
}

function usageOf(workers: readonly WorkerState[], name: ResourceName): Usage {
  let inUse = 0;
  let total = 0;
  let smallest = Infinity;
  let largest = 0;
  for (const worker of workers) {
    inUse += worker.promised[name];
    total += worker.total[name];
    smallest = Math.min(smallest, worker.total[name]);
    largest = Math.max(largest, worker.total[name]);
  }
  return { inUse, total, smallest: workers.length === 0 ? 0 : smallest, largest };
}

/**
 * The tasks that are not done, each as it is when its turn comes: a reader may be slow, and tasks
 * that were submitted meanwhile must not keep it reading for ever.
 */
export function* taskRows({ scheduler, at }: StatusSource): Generator<TaskRow> {
  let left = scheduler.tasks.size;
  for (const task of scheduler.tasks.values()) {
    if (left-- === 0) return;
    const { id, phase, spec } = task;
    const { category, command, priority, request } = spec;
    const on = whereabouts(task, scheduler, at);
    yield { id, phase: phase.name, category, command, priority, request, on };
  }
}

function whereabouts(task: Task, { workers }: SchedulerView, at: Moment): TaskRow["on"] {
  const [copy] = copiesOf(task);
  const worker = copy === undefined ? undefined : workers.get(copy.worker);
  if (copy === undefined || worker === undefined) return null;
  return {
    host: hostOf(worker),
    address: worker.address,
    box: copy.box,
    sinceEpochMs: epochOf(copy.sinceMs, at),
  };
}

/** The workers that greeted, each as it is when its turn comes. */
export function* workerRows({ scheduler, statistics, at }: StatusSource): Generator<WorkerRow> {
  const { workers, tasks } = scheduler;
  let left = workers.size;
  for (const worker of workers.values()) {
    if (left-- === 0) return;
    if (worker.greeting === null) continue;
    const { hostname, os, arch } = worker.greeting;
    yield {
      id: worker.id,
      host: hostname,
      os,
      arch,
      address: worker.address,
      total: worker.total,
      inUse: worker.promised,
      tasks: [...worker.running, ...worker.retrieving].map((id) => ({
        id,
        command: tasks.get(id)?.spec.command ?? "",
      })),
      tasksDone: statistics.doneBy(worker.id),
      bytesMoved: worker.moved.bytes,
      transferMs: worker.moved.ms,
      joinedEpochMs: epochOf(worker.joinedMs, at),
    };
  }
}

function epochOf(ms: NowMs, at: Moment): number {
  return at.epochMs - at.nowMs + ms;
}
