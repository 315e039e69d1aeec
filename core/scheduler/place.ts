/** Which worker a task goes to: one that holds its cached inputs, else one with room. */
import type { WorkerId } from "../ids.ts";
import { boxFor } from "../allocation/box.ts";
import type { Wish } from "../allocation/policy.ts";
import type { Resources } from "../resources.ts";
import type { SchedulerState } from "./state.ts";
import type { TaskSpec } from "./tasks.ts";
import { hasRoomFor, hostOf, isReady, type WorkerState } from "./workers.ts";

export interface Placement {
  readonly worker: WorkerState;
  readonly box: Resources;
}

/** So many holders of an input are looked at: any of them will do. */
const holdersSeenMax = 16;

/**
 * The first of `candidates` with room, unless a worker that already holds inputs of the task has
 * room too.
 */
export function place(
  state: SchedulerState,
  spec: TaskSpec,
  wish: Wish,
  candidates: Iterable<WorkerState>,
  nowMs: number,
): Placement | null {
  const holder = holderWithRoom(state, spec, wish, nowMs);
  if (holder !== null) return holder;
  for (const worker of candidates) {
    const box = roomOn(state, spec, wish, worker, nowMs);
    if (box !== null) return { worker, box };
  }
  return null;
}

/**
 * For a task with workers of its own to avoid: these are taken only if no other is large enough at
 * all. Those in `exclude` never are.
 */
export function placeElsewhere(
  state: SchedulerState,
  spec: TaskSpec,
  wish: Wish,
  avoid: ReadonlySet<WorkerId>,
  exclude: ReadonlySet<WorkerId>,
  nowMs: number,
): Placement | null {
  const able = [...state.workers.values()].filter((worker) =>
    !exclude.has(worker.id) && isEligible(state, spec, worker, nowMs) &&
    boxFor(wish, worker.total) !== null
  );
  const elsewhere = able.filter((worker) => !avoid.has(worker.id));
  let best: { placement: Placement; held: number; free: number } | null = null;
  for (const worker of elsewhere.length > 0 ? elsewhere : able) {
    const box = boxFor(wish, worker.total)!;
    if (!hasRoomFor(worker, box)) continue;
    const held = heldInputs(spec, worker);
    const free = worker.total.cores - worker.promised.cores;
    if (best === null || held > best.held || (held === best.held && free > best.free)) {
      best = { placement: { worker, box }, held, free };
    }
  }
  return best?.placement ?? null;
}

function holderWithRoom(
  state: SchedulerState,
  spec: TaskSpec,
  wish: Wish,
  nowMs: number,
): Placement | null {
  let best: { placement: Placement; held: number } | null = null;
  let seen = 0;
  for (const input of spec.inputs) {
    if (!input.cache) continue;
    for (const worker of state.holders.get(input.cacheName) ?? []) {
      if (seen++ === holdersSeenMax) return best?.placement ?? null;
      const held = heldInputs(spec, worker);
      if (best !== null && held <= best.held) continue;
      const box = roomOn(state, spec, wish, worker, nowMs);
      if (box !== null) best = { placement: { worker, box }, held };
    }
  }
  return best?.placement ?? null;
}

/** The task's box on this worker, if it may and can have it now. */
function roomOn(
  state: SchedulerState,
  spec: TaskSpec,
  wish: Wish,
  worker: WorkerState,
  nowMs: number,
): Resources | null {
  const box = boxFor(wish, worker.total);
  if (box === null || !hasRoomFor(worker, box)) return null;
  return isEligible(state, spec, worker, nowMs) ? box : null;
}

/** Whether the worker may have the task at all, room aside. */
function isEligible(
  state: SchedulerState,
  spec: TaskSpec,
  worker: WorkerState,
  nowMs: number,
): boolean {
  if (!isReady(worker) || worker.draining) return false;
  if (spec.features?.some((feature) => !worker.features.has(feature))) return false;
  if (state.isBlocked(hostOf(worker), nowMs)) return false;
  if (worker.stopsAtMs === null) return true;
  const epochMs = nowMs + state.options.epochOffsetMs;
  return (spec.endTimeMs ?? epochMs + (spec.wallTimeMs ?? 0)) <= worker.stopsAtMs &&
    epochMs + (spec.wallTimeMinMs ?? 0) <= worker.stopsAtMs && epochMs < worker.stopsAtMs;
}

function heldInputs(spec: TaskSpec, worker: WorkerState): number {
  let held = 0;
  for (const input of spec.inputs) if (worker.cached.has(input.cacheName)) held++;
  return held;
}
