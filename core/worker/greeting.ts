/** What a worker says when a link begins. */
import { type Held, holdsInfo } from "../protocol/held.ts";
import type { ToManager } from "../protocol/messages.ts";
import { keepsKey, offeredInfo, type OfferedTask } from "../protocol/offered_tasks.ts";
import { piecesInfo } from "../protocol/pieces.ts";
import type { Resources } from "../resources.ts";
import type { WorkerIdentity } from "./actions.ts";

export interface Possessions {
  readonly files: readonly Held[];
  /** Of an earlier link. */
  readonly tasks: readonly OfferedTask[];
  /** Whether it keeps tasks when this link breaks. */
  readonly keepsTasks: boolean;
  readonly runningCount: number;
}

export function greetingOf(
  identity: WorkerIdentity,
  { files, tasks, keepsTasks, runningCount }: Possessions,
): ToManager[] {
  const { hostname, os, arch, version, id, features, protocol, stopsAtMs, factory } = identity;
  // 0: no end known. A real manager sends no task to a worker that does not say this.
  const stopsAt = String(Math.floor((stopsAtMs ?? 0) / 1000));
  return [
    { type: "workqueue", protocol, hostname, os, arch, version },
    // Before the resources, which bring tasks: the answer is to come first, see NameCheck.
    ...(identity.project !== undefined ? [{ type: "name" } as const] : []),
    { type: "info", key: "worker-id", value: id },
    { type: "info", key: "wqx", value: version },
    ...(protocol >= 11 ? [piecesInfo] : []),
    // Before the resources too: what runs already has its room.
    ...(keepsTasks ? [{ type: "info", key: keepsKey, value: "1" } as const] : []),
    ...tasks.map(offeredInfo),
    ...heldMessages(identity, files),
    ...features.map((name) => ({ type: "feature", name } as const)),
    { type: "alive" },
    ...resourceMessages(identity),
    runningMessage(runningCount),
    { type: "info", key: "worker-end-time", value: stopsAt },
    ...(factory !== null ? [{ type: "info", key: "from-factory", value: factory } as const] : []),
  ];
}

/** Before protocol 11 a worker cannot say that it has lost something. */
export function heldMessages({ protocol }: WorkerIdentity, files: readonly Held[]): ToManager[] {
  return protocol >= 11 ? files.map(holdsInfo) : [];
}

export function runningMessage(count: number): ToManager {
  return { type: "info", key: "tasks_running", value: String(count) };
}

export function resourceMessages({ coprocess, resources }: WorkerIdentity): ToManager[] {
  const ofOne = coprocess === null ? [] : rowsOf(coprocess)
    .map(([name, total]) => [`coprocess_${name}`, total] as const);
  const rows = [...ofOne, ["workers", 1] as const, ...rowsOf(resources)];
  return [
    ...rows.map(([name, total]): ToManager => ({
      type: "resource",
      name,
      total,
      smallest: total,
      largest: total,
    })),
    { type: "resource tag", tag: 0 },
    { type: "info", key: "end_of_resource_update", value: "0" },
  ];
}

function rowsOf(r: Resources): (readonly [string, number])[] {
  return [["disk", r.diskMb], ["memory", r.memoryMb], ["gpus", r.gpus], ["cores", r.cores]];
}
