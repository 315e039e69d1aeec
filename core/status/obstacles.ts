/** What keeps workers from taking a task, and which of them come nearest to it. */
import { boxFor } from "../allocation/box.ts";
import { type ResourceName, resourceNames, type Wish } from "../allocation/policy.ts";
import type { Resources } from "../resources.ts";
import type { TaskFacts, WaitingKind, WorkerFacts } from "./explain_facts.ts";
import { amountsOf, sum } from "./explain_words.ts";

/** Why a worker does not take a task now; in the order in which they are looked at. */
type Obstacle = "joining" | "features" | "small" | "leaving" | "blocked" | "failed" | "full";

type ByObstacle<T> = Record<Obstacle | "none", T>;

/** The first that is found; `null`: it would take the task now. */
export function obstacle(task: TaskFacts, worker: WorkerFacts): Obstacle | null {
  if (!worker.ready) return "joining";
  if (worker.features !== null && task.features.some((one) => !worker.features!.has(one))) {
    return "features";
  }
  const box = boxFor(task.wish, worker.total);
  if (box === null) return "small";
  if (worker.leavesInMs !== null && worker.leavesInMs <= Math.max(0, task.needsMs)) {
    return "leaving";
  }
  if (worker.blockedMs !== null) return "blocked";
  if (worker.id !== null && task.avoids.has(worker.id)) return "failed";
  return lackingOf(box, worker.free).length > 0 ? "full" : null;
}

/** Workers by what keeps them from the task. */
export function sorted(
  task: TaskFacts,
  workers: readonly WorkerFacts[],
): ByObstacle<WorkerFacts[]> {
  const by: ByObstacle<WorkerFacts[]> = {
    joining: [],
    features: [],
    small: [],
    leaving: [],
    blocked: [],
    failed: [],
    full: [],
    none: [],
  };
  for (const worker of workers) by[obstacle(task, worker) ?? "none"].push(worker);
  return by;
}

export function countObstacles(
  task: TaskFacts,
  workers: readonly WorkerFacts[],
): ByObstacle<number> {
  const count: ByObstacle<number> = {
    joining: 0,
    features: 0,
    small: 0,
    leaving: 0,
    blocked: 0,
    failed: 0,
    full: 0,
    none: 0,
  };
  for (const worker of workers) count[obstacle(task, worker) ?? "none"]++;
  return count;
}

/** The worker that lacks least, of what it has free where the box would fit, else of all. */
export function nearest(task: TaskFacts, workers: readonly WorkerFacts[]): WorkerFacts {
  const short = (worker: WorkerFacts) => {
    const box = boxFor(task.wish, worker.total);
    return box === null ? shortage(task.wish, worker.total) : excess(box, worker.free);
  };
  return workers.reduce((best, worker) => short(worker) < short(best) ? worker : best);
}

/** Sum of the missing shares. */
function shortage(wish: Wish, has: Resources): number {
  return excess(amountsOf(wish), has);
}

function excess(need: Resources, has: Resources): number {
  return sum(resourceNames.map((name) => Math.max(0, need[name] - has[name]) / (need[name] || 1)));
}

/** Resources of which there is not enough. */
export function lackingOf(need: Resources, has: Resources): ResourceName[] {
  return resourceNames.filter((name) => need[name] > has[name]);
}

const fromNearest: readonly (Obstacle | null)[] = [
  null,
  "full",
  "failed",
  "leaving",
  "small",
  "features",
  "blocked",
  "joining",
];

/** The kind of which the least is missing. */
export function nearestKind(kinds: readonly WaitingKind[], worker: WorkerFacts): WaitingKind {
  const rank = ({ first }: WaitingKind) =>
    fromNearest.indexOf(obstacle(first, worker)) + shortage(first.wish, worker.total);
  return kinds.reduce((best, kind) => rank(kind) < rank(best) ? kind : best);
}
