/**
 * Tasks that workers still have of a link that broke, with this manager or an earlier one of the
 * same run. One that is wanted is taken: it becomes a copy of the task on that worker without being
 * sent again, also beside a copy that was given to another worker meanwhile: the first result wins,
 * as with stragglers. So nothing waits for a worker that may come back. What is not wanted is
 * dropped; a manager that has just begun may not have submitted it yet, so it is kept for a while.
 */
import { type TaskId, taskId } from "../ids.ts";
import { isKey, offeredCountMax, type OfferedTask } from "../protocol/offered_tasks.ts";
import { noResources, plus, type Resources } from "../resources.ts";
import { copiesOf, dispatch } from "./attempts.ts";
import type { SchedulerState } from "./state.ts";
import type { Task, TaskSpec } from "./tasks.ts";
import { hasRoomFor, isReady, withoutDrift, type WorkerState } from "./workers.ts";

/** The run that a manager is of. */
export interface RunIdentity {
  /** The same for all managers of the run; one word. */
  readonly id: string;
  /** Of this manager alone: tells its tasks without a key of their own from those of others. */
  readonly manager: string;
}

/** A task that a worker has, and nobody has taken or dropped yet. */
export interface Offered extends OfferedTask {
  readonly sinceMs: number;
  /** Its box is counted among what the worker has promised. */
  reserved: boolean;
}

/** All offers of all workers, while there are any. */
export class Offers {
  /** Those that have some. */
  readonly workers = new Set<WorkerState>();
  /** Tasks with a key of their own; known while there are offers. */
  readonly #byKey = new Map<string, TaskId>();
  #indexed = false;
  /** Keys of tasks that are over, and were lost with a worker that may come back with them. */
  readonly #over = new Set<string>();

