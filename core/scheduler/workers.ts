/** Workers as a manager knows them, each by what it said on its link. */
import type { TaskId, WorkerId } from "../ids.ts";
import type { Measured, ToManager } from "../protocol/messages.ts";
import { minus, noResources, plus, type Resources } from "../resources.ts";

/** An answer that a worker owes us; answers come in the order of the questions. */
export type Owed =
  | { readonly kind: "results" }
  | { readonly kind: "output"; readonly task: TaskId; readonly index: number };

export interface WorkerState {
  readonly id: WorkerId;
  readonly address: string;
  readonly joinedMs: number;
  /** `null` until it has greeted. */
  greeting: Extract<ToManager, { type: "workqueue" }> | null;
  /** Workers of wqx say so in an info line; `false` for all others. */
  speaksWqx: boolean;
  total: Resources;
  /** The worker has told all it has: the `resource tag` line closes the block. */
  resourcesKnown: boolean;
  /** Sum of the boxes of `running`. */
  promised: Resources;
  /** Given to the worker and not yet reported back. */
  readonly running: Set<TaskId>;
  /** Reported, outputs under way. */
  readonly retrieving: Set<TaskId>;
  /** Cached names that were sent to stay. */
  readonly cached: Set<string>;
  readonly owed: Owed[];
  /** `available_results` came while we were still reading earlier ones. */
  moreResults: boolean;
  /** Measurements that arrived ahead of their result. */
  readonly measured: Map<number, Measured>;
  /** Where the bytes that follow go, while they follow. */
  receiving: Receiving | null;
  /** Last sign of life: a line, or bytes moving in either direction. */
  heardMs: number;
  /** When `check` was sent and not answered yet. */
  checkedMs: number | null;
}

export type Receiving =
  | { readonly kind: "printed"; readonly task: TaskId }
  | { readonly kind: "output"; readonly task: TaskId; readonly index: number }
  | { readonly kind: "nobody" };

export function newWorker(id: WorkerId, address: string, nowMs: number): WorkerState {
  return {
    id,
    address,
    joinedMs: nowMs,
    greeting: null,
    speaksWqx: false,
    total: noResources,
    resourcesKnown: false,
    promised: noResources,
    running: new Set(),
    retrieving: new Set(),
    cached: new Set(),
    owed: [],
    moreResults: false,
    measured: new Map(),
    receiving: null,
    heardMs: nowMs,
    checkedMs: null,
  };
}

export function isReady(w: WorkerState): boolean {
  return w.greeting !== null && w.resourcesKnown;
}

export function freeOn(w: WorkerState): Resources {
  return minus(w.total, w.promised);
}

export function promise(w: WorkerState, task: TaskId, box: Resources): void {
  w.running.add(task);
  w.promised = plus(w.promised, box);
}

export function settle(w: WorkerState, task: TaskId, box: Resources): void {
  if (!w.running.delete(task)) return;
  // Sums of fractions drift; an idle worker has promised exactly nothing.
  w.promised = w.running.size === 0 ? noResources : minus(w.promised, box);
}

/** A `resource` line changes one total; unknown names (a foreman's `workers`) are passed over. */
export function withResource(total: Resources, name: string, value: number): Resources {
  switch (name) {
    case "cores":
      return { ...total, cores: value };
    case "memory":
      return { ...total, memoryMb: value };
    case "disk":
      return { ...total, diskMb: value };
    case "gpus":
      return { ...total, gpus: value };
    default:
      return total;
  }
}
