/**
 * Resources of workers and the box that a task gets of one.
 *
 * The box follows Work Queue's proportional allocation, because users' expectations and the
 * variables CORES, MEMORY and DISK of their tasks depend on it: the largest share that the request
 * takes of any resource is rounded up to 1, 1/2, 1/3 … of the worker, and the undeclared resources
 * get that share as well.
 */
import type { ResourceRequest } from "./analysis/spec.ts";

export interface Resources {
  readonly cores: number;
  /** 1024² bytes. */
  readonly memoryMb: number;
  /** 1024² bytes. */
  readonly diskMb: number;
  readonly gpus: number;
}

export type ResourceName = keyof Resources;

/** What peers, records and monitors call each of them. */
export const wireNames: Readonly<Record<ResourceName, string>> = {
  cores: "cores",
  memoryMb: "memory",
  diskMb: "disk",
  gpus: "gpus",
};

/** Each with its wire name. */
export const wireResources = Object.entries(wireNames) as readonly [ResourceName, string][];

/** A value for each of them. */
export function eachResource<T>(of: (name: ResourceName) => T): Record<ResourceName, T> {
  return {
    cores: of("cores"),
    memoryMb: of("memoryMb"),
    diskMb: of("diskMb"),
    gpus: of("gpus"),
  };
}

export const noResources: Resources = { cores: 0, memoryMb: 0, diskMb: 0, gpus: 0 };

/** Guards `floor` against quotients such as 1/(1/93) = 92.99…, where cctools loses a slot. */
const roundingSlack = 1e-9;

/**
 * The box of `request` on an empty worker of this size, or `null` if it is too large for it.
 * Nothing declared means the whole worker (but no gpus).
 */
export function boxOf(request: ResourceRequest, worker: Resources): Resources | null {
  const { cores = 0, memoryMb = 0, diskMb = 0, gpus = 0 } = request;
  const share = Math.max(
    shareOf(cores, worker.cores),
    shareOf(memoryMb, worker.memoryMb),
    shareOf(diskMb, worker.diskMb),
    shareOf(gpus, worker.gpus),
  );
  if (share > 1) return null;
  // Tasks for gpus need no cores unless they say so.
  const coresShared = cores > 0 || gpus === 0;
  if (share === 0 || share === 1) {
    return {
      cores: cores > 0 || !coresShared ? cores : worker.cores,
      memoryMb: memoryMb > 0 ? memoryMb : worker.memoryMb,
      diskMb: diskMb > 0 ? diskMb : worker.diskMb,
      gpus,
    };
  }
  const part = 1 / Math.floor(1 / share + roundingSlack);
  return {
    cores: coresShared ? atLeast(cores, worker.cores * part) : 0,
    memoryMb: atLeast(memoryMb, worker.memoryMb * part),
    diskMb: atLeast(diskMb, worker.diskMb * part),
    gpus,
  };
}

/** More than 1 if the worker has not that much, 0 if nothing is asked for. */
function shareOf(asked: number, all: number): number {
  return asked > 0 ? asked / all : 0;
}

function atLeast(asked: number, part: number): number {
  return Math.max(1, asked, Math.floor(part + roundingSlack));
}

const oneCore: ResourceRequest = { cores: 1 };

/**
 * What a task of ours asks for: undeclared, one core, since most programs compute in one thread
 * (Work Queue gives such a task the whole worker).
 */
export function requestOf(declared: ResourceRequest): ResourceRequest {
  return Object.values(declared).some((value) => value > 0) ? declared : oneCore;
}

export function fits(box: Resources, free: Resources): boolean {
  return box.cores <= free.cores && box.memoryMb <= free.memoryMb && box.diskMb <= free.diskMb &&
    box.gpus <= free.gpus;
}

export function plus(a: Resources, b: Resources): Resources {
  return {
    cores: a.cores + b.cores,
    memoryMb: a.memoryMb + b.memoryMb,
    diskMb: a.diskMb + b.diskMb,
    gpus: a.gpus + b.gpus,
  };
}

export function minus(a: Resources, b: Resources): Resources {
  return {
    cores: a.cores - b.cores,
    memoryMb: a.memoryMb - b.memoryMb,
    diskMb: a.diskMb - b.diskMb,
    gpus: a.gpus - b.gpus,
  };
}

/** As people read it: "2 cores, 500 MB memory, 1000 MB disk". */
export function describeResources(r: ResourceRequest): string {
  const parts = [
    r.cores !== undefined && `${r.cores} core${r.cores === 1 ? "" : "s"}`,
    r.memoryMb !== undefined && `${r.memoryMb} MB memory`,
    r.diskMb !== undefined && `${r.diskMb} MB disk`,
    r.gpus !== undefined && r.gpus > 0 && `${r.gpus} gpu${r.gpus === 1 ? "" : "s"}`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? "a whole worker" : parts.join(", ");
}
