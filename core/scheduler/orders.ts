/** What the owner of a manager may change while it runs: categories, hosts, limits, workers. */
import { Category, type CategorySettings } from "../allocation/category.ts";
import type { MonitorMode } from "../monitor/mode.ts";
import { copiesOf, endCopy, failed } from "./attempts.ts";
import { dismiss, isIdle } from "./factories.ts";
import type { Limits } from "./limits.ts";
import { noteOver } from "./pieces.ts";
import { asDeclared, type SchedulerState } from "./state.ts";
import { hostOf } from "./workers.ts";

/** Of a category; what is absent stays as it is. */
export interface CategoryOrder {
  readonly allocation?: Partial<CategorySettings>;
  /** As in `SchedulerOptions.stragglerFactors`; `null`: that of `default`. */
  readonly stragglerFactor?: number | null;
  /** Tasks that may run at a time. */
  readonly runningMax?: number;
}

export type OwnerOrder =
  | { readonly type: "category"; readonly name: string; readonly change: CategoryOrder }
  | { readonly type: "limits"; readonly limits: Partial<Limits> }
  /** For attempts that begin from now on. */
  | { readonly type: "monitor"; readonly mode: MonitorMode }
  /** Its workers, those that are here, get no more tasks, and leave when they have none. */
  | { readonly type: "drain"; readonly host: string; readonly on: boolean }
  /** The host gets no tasks until then. */
  | { readonly type: "block"; readonly host: string; readonly untilMs: number }
  /** It gets tasks again; `null`: all hosts do. */
  | { readonly type: "unblock"; readonly host: string | null }
  /** Workers are to forget a cached object; attempts that use it start anew. */
  | { readonly type: "invalidate"; readonly cacheName: string }
  /** So many workers without work leave. */
  | { readonly type: "dismiss_idle"; readonly count: number };

export function obey(state: SchedulerState, order: OwnerOrder, nowMs: number): void {
  switch (order.type) {
    case "category":
      return changeCategory(state, order.name, order.change);
    case "limits": {
      const limits = { ...state.options.limits, ...order.limits };
      state.options = { ...state.options, limits };
      return;
    }
    case "monitor":
      state.options = { ...state.options, monitor: order.mode };
      return;
    case "drain":
      return drain(state, order.host, order.on);
    case "block":
      state.host(order.host).blockedUntilMs = order.untilMs;
      return;
    case "unblock":
      return unblock(state, order.host);
    case "invalidate":
      return invalidate(state, order.cacheName, nowMs);
    case "dismiss_idle": {
      const idle = [...state.workers.values()].filter((worker) =>
        !worker.leaving && isIdle(worker)
      );
      for (const worker of idle.slice(0, order.count)) dismiss(state, worker);
    }
  }
}

function changeCategory(
  state: SchedulerState,
  name: string,
  { allocation, stragglerFactor, runningMax }: CategoryOrder,
): void {
  const { options } = state;
  if (stragglerFactor !== undefined) {
    const stragglerFactors = new Map(options.stragglerFactors);
    if (stragglerFactor === null) stragglerFactors.delete(name);
    else stragglerFactors.set(name, stragglerFactor);
    state.options = { ...options, stragglerFactors };
  }
  if (allocation !== undefined) {
    const { allocations } = state.options;
    const settings = { ...asDeclared, ...allocations.get(name), ...allocation };
    state.options = { ...state.options, allocations: new Map(allocations).set(name, settings) };
    const category = state.category(name);
    if (category.allocation.mode === settings.mode) category.allocation.limit(settings);
    else category.allocation = new Category(name, settings);
    category.lessons++;
  }
  if (runningMax !== undefined) state.category(name).runningMax = runningMax;
}

function drain(state: SchedulerState, host: string, on: boolean): void {
  for (const worker of state.workers.values()) {
    // One that was told to leave cannot be called back.
    if (hostOf(worker) !== host || worker.leaving) continue;
    worker.draining = on;
    if (on && isIdle(worker)) dismiss(state, worker);
    else state.noteRoom(worker);
  }
}

/** Now and then: those that were to be drained, and have no work any more, leave. */
export function dismissDrained(state: SchedulerState): void {
  for (const worker of state.workers.values()) {
    if (worker.draining && !worker.leaving && isIdle(worker)) dismiss(state, worker);
  }
}

function unblock(state: SchedulerState, host: string | null): void {
  for (const [name, one] of state.hosts) {
    if (host === null || name === host) one.blockedUntilMs = -Infinity;
  }
  for (const worker of state.roomy) state.freed.add(worker);
}

function invalidate(state: SchedulerState, cacheName: string, nowMs: number): void {
  const why = "one of its inputs was to be forgotten";
  for (const worker of [...state.holders.get(cacheName) ?? []]) {
    state.noteUncached(worker, cacheName);
    noteOver(worker, cacheName);
    for (const id of [...worker.running]) {
      const task = state.tasks.get(id)!;
      if (!task.spec.inputs.some((input) => input.cacheName === cacheName)) continue;
      const copy = copiesOf(task).find((one) => one.worker === worker.id)!;
      const attempt = endCopy(state, task, copy, worker, { kind: "lost", why }, null, nowMs);
      failed(state, task, copy, attempt);
    }
    state.send(worker, { type: "unlink", cacheName });
  }
}
