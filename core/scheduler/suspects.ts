/**
 * Which task a lost worker speaks against. All that ran there are lost together, so only those of
 * them that were suspected most are suspected more: the others may be victims. From the second loss
 * in a row on a task waits until no other does, or for a while: who is innocent ends meanwhile, and
 * how others fare is known. Then tasks that were lost together are kept apart until each has
 * outlived what its worker did not, so that one of them alone takes the next worker along.
 */
import type { WorkerId } from "../ids.ts";
import { copiesOf } from "./attempts.ts";
import {
  chanceOfLoss,
  describePoison,
  type Fates,
  type Losses,
  lossesInARowMin,
  lossesUnexplained,
  minusFates,
  noFates,
  plusFates,
} from "./poison.ts";
import type { SchedulerState } from "./state.ts";
import type { Task } from "./tasks.ts";
import { hostOf, type WorkerState } from "./workers.ts";

/** Fewer losses in a row say little. */
const lossesSuspectMin = 2;
/** So long a suspect lets others go first: some of them should have ended by then. */
export const suspectWaitMs = 120_000;

/** What speaks against a task, since a worker last brought an attempt of it to an end. */
export interface Suspicion extends Losses {
  /** Those that do not count against it are among them. */
  readonly losses: number;
  /** Of what was lost with it, and its own: that says nothing of other workers. */
  readonly shared: Fates;
  /** As they were before the first of its losses. */
  readonly before: Fates;
  /** All that were lost the last time; one array for all of them. */
  readonly together: readonly Task[];
  readonly lostMs: number;
}

/** The worker brought an attempt of the task to an end, good or bad, and lives. */
export function noteSurvived(
  state: SchedulerState,
  task: Task,
  worker: WorkerState,
  ranMs: number,
): void {
  const isTelling = state.fates.lost === 0 || !isSuspected(state, worker);
  if (isTelling && task.suspicion === null) {
    state.fates = plusFates(state.fates, { ended: 1, lost: 0, ranMs });
  }
  task.suspicion = null;
}

/** The worker is gone, and its tasks are about to be tried elsewhere. */
export function noteLost(
  state: SchedulerState,
  worker: WorkerState,
  cause: string,
  nowMs: number,
): void {
  const lost = [...worker.running, ...worker.retrieving].map((id) => state.tasks.get(id)!);
  const told = isSuspected(state, worker)
    ? noFates
    : lost.filter(({ suspicion }) => suspicion === null)
      .map((task) => ({ ended: 1, lost: 1, ranMs: ranMsOn(task, worker, nowMs) }))
      .reduce(plusFates, noFates);
  // What is on its way here did nothing there any more.
  const together = lost.filter(({ phase }) => phase.name === "running");
  const rankOf = ({ suspicion }: Task, ranMs: number) =>
    // Of tasks that were lost together, one that has outlived that is not the first to look at.
    suspicion === null || ranMs > suspicion.ranMsMax ? 0 : suspicion.inARow;
  const ranks = together.map((task) => rankOf(task, ranMsOn(task, worker, nowMs)));
  const rankMax = Math.max(0, ...ranks);
  for (const [i, task] of together.entries()) {
    const { losses, inARow, hosts, ranMsMax, shared, before } = task.suspicion ?? unsuspected;
    task.suspicion = {
      losses: losses + 1,
      inARow: ranks[i] === rankMax ? inARow + 1 : inARow,
      hosts: new Set(hosts).add(hostOf(worker)),
      ranMsMax: Math.max(ranMsMax, ranMsOn(task, worker, nowMs)),
      cause,
      shared: plusFates(shared, told),
      before: before ?? state.fates,
      together,
      lostMs: nowMs,
    };
  }
  state.fates = plusFates(state.fates, told);
}

/** Whether the worker has a suspect: what becomes of others there says nothing of other workers. */
function isSuspected(state: SchedulerState, { running }: WorkerState): boolean {
  for (const id of running) if (isSuspect(state.tasks.get(id)!)) return true;
  return false;
}

const unsuspected = {
  losses: 0,
  inARow: 0,
  hosts: new Set<string>(),
  ranMsMax: 0,
  shared: noFates,
  before: null,
};

/** Why the task, which was just lost, is held to take its workers along; `null`: it may be chance. */
export function whyPoisonous(state: SchedulerState, task: Task, nowMs: number): string | null {
  const { suspicion, spec: { retriesMax } } = task;
  // Who asks for more tries than that gets them.
  if (suspicion === null || suspicion.inARow < Math.max(lossesInARowMin, retriesMax + 1)) {
    return null;
  }
  const others = fatesOfOthers(state, suspicion, nowMs);
  const chance = chanceOfLoss(others, suspicion.ranMsMax);
  if (suspicion.inARow < lossesUnexplained(chance, state.fates.ended)) return null;
  return describePoison(suspicion, others, retriesMax);
}

/**
 * Since the first loss of the row, of tasks that were not lost the last time: else another task
 * that kills workers would speak for this one. Of what still runs, that counts which has outlived it.
 */
function fatesOfOthers(state: SchedulerState, suspicion: Suspicion, nowMs: number): Fates {
  let others = minusFates(minusFates(state.fates, suspicion.before), suspicion.shared);
  for (const worker of state.workers.values()) {
    if (isSuspected(state, worker)) continue;
    for (const id of worker.running) {
      const task = state.tasks.get(id)!;
      const ranMs = ranMsOn(task, worker, nowMs);
      if (task.suspicion === null && ranMs > suspicion.ranMsMax) {
        others = plusFates(others, { ended: 1, lost: 0, ranMs });
      }
    }
  }
  return others;
}

export function isSuspect({ suspicion }: Pick<Task, "suspicion">): boolean {
  return suspicion !== null && suspicion.losses >= lossesSuspectMin;
}

/** Those that have waited for long enough; `suspects`: the first that was lost first. */
export function* suspectsInTime(suspects: Iterable<Task>, nowMs: number): Iterable<Task> {
  for (const task of suspects) {
    if (nowMs - task.suspicion!.lostMs < suspectWaitMs) return;
    yield task;
  }
}

/** Workers of tasks that may be the one which took its last worker along. */
export function suspectWorkers(task: Task, nowMs: number): ReadonlySet<WorkerId> {
  const workers = new Set<WorkerId>();
  if (!isSuspect(task)) return workers;
  const { together } = task.suspicion!;
  for (const other of together) {
    if (other === task || other.suspicion?.together !== together) continue;
    for (const { worker, sinceMs } of copiesOf(other)) {
      if (nowMs - sinceMs <= other.suspicion.ranMsMax) workers.add(worker);
    }
  }
  return workers;
}

function ranMsOn(task: Task, worker: WorkerState, nowMs: number): number {
  return nowMs - copiesOf(task).find((copy) => copy.worker === worker.id)!.sinceMs;
}
