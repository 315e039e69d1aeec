/**
 * Limits that factories set on their own workers: the manager asks the catalog for them and tells
 * workers beyond a limit to leave. Those with work stay until they have none.
 */
import type { SchedulerState } from "./state.ts";
import type { WorkerState } from "./workers.ts";

/**
 * What the catalog says now; a factory that is not in it keeps the limit it had, while it has
 * workers here.
 */
export function limitFactories(
  state: SchedulerState,
  limits: ReadonlyMap<string, number>,
): void {
  const present = new Set([...state.workers.values()].map(({ factory }) => factory));
  for (const name of state.factoryLimits.keys()) {
    if (!limits.has(name) && !present.has(name)) state.factoryLimits.delete(name);
  }
  for (const [name, limit] of limits) {
    state.factoryLimits.set(name, limit);
    let excess = ofFactory(state, name).length - limit;
    // The youngest have the least in their caches.
    for (const worker of ofFactory(state, name).filter(isIdle).reverse()) {
      if (excess-- <= 0) break;
      dismiss(state, worker);
    }
  }
}

/** Those whose workers are here, or were when their limit was told. */
export function factoryNames(state: SchedulerState): string[] {
  const here = [...state.workers.values()].flatMap(({ factory }) => factory ?? []);
  return [...new Set([...state.factoryLimits.keys(), ...here])];
}

/** A worker says which factory started it; one beyond its factory's limit leaves at once. */
export function noteFactory(state: SchedulerState, worker: WorkerState, factory: string): void {
  worker.factory = factory;
  const limit = state.factoryLimits.get(factory) ?? Infinity;
  if (ofFactory(state, factory).length > limit && isIdle(worker)) dismiss(state, worker);
}

/** In the order in which they came, without those that were told to leave. */
function ofFactory(state: SchedulerState, name: string): WorkerState[] {
  return [...state.workers.values()].filter(({ factory, leaving }) => factory === name && !leaving);
}

/** It has no tasks, and owes nothing. */
export function isIdle({ running, retrieving, owed, offered }: WorkerState): boolean {
  return running.size + retrieving.size + owed.length + offered.size === 0;
}

/** Tells a worker to leave. */
export function dismiss(state: SchedulerState, worker: WorkerState): void {
  worker.leaving = true;
  state.noteRoom(worker);
  state.noteFleet();
  state.send(worker, { type: "exit" });
}
