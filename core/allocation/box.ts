/** From a wish to a box on one worker, and in words why there is none. */
import { boxOf, describeResources, fits, type Resources } from "../resources.ts";
import { type Amounts, type ResourceName, resourceNames, type Wish } from "./policy.ts";

/**
 * The box of a wish on an empty worker of this size, or `null` if it is too large for it. The floor
 * is applied after the proportions: it raises its own resource and no other.
 */
export function boxFor({ request, floor, exact }: Wish, worker: Resources): Resources | null {
  const box = exact === true ? exactBoxOf(request, worker) : boxOf(request, worker);
  if (box === null) return null;
  const { cores, memoryMb, diskMb, gpus } = floor;
  if (cores === undefined && memoryMb === undefined && diskMb === undefined && gpus === undefined) {
    return box;
  }
  const raised = {
    cores: Math.max(box.cores, cores ?? 0),
    memoryMb: Math.max(box.memoryMb, memoryMb ?? 0),
    diskMb: Math.max(box.diskMb, diskMb ?? 0),
    gpus: Math.max(box.gpus, gpus ?? 0),
  };
  return fits(raised, worker) ? raised : null;
}

/** What is asked for, and a share of the worker of the rest. */
function exactBoxOf(request: Amounts, worker: Resources): Resources | null {
  const { cores = 0, memoryMb = 0, diskMb = 0 } = request;
  const box = boxOf(request, worker);
  return box === null ? null : {
    cores: cores > 0 ? cores : box.cores,
    memoryMb: memoryMb > 0 ? memoryMb : box.memoryMb,
    diskMb: diskMb > 0 ? diskMb : box.diskMb,
    gpus: box.gpus,
  };
}

/** The largest of each resource on any of these workers; no single one may have them all. */
export function largestOf(workers: Iterable<Resources>): Resources | null {
  let largest: Resources | null = null;
  for (const worker of workers) {
    largest = largest === null ? worker : {
      cores: Math.max(largest.cores, worker.cores),
      memoryMb: Math.max(largest.memoryMb, worker.memoryMb),
      diskMb: Math.max(largest.diskMb, worker.diskMb),
      gpus: Math.max(largest.gpus, worker.gpus),
    };
  }
  return largest;
}

/**
 * Why a task waits although workers are connected: what it needs and what the largest worker has.
 * `null` if some worker, once empty, is large enough, or if none is connected.
 */
export function whyTooLarge(
  task: string,
  wish: Wish,
  workers: Iterable<Resources>,
): string | null {
  let nearest: { worker: Resources; lacking: ResourceName[] } | null = null;
  for (const worker of workers) {
    if (boxFor(wish, worker) !== null) return null;
    const lacking = resourceNames.filter((name) => needOf(wish, name) > worker[name]);
    if (nearest === null || isNearer({ worker, lacking }, nearest)) nearest = { worker, lacking };
  }
  if (nearest === null) return null;
  const needs: Record<string, number> = {};
  for (const name of resourceNames) {
    const need = needOf(wish, name);
    if (need > 0) needs[name] = need;
  }
  const { worker: has } = nearest;
  return `${task} needs ${describeResources(needs)}, but the largest worker has ` +
    `${describeResources(has)}: it waits for a larger one`;
}

/** What is asked for, or learned to be needed, whichever is more. */
export function needOf({ request, floor }: Wish, name: ResourceName): number {
  return Math.max(request[name] ?? 0, floor[name] ?? 0);
}

interface Near {
  readonly worker: Resources;
  readonly lacking: readonly ResourceName[];
}

/** Fewer resources are missing, or more of the first one that is missing is there. */
function isNearer(a: Near, b: Near): boolean {
  if (a.lacking.length !== b.lacking.length) return a.lacking.length < b.lacking.length;
  const name = a.lacking[0]!;
  return a.worker[name] > b.worker[name];
}
