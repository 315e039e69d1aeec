/** How much each task gets: between what its category has learned and its attempts. */
import { largestOf, whyTooLarge } from "../allocation/box.ts";
import { type AllocationSummary, summaryOf } from "../allocation/report.ts";
import type { Amounts, Observation, Wish } from "../allocation/policy.ts";
import type { Resources } from "../resources.ts";
import type { Lane } from "./queue.ts";
import type { SchedulerState } from "./state.ts";
import { type Attempt, outgrew, type Task } from "./tasks.ts";
import { isReady } from "./workers.ts";

/** What the next attempt of a task asks for. */
export function wishOf(state: SchedulerState, task: Task): Wish {
  const { category, request } = task.spec;
  const learned = state.category(category).allocation;
  const asking = { declared: request, outgrown: [], largest: largest(state) };
  if (task.wish !== null) {
    return learned.renewed(task.wish, { ...asking, outgrown: outgrownOf(task) });
  }
  const allocation = learned.allocate(asking);
  // Only what has outgrown something can be impossible.
  return allocation.kind === "wish" ? allocation.wish : { request, floor: {} };
}

/**
 * What the tasks of a lane ask for now; if that is less or more than before, the lane may look at
 * all workers again.
 */
export function wishOfLane(state: SchedulerState, lane: Lane, first: Task): Wish {
  const version = state.category(first.spec.category).lessons + state.fleetChanges;
  if (lane.asks?.version === version) return lane.asks.wish;
  const wish = wishOf(state, first);
  if (lane.asks === null || !alike(lane.asks.wish, wish)) lane.blocked = false;
  lane.asks = { wish, version };
  return wish;
}

/** How the tasks of each category are sized now, in the order in which categories came. */
export function allocationSummaries(state: SchedulerState): AllocationSummary[] {
  return [...state.categories.values()].map(({ allocation }) => {
    const asking = { declared: {}, outgrown: [], largest: largest(state) };
    const next = allocation.allocate(asking);
    return summaryOf(allocation, next.kind === "wish" ? next.wish.request : {});
  });
}

/** What an attempt says of the needs of its category, if it says anything. */
export function learn(state: SchedulerState, task: Task, attempt: Attempt): void {
  const category = state.category(task.spec.category);
  if (category.allocation.mode === "fixed" && attempt.measured === null) return;
  const seen = observationOf(task, attempt);
  if (seen === null) return;
  category.allocation.observe(seen, largest(state));
  if (category.allocation.mode !== "fixed") category.lessons++;
}

/** What attempts of an earlier manager have said of a category. */
export function remember(state: SchedulerState, category: string, seen: Observation): void {
  const { allocation } = state.category(category);
  if (allocation.mode !== "fixed") allocation.observe(seen, largest(state));
}

/**
 * After an attempt that outgrew its box: the task asks for more from now on (`null`), or why that
 * would be of no use.
 */
export function climb(state: SchedulerState, task: Task): string | null {
  const { category, request } = task.spec;
  const asking = { declared: request, outgrown: outgrownOf(task), largest: largest(state) };
  const allocation = state.category(category).allocation.allocate(asking);
  if (allocation.kind === "impossible") return allocation.why;
  task.wish = allocation.wish;
  return null;
}

function outgrownOf(task: Task): Observation[] {
  return task.attempts.flatMap((attempt) => {
    const seen = observationOf(task, attempt);
    return seen === null || seen.exceeded === null ? [] : [seen];
  });
}

/** Says of each lane whose tasks are too large for every worker, once, that they wait. */
export function tellTooLarge(state: SchedulerState): void {
  const totals = [...state.workers.values()].filter(isReady).map(({ total }) => total);
  if (totals.length === 0) return;
  for (const lane of state.waiting.lanes()) {
    const { first, asks } = lane;
    if (!lane.blocked || first === null || asks === null) continue;
    const { category } = first.spec;
    const why = whyTooLarge(`task ${first.id} (${category})`, asks.wish, totals);
    if (why !== null && why !== lane.told) state.act({ type: "too_large", id: first.id, why });
    lane.told = why;
  }
}

function largest(state: SchedulerState): Resources | null {
  return state.largestWorker ??= largestOf(
    [...state.workers.values()].filter(isReady).map(({ total }) => total),
  );
}

/** `null` for an attempt that says nothing of what the task needs: lost, killed, not measured. */
export function observationOf(task: Task, attempt: Attempt): Observation | null {
  const { ending, measured, box, wallMs, exitCode } = attempt;
  const exceeded = outgrew(attempt);
  if (exceeded === null && (exitCode === null || measured === null)) return null;
  if (ending.kind === "lost" || ending.kind === "canceled") return null;
  const reached: { -readonly [K in keyof Amounts]: Amounts[K] } = {};
  if (measured !== null) {
    const { cpuUserMs, cpuSystemMs, monitored } = measured;
    reached.memoryMb = Math.max(measured.memoryPeakMb, monitored?.["memory"] ?? 0);
    // Of what was too short for a look, the average says it.
    reached.cores = monitored?.["cores"] ?? (cpuUserMs + cpuSystemMs) / Math.max(1, wallMs);
    const disk = monitored?.["disk"];
    if (disk !== undefined) reached.diskMb = disk;
  }
  const at = ending.kind === "failure" ? ending.exhausted?.measured ?? null : null;
  if (exceeded !== null && at !== null) reached[exceeded] = at;
  return { task: task.id, box, measured: reached, wallMs, exceeded };
}

function alike(a: Wish, b: Wish): boolean {
  const same = (x: Amounts, y: Amounts) =>
    x.cores === y.cores && x.memoryMb === y.memoryMb && x.diskMb === y.diskMb && x.gpus === y.gpus;
  return same(a.request, b.request) && same(a.floor, b.floor) && a.exact === b.exact;
}
