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

export const noResources: Resources = { cores: 0, memoryMb: 0, diskMb: 0, gpus: 0 };

const names = ["cores", "memoryMb", "diskMb", "gpus"] as const;

/** Guards `floor` against quotients such as 1/(1/93) = 92.99…, where cctools loses a slot. */
const roundingSlack = 1e-9;

/**
 * The box of `request` on an empty worker of this size, or `null` if it is too large for it.
 * Nothing declared means the whole worker (but no gpus).
 */
export function boxOf(request: ResourceRequest, worker: Resources): Resources | null {
  const declared = names.filter((name) => (request[name] ?? 0) > 0);
  if (declared.some((name) => request[name]! > worker[name])) return null;
  const share = Math.max(0, ...declared.map((name) => request[name]! / worker[name]));
  const whole = share === 0 || declared.some((name) => request[name]! >= worker[name]);
  const gpus = request.gpus ?? 0;
  if (whole) {
    return {
      cores: request.cores || (gpus > 0 ? 0 : worker.cores),
      memoryMb: request.memoryMb || worker.memoryMb,
      diskMb: request.diskMb || worker.diskMb,
      gpus,
    };
  }
  const part = 1 / Math.floor(1 / share + roundingSlack);
  const atLeast = (asked: number | undefined, all: number) =>
    Math.max(1, asked ?? 0, Math.floor(all * part + roundingSlack));
  return {
    cores: !request.cores && gpus > 0 ? 0 : atLeast(request.cores, worker.cores),
    memoryMb: atLeast(request.memoryMb, worker.memoryMb),
    diskMb: atLeast(request.diskMb, worker.diskMb),
    gpus,
  };
}

/**
 * What a task of ours asks for: undeclared, one core, since most programs compute in one thread
 * (Work Queue gives such a task the whole worker).
 */
export function requestOf(declared: ResourceRequest): ResourceRequest {
  return Object.values(declared).some((value) => value > 0) ? declared : { cores: 1 };
}

export function fits(box: Resources, free: Resources): boolean {
  return names.every((name) => box[name] <= free[name]);
}

export function plus(a: Resources, b: Resources): Resources {
  return combine(a, b, (x, y) => x + y);
}

export function minus(a: Resources, b: Resources): Resources {
  return combine(a, b, (x, y) => x - y);
}

function combine(a: Resources, b: Resources, f: (x: number, y: number) => number): Resources {
  return {
    cores: f(a.cores, b.cores),
    memoryMb: f(a.memoryMb, b.memoryMb),
    diskMb: f(a.diskMb, b.diskMb),
    gpus: f(a.gpus, b.gpus),
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