  submitted({ id, spec }: Task): void {
    if (spec.key === undefined) return;
    this.#over.delete(spec.key);
    if (this.#indexed) this.#byKey.set(spec.key, id);
  }

  finished({ spec, attempts }: Task): void {
    if (spec.key === undefined) return;
    this.#byKey.delete(spec.key);
    if (attempts.some(({ ending }) => ending.kind === "lost")) this.#over.add(spec.key);
  }

  /** `over`: it is not wanted any more; `null`: it is not known, yet. */
  find(state: SchedulerState, key: string): Task | "over" | null {
    if (!this.#indexed) {
      this.#indexed = true;
      for (const task of state.tasks.values()) this.submitted(task);
    }
    const id = this.#byKey.get(key) ?? ownId(state, key);
    const task = id === undefined ? undefined : state.tasks.get(id);
    if (task !== undefined) return task;
    return id !== undefined || this.#over.has(key) ? "over" : null;
  }

  /** Nobody asks any more. */
  rest(): void {
    if (!this.#indexed || this.workers.size > 0) return;
    this.#indexed = false;
    this.#byKey.clear();
  }
}

/** By which a worker that comes back names the task; `undefined`: it need not keep it. */
export function keyOf(
  { options: { run } }: SchedulerState,
  worker: WorkerState,
  id: TaskId,
  spec: TaskSpec,
): string | undefined {
  if (run === null || !worker.keeps || spec.coprocess !== undefined) return undefined;
  const key = spec.key ?? `${run.manager}#${id}`;
  return isKey(key) ? key : undefined;
}

/** The task that was given such a key for want of its own. */
function ownId({ options: { run } }: SchedulerState, key: string): TaskId | undefined {
  const begin = `${run?.manager}#`;
  return key.startsWith(begin) ? taskId(Number(key.slice(begin.length))) : undefined;
}

/** The worker keeps tasks when a link breaks: it learns which run its tasks are of. */
export function greetedKeeper(state: SchedulerState, worker: WorkerState): void {
  const { run } = state.options;
  if (run === null || !worker.speaksWqx || worker.keeps) return;
  worker.keeps = true;
  state.send(worker, { type: "run", run: run.id });
}

/** A worker says that it has a task; of another run it drops it by itself. */
export function offeredTask(
  state: SchedulerState,
  worker: WorkerState,
  offered: OfferedTask,
  nowMs: number,
): void {
  if (!worker.keeps || offered.run !== state.options.run?.id) return;
  if (worker.offered.size >= offeredCountMax || worker.offered.has(offered.key)) return;
  worker.offered.set(offered.key, { ...offered, sinceMs: nowMs, reserved: false });
  state.offers.workers.add(worker);
}

/** Takes what is wanted; called before waiting tasks are given to workers. */
export function takeOffers(state: SchedulerState, nowMs: number): void {
  for (const worker of state.offers.workers) {
    if (!isReady(worker)) continue;
    for (const offer of worker.offered.values()) {
      // What runs there has its room, whatever becomes of it.
      if (!offer.finished && !offer.reserved) reserve(state, worker, offer);
      const task = state.offers.find(state, offer.key);
      const isStale = task === null && nowMs - offer.sinceMs > state.options.limits.offeredMsMax;
      if (task === "over" || isStale) drop(state, worker, offer);
      else if (task !== null && mayTake(state, worker, offer, task)) {
        take(state, worker, offer, task, nowMs);
      }
    }
  }
  state.offers.rest();
}

function take(
  state: SchedulerState,
  worker: WorkerState,
  offer: Offered,
  task: Task,
  nowMs: number,
): void {
  forget(state, worker, offer);
  // What was reserved may not fit any more by the last bit of a sum of fractions.
  if (hasRoomFor(worker, offer.box)) {
    task.suspicion = null; // it did not take this worker along
    dispatch(state, task, { worker, box: offer.box }, nowMs, offer);
  } else {
    state.send(worker, { type: "drop", key: offer.key });
  }
}

function mayTake(state: SchedulerState, worker: WorkerState, offer: Offered, task: Task): boolean {
  const { phase: { name }, wish, spec } = task;
  if (name !== "waiting" && name !== "running") return false;
  const copies = copiesOf(task);
  if (copies.length > 1 || copies.some((copy) => copy.worker === worker.id)) return false;
  // It has outgrown such a box elsewhere.
  if (wish !== null) return false;
  const { running, runningMax } = state.category(spec.category);
  return running < runningMax && (offer.reserved || hasRoomFor(worker, offer.box));
}

function reserve(state: SchedulerState, worker: WorkerState, offer: Offered): void {
  if (!hasRoomFor(worker, offer.box)) return drop(state, worker, offer);
  offer.reserved = true;
  worker.promised = plus(worker.promised, offer.box);
  state.noteRoom(worker);
}

/** The task is sent anew, and the worker ends what it has of it. */
export function supersede(state: SchedulerState, worker: WorkerState, key: string): void {
  const offer = worker.offered.get(key);
  if (offer !== undefined) forget(state, worker, offer);
}

/** Tells the worker that nobody wants it. */
function drop(state: SchedulerState, worker: WorkerState, offer: Offered): void {
  forget(state, worker, offer);
  state.send(worker, { type: "drop", key: offer.key });
}

function forget(state: SchedulerState, worker: WorkerState, offer: Offered): void {
  worker.offered.delete(offer.key);
  if (worker.offered.size === 0) state.offers.workers.delete(worker);
  if (!offer.reserved) return;
  worker.promised = withoutDrift(worker, offer.box);
  state.noteRoom(worker);
}

/** The worker is gone, and will offer anew what it has. */
export function loseOffers(state: SchedulerState, worker: WorkerState): void {
  state.offers.workers.delete(worker);
  state.offers.rest();
}

/** Of what is offered and runs. */
export function reservedOf(offered: ReadonlyMap<string, Offered>): Resources {
  let sum = noResources;
  for (const { reserved, box } of offered.values()) if (reserved) sum = plus(sum, box);
  return sum;
}
