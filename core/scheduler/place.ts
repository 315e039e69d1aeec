/** Which worker a task goes to. */
import type { WorkerId } from "../ids.ts";
import { boxOf, fits, type Resources } from "../resources.ts";
import type { TaskSpec } from "./tasks.ts";
import { freeOn, isReady, type WorkerState } from "./workers.ts";

export interface Placement {
  readonly worker: WorkerState;
  readonly box: Resources;
}

/**
 * The worker that holds most of the task's cached inputs and then has most cores free, or `null`
 * if none has room now. Workers in `avoid` are taken only if no other is large enough at all.
 */
export function place(
  spec: TaskSpec,
  workers: Iterable<WorkerState>,
  avoid: ReadonlySet<WorkerId>,
): Placement | null {
  let best: { placement: Placement; held: number; freeCores: number } | null = null;
  let elsewhere = false;
  for (const worker of workers) {
    if (!isReady(worker)) continue;
    const box = boxOf(spec.request, worker.total);
    if (box === null) continue;
    const avoided = avoid.has(worker.id);
    if (avoided && elsewhere) continue;
    if (!avoided && !elsewhere) {
      elsewhere = true;
      if (best !== null && avoid.has(best.placement.worker.id)) best = null;
    }
    const free = freeOn(worker);
    if (!fits(box, free)) continue;
    const held = heldInputs(spec, worker);
    if (
      best === null || held > best.held ||
      (held === best.held && free.cores > best.freeCores)
    ) {
      best = { placement: { worker, box }, held, freeCores: free.cores };
    }
  }
  return best === null ? null : best.placement;
}

function heldInputs(spec: TaskSpec, worker: WorkerState): number {
  if (worker.cached.size === 0) return 0;
  let held = 0;
  for (const input of spec.inputs) if (worker.cached.has(input.cacheName)) held++;
  return held;
}
